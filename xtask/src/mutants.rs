//! `cargo xtask mutants`: breaks the code in every way that cargo-mutants knows, one at a time, and sees whether a
//! test notices. What no test notices is an error, unless `mutants/survivors.txt` says why it is let be.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;

use crate::tools::{from_registry, target};

/// What is broken, and whose tests must notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Suite {
    /// The four machine crates, before their own tests and the proof.
    Machine,
    /// The store contract, its in-memory engine and the embedded one.
    Store,
    /// The store for many machines.
    Postgres,
    /// The orchestrator.
    Orchestrator,
}

/// Which mutants of a suite.
#[derive(Debug, Clone, Copy)]
pub enum Part<'a> {
    /// All, or those that these arguments of cargo-mutants select.
    Selected(&'a [String]),
    /// A share of them, another one after each commit: what every run of `cargo xtask test` can afford.
    OfThisCommit,
}

/// One in so many mutants is in a share.
const SHARES: usize = 40;

/// Known survivors and why they are let be: lines that begin with `#` are reasons, the others are mutants.
const SURVIVORS: &str = include_str!("mutants/survivors.txt");

/// As far as the proof looks for each mutant: broken rules show in short lives.
const PROOF: &str = "length=4,depth=12,sequences=250,cases=250";

impl Suite {
    const fn broken(self) -> &'static [&'static str] {
        match self {
            Self::Machine => &["workitem-types", "workitem-typestate", "workitem-dynamic", "workitem-table"],
            Self::Store => &["workitem-store", "workitem-sqlite"],
            Self::Postgres => &["workitem-postgres"],
            Self::Orchestrator => &["workitem-orchestrator"],
        }
    }

    /// Beside the broken crates themselves.
    const fn witness(self) -> Option<&'static str> {
        match self {
            Self::Machine => Some("workitem-conformance"),
            Self::Store | Self::Postgres | Self::Orchestrator => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Machine => "machine",
            Self::Store => "store",
            Self::Postgres => "postgres",
            Self::Orchestrator => "orchestrator",
        }
    }
}

/// Breaks a part of the suite's crates, says what came of it, and fails if a mutant was missed.
pub fn run(root: &Path, suite: Suite, part: Part<'_>) -> Result<()> {
    let program = from_registry(root, "cargo-mutants", "27.1.0")?;
    let output = target(root).join("mutants").join(suite.name());
    fs::create_dir_all(&output)?;

    let mut mutants = Command::new(program);
    mutants.current_dir(root).args(["mutants", "--profile", "mutants"]);
    if let Some(runner) = contained(suite, &output)? {
        mutants.args(["--cargo-arg=--config", &format!("--cargo-arg={runner}")]);
    }
    mutants.args(["--no-times", "--minimum-test-timeout", "30", "--output"]).arg(&output);
    for krate in suite.broken() {
        mutants.args(["--package", krate]);
    }
    for krate in suite.broken().iter().copied().chain(suite.witness()) {
        mutants.args(["--test-package", krate]);
    }
    match part {
        Part::Selected(arguments) => mutants.args(arguments).env_remove("CARGO_TARGET_DIR"),
        // The tests have just passed.
        Part::OfThisCommit => {
            let shard = format!("{}/{SHARES}", commits(root) % SHARES);
            // In turns: cut into slices, there would be none left for the last shares.
            mutants.args(["--shard", &shard, "--sharding", "round-robin"]);
            mutants.args(["--baseline", "skip", "--timeout", "300"]);
            // What was built for the last share serves for this one; jobs beside each other could not share it.
            mutants.env("CARGO_TARGET_DIR", output.join("build"))
        }
    };
    // No mutant changes which methods there are, which is what these take their time to see.
    mutants.args(["--", "--", "--skip", "illegal_calls_and_misuse_do_not_compile"]);
    mutants.env("WORKITEM_PROOF", PROOF);
    mutants.env_remove("TRYBUILD").stdin(Stdio::null());

    let status = mutants.status().context("cannot start cargo-mutants")?;
    // 2: some were missed; 3: some made the tests hang. Both are judged below.
    ensure!(matches!(status.code(), Some(0 | 2 | 3)), "cargo-mutants could not do its work: {status}");
    Outcome::read(&output.join("mutants.out"))?.judge(suite.name())
}

/// A mutant of what ends processes may end any process. It sees none but its own: each test program runs in a process
/// namespace, below a shell that collects what is left behind there.
fn contained(suite: Suite, output: &Path) -> Result<Option<String>> {
    match suite {
        Suite::Machine | Suite::Store | Suite::Postgres => return Ok(None),
        Suite::Orchestrator => {}
    }
    // Root can make a namespace as it is; others become root in one of their own.
    for user in ["", "--user --map-root-user "] {
        let contained = format!("unshare {user}--pid --fork --mount-proc --kill-child setsid");
        let mut attempt = Command::new("sh");
        attempt.args(["-c", &format!("exec {contained} true")]).stderr(Stdio::null());
        if attempt.status().is_ok_and(|status| status.success()) {
            let runner = output.join("contained.sh");
            // `unshare` hears no SIGTERM, which is how a test is ended whose time is up. With it ends the namespace.
            // And one that asks for all memory there is gets no more than eight gigabytes.
            let script = format!(
                "ulimit -v 8000000\n{contained} sh -c '\"$@\"; exit $?' sh \"$@\" &\ntrap \"kill -KILL $!\" TERM INT\nwait $!\n"
            );
            fs::write(&runner, script)?;
            return Ok(Some(format!("target.'cfg(unix)'.runner=['sh', '{}']", runner.display())));
        }
    }
    bail!("broken code that ends processes must be contained, and `unshare --pid` does not work here")
}

