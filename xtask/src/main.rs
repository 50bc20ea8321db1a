//! What the project does to itself: `cargo xtask <command>`.
//!
//! - `test` runs everything that must hold;
//! - `prove` runs the tests of the proof and lets them look further;
//! - `peers` runs the machine beside the original;
//! - `torture` kills, starves and fails the program, and sees whether work is lost or doubled;
//! - `mutants` breaks the code, and sees whether a test notices;
//! - `codegen` writes what is generated from the seven rows, or checks that it is up to date;
//! - `docs` builds the book and the documentation of the crates;
//! - `recording` records the session that the README shows;
//! - `bench` measures what the machines cost, and the command line beside `xargs`;
//! - `tidy` checks the rules of this workspace that no compiler knows.

mod bench;
mod codegen;
mod docs;
mod mutants;
mod peers;
mod prove;
mod recording;
mod test;
mod tidy;
mod tools;
mod torture;

use std::env;
use std::fmt;
use std::num::ParseIntError;
use std::path::{Path, PathBuf};
use std::process::{self, ExitCode};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;

use crate::mutants::{Part, Suite};

/// Tasks of the workitem workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Command {
    /// Run everything that must hold: format, lints, tests, docs, generated files, tidiness.
    Test,
    /// Run the proof that the machines are one, as far as ten minutes go, and say what was covered.
    Prove {
        /// Start random tests here, to see again what they found.
        #[arg(long, value_parser = seed)]
        seed: Option<u64>,
    },
    /// Run the machine beside the original, `prodigy` 0.4.4, and say what was covered. The first build takes
    /// minutes.
    Peers {
        /// Start random tests here, to see again what they found.
        #[arg(long, value_parser = seed)]
        seed: Option<u64>,
    },
    /// Write the files that are generated from the seven rows of `workitem-table`.
    Codegen {
        /// Write nothing; fail and name each file that is stale, missing or left over.
        #[arg(long)]
        check: bool,
        /// Afterwards record what the compiler says now to every compile-fail case.
        #[arg(long, conflicts_with = "check")]
        bless: bool,
    },
    /// Build the book and the documentation of every crate.
    Docs,
    /// Run a job in a terminal, and write what it showed as the picture of the README, docs/recording.svg.
    Recording,
    /// Measure what the machines cost, ours beside other people's; or a job beside `xargs`.
    Bench(bench::Bench),
    /// Break the code in every way that cargo-mutants knows, and see whether a test notices.
    Mutants {
        /// What to break.
        #[arg(default_value = "machine")]
        suite: Suite,
        /// Arguments for cargo-mutants, to break less: `-- --file cells.rs`.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Try to make the program lose work or double it, and write down in docs/reliability.md what came of it.
    Torture(torture::Torture),
    /// Check dependency edges, the trusted base, and habits of the code.
    Tidy,
}

fn main() -> ExitCode {
    match run(&Command::parse(), &root()) {
        Ok(()) => ExitCode::SUCCESS,
        // Not returned from `main`: that would print a backtrace of this program, which is not at fault.
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command, root: &Path) -> Result<()> {
    match command {
        Command::Mutants { suite, arguments } => mutants::run(root, *suite, Part::Selected(arguments)),
        Command::Test => test::run(root),
        Command::Prove { seed } => prove::run(root, *seed),
        Command::Peers { seed } => peers::run(root, *seed),
        Command::Codegen { check: true, .. } => report("codegen", &codegen::check(root)?),
        Command::Codegen { bless, .. } => {
            codegen::write(root)?;
            if *bless { codegen::bless(root) } else { Ok(()) }
        }
        Command::Docs => docs::run(root),
        Command::Recording => recording::run(root),
        Command::Bench(bench) => bench::run(root, bench),
        Command::Torture(torture) => torture::run(root, torture),
        Command::Tidy => report("tidy", &tidy::check(root)?),
    }
}

/// A seed, as it is printed.
fn seed(text: &str) -> Result<u64, ParseIntError> {
    let (digits, radix) = text.strip_prefix("0x").map_or((text, 10), |hex| (hex, 16));
    u64::from_str_radix(digits, radix)
}

/// The folder of the workspace.
fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().expect("xtask is a folder of the workspace").to_path_buf()
}

/// Cargo, in the folder of the workspace.
fn cargo(root: &Path) -> process::Command {
    let mut cargo = process::Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root);
    cargo
}

/// Runs a command to its end; any other than a successful one is an error.
fn succeed(command: &mut process::Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("cannot start {program}"))?;
    ensure!(status.success(), "{program}: {status}");
    Ok(())
}

/// Something that does not hold, where, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Problem {
    file: String,
    line: usize,
    what: String,
}

impl Problem {
    /// A problem of a whole file.
    fn file(file: impl Into<String>, what: impl Into<String>) -> Self {
        Self::line(file, 1, what)
    }

    /// A problem of one line, the first being 1.
    fn line(file: impl Into<String>, line: usize, what: impl Into<String>) -> Self {
        Self { file: file.into(), line, what: what.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.what)
    }
}

fn report(check: &str, problems: &[Problem]) -> Result<()> {
    for problem in problems {
        println!("{problem}");
    }
    match problems.len() {
        0 => Ok(()),
        1 => bail!("{check} found a problem"),
        n => bail!("{check} found {n} problems"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_read_as_it_is_printed() {
        assert_eq!(["42", "0x2a"].map(seed), [Ok(42), Ok(42)]);
        assert!(seed("2a").is_err() && seed("0x").is_err());
    }

    #[test]
    fn a_command_that_fails_is_an_error() {
        assert!(succeed(&mut process::Command::new("true")).is_ok());
        assert!(succeed(&mut process::Command::new("false")).is_err());
        assert!(succeed(&mut process::Command::new("no-such-program")).is_err());
    }
}
