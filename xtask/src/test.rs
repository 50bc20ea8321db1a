//! `cargo xtask test`: everything that must hold, cheapest first; stops at the first thing that does not.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::mutants::{Part, Suite};
use crate::tools::{self, Package};
use crate::{bench, codegen, docs, mutants, report, succeed, tidy};

/// A step: its name, and how to run it alone.
struct Step {
    name: &'static str,
    alone: &'static str,
    run: fn(&Path, &mut Tests) -> Result<()>,
}

/// What building and testing starts: SQLite is compiled from source, and tests start the others. A server of theirs needs
/// `setpriv`, if it is root who tests, and one with TLS a certificate.
const TESTING: &[Package] = &[
    Package { program: "cc", names: &["gcc", "libc6-dev"] },
    Package { program: "xargs", names: &["findutils"] },
    Package { program: "ps", names: &["procps"] },
    Package { program: "strace", names: &["strace"] },
    Package { program: "initdb", names: &["postgresql"] },
    Package { program: "setpriv", names: &["util-linux"] },
    Package { program: "openssl", names: &["openssl"] },
];

const STEPS: [Step; 9] = [
    Step {
        name: "tools",
        alone: "apt-get install -y gcc libc6-dev findutils procps strace postgresql util-linux openssl",
        run: |_, _| tools::debian(TESTING),
    },
    Step {
        name: "format",
        alone: "for m in . peers fuzz; do cargo fmt --all --check --manifest-path $m/Cargo.toml; done",
        // What stands apart is only built by a task of its own.
        run: |root, _| {
            ["Cargo.toml", "peers/Cargo.toml", "fuzz/Cargo.toml"].into_iter().try_for_each(|manifest| {
                succeed(&mut cargo(root, &["fmt", "--all", "--check", "--manifest-path", manifest]))
            })
        },
    },
    Step {
        name: "codegen",
        alone: "cargo xtask codegen --check",
        run: |root, _| report("codegen", &codegen::check(root)?),
    },
    Step { name: "tidy", alone: "cargo xtask tidy", run: |root, _| report("tidy", &tidy::check(root)?) },
    Step {
        name: "lints",
        alone: "cargo clippy --workspace --all-targets -- -D warnings",
        run: |root, _| {
            succeed(&mut cargo(root, &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
        },
    },
    Step { name: "tests", alone: "cargo test --workspace", run: tests },
    Step { name: "costs", alone: "cargo xtask bench --check", run: |root, _| bench::baseline::check(root) },
    Step {
        name: "mutants",
        alone: "cargo xtask mutants",
        run: |root, _| mutants::run(root, Suite::Machine, Part::OfThisCommit),
    },
    Step {
        name: "docs",
        alone: "RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps",
        run: |root, _| docs::api(root),
    },
];

pub fn run(root: &Path) -> Result<()> {
    let mut tests = Tests::default();
    let mut times = Vec::new();
    for Step { name, alone, run } in STEPS {
        println!("==> {name}: {alone}");
        let start = Instant::now();
        let result = run(root, &mut tests);
        let took = start.elapsed();
        if let Err(error) = result {
            bail!("{name} failed after {}: {error:#}\nto run it alone: {alone}", seconds(took));
        }
        println!("==> {name}: ok, {}", seconds(took));
        times.push((name, took));
    }
    ensure!(tests.passed > 0, "no test was run");

    println!("\neverything holds:");
    for (name, took) in times {
        println!("  {name:<8} {:>9}", seconds(took));
    }
    println!("{tests}");
    Ok(())
}

/// Runs every test and counts them as they report.
fn tests(root: &Path, tests: &mut Tests) -> Result<()> {
    let status = read_output(&mut cargo(root, &["test", "--workspace"]), |line| tests.read(line))?;
    ensure!(status.success(), "a test failed ({tests})");
    Ok(())
}

/// Runs a command, passes its output on, and reads it line by line.
pub fn read_output(command: &mut Command, mut read: impl FnMut(&str)) -> Result<ExitStatus> {
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start cargo")?;
    let output = child.stdout.take().context("cargo has no output")?;
    let mut stdout = std::io::stdout().lock();
    for line in BufReader::new(output).split(b'\n') {
        let line = line?;
        stdout.write_all(&line)?;
        stdout.write_all(b"\n")?;
        read(&String::from_utf8_lossy(&line));
    }
    Ok(child.wait()?)
}

/// How many tests said what.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tests {
    passed: usize,
    failed: usize,
    ignored: usize,
}

impl Tests {
    /// Adds up the line with which each test program ends.
    pub fn read(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else { return };
        for part in result.split([';', '.']) {
            let mut words = part.split_whitespace();
            let (Some(count), Some(what)) = (words.next(), words.next()) else { continue };
            let Ok(count) = count.parse::<usize>() else { continue };
            match what {
                "passed" => self.passed += count,
                "failed" => self.failed += count,
                "ignored" => self.ignored += count,
                _ => {}
            }
        }
    }
}

impl std::fmt::Display for Tests {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { passed, failed, ignored } = self;
        write!(f, "{passed} passed, {failed} failed, {ignored} skipped")
    }
}

/// Cargo without a terminal's input, and never recording compile-fail answers instead of comparing them.
pub fn cargo(root: &Path, arguments: &[&str]) -> Command {
    let mut cargo = crate::cargo(root);
    cargo.args(arguments).stdin(Stdio::null()).env_remove("TRYBUILD");
    cargo
}

pub fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_programs_are_added_up() {
        let mut tests = Tests::default();
        for line in [
            "running 3 tests",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            "test result: FAILED. 5 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.07s",
            "test passed ... ok",
        ] {
            tests.read(line);
        }
        assert_eq!(tests.to_string(), "8 passed, 2 failed, 1 skipped");
    }
}