/// How many commits led here; it selects a share, so any number will do where git does not know.
fn commits(root: &Path) -> usize {
    let mut git = Command::new("git");
    let counted = git.args(["rev-list", "--count", "HEAD"]).current_dir(root).output();
    let counted = counted.map(|output| String::from_utf8_lossy(&output.stdout).trim().parse());
    counted.ok().and_then(Result::ok).unwrap_or(0)
}

/// What became of the mutants.
#[derive(Debug, Default)]
struct Outcome {
    missed: Vec<String>,
    caught: Vec<String>,
    hanging: Vec<String>,
    unviable: Vec<String>,
}

impl Outcome {
    fn read(folder: &Path) -> Result<Self> {
        let list = |name| -> Result<Vec<String>> {
            match fs::read_to_string(folder.join(name)) {
                Ok(text) => Ok(text.lines().map(unplaced).collect()),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
                Err(error) => Err(error).with_context(|| format!("cannot read {name} of cargo-mutants")),
            }
        };
        let [missed, caught] = [list("missed.txt")?, list("caught.txt")?];
        let [hanging, unviable] = [list("timeout.txt")?, list("unviable.txt")?];
        Ok(Self { missed, caught, hanging, unviable })
    }

    fn judge(&self, suite: &str) -> Result<()> {
        let Self { missed, caught, hanging, unviable } = self;
        ensure!(!missed.is_empty() || !caught.is_empty() || !unviable.is_empty(), "no mutant was made");
        let known: Vec<&str> = survivors(SURVIVORS).collect();
        let (let_be, missed): (Vec<_>, Vec<_>) =
            missed.iter().partition(|mutant| known.contains(&mutant.as_str()));
        println!(
            "{suite}: {} mutants noticed, {} by tests that hang, {} do not compile, {} let be, {} missed",
            caught.len() + hanging.len(),
            hanging.len(),
            unviable.len(),
            let_be.len(),
            missed.len()
        );
        for mutant in &missed {
            println!("missed: {mutant}");
        }
        // One line may stand for several mutants of one function; it is needed while one of them survives.
        let is_noticed = |mutant: &&&String| known.contains(&mutant.as_str()) && !let_be.contains(mutant);
        let noticed: Vec<_> = caught.iter().filter(|mutant| is_noticed(&mutant)).collect();
        for mutant in &noticed {
            println!("no longer a survivor: {mutant}");
        }
        ensure!(
            missed.is_empty(),
            "no test notices {}: write one, or say in xtask/src/mutants/survivors.txt why it is let be",
            if missed.len() == 1 { "a mutant".to_owned() } else { format!("{} mutants", missed.len()) }
        );
        ensure!(noticed.is_empty(), "xtask/src/mutants/survivors.txt lists mutants that tests notice");
        Ok(())
    }
}

/// A mutant without its line and column, which change with every edit above it.
fn unplaced(mutant: &str) -> String {
    let parts = mutant.split_once(": ").and_then(|(place, what)| Some((place.split(':').next()?, what)));
    parts.map_or_else(|| mutant.to_owned(), |(file, what)| format!("{file}: {what}"))
}

fn survivors(list: &str) -> impl Iterator<Item = &str> {
    list.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_survivor_has_a_reason() {
        let mut reason = None;
        for line in SURVIVORS.lines() {
            match line {
                "" => reason = None,
                line if line.starts_with('#') => reason = Some(line),
                mutant => assert!(reason.is_some(), "say why `{mutant}` is let be"),
            }
        }
        let machine = Suite::Machine.broken();
        for mutant in survivors(SURVIVORS) {
            assert!(
                !machine.iter().any(|krate| mutant.contains(krate)),
                "none survives in the machine: {mutant}"
            );
        }
    }

    #[test]
    fn a_mutant_is_named_by_what_it_changes_and_not_by_its_line() {
        let mutant = "crates/a/src/b.rs:69:9: replace C<'_>::d -> Option<e::F> with None";
        assert_eq!(unplaced(mutant), "crates/a/src/b.rs: replace C<'_>::d -> Option<e::F> with None");
    }

    #[test]
    fn a_missed_mutant_is_an_error_and_one_that_hangs_is_not() {
        let mutant = || vec!["crates/a/src/b.rs: replace c with ()".to_owned()];
        let hanging = Outcome { hanging: mutant(), caught: vec!["another".to_owned()], ..Outcome::default() };
        assert!(hanging.judge("suite").is_ok());
        let missed = Outcome { missed: mutant(), ..Outcome::default() };
        let said = missed.judge("suite").unwrap_err().to_string();
        assert!(said.starts_with("no test notices a mutant"), "{said}");
        assert!(Outcome::default().judge("suite").is_err(), "nothing was looked at");
    }
}
