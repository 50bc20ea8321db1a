//! What a first `cargo check` costs: our four machine crates, beside a crate with the same machine in statum.
//!
//! Both have the nouns of `workitem-types`, so what those cost is in both.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::test::cargo;
use crate::tools::target;

const ROUNDS: usize = 3;

const OURS: &[&str] =
    &["-p", "workitem-types", "-p", "workitem-typestate", "-p", "workitem-dynamic", "-p", "workitem-table"];
const STATUM: &[&str] = &["--manifest-path", "peers/Cargo.toml", "-p", "workitem-peer-statum"];

/// One of the two.
#[derive(Debug)]
pub struct Cold {
    pub name: &'static str,
    /// The median of the rounds.
    pub seconds: f64,
    /// How many crates were compiled, ours and those from outside.
    pub crates: usize,
}

/// Checks both in turns, so that a machine's mood meets both.
pub fn run(root: &Path) -> Result<[Cold; 2]> {
    let mut rounds: [Vec<(f64, usize)>; 2] = [Vec::new(), Vec::new()];
    for round in 1..=ROUNDS {
        eprintln!("cold cargo check, round {round} of {ROUNDS}");
        for (packages, times) in [OURS, STATUM].into_iter().zip(&mut rounds) {
            times.push(check(root, packages)?);
        }
    }
    let [ours, statum] = rounds.map(|mut times| {
        times.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        times[times.len() / 2]
    });
    let cold = |name, (seconds, crates)| Cold { name, seconds, crates };
    Ok([
        cold("**types, typestate, dynamic and table**", ours),
        cold("the typed machine in statum 0.9, and types", statum),
    ])
}

/// Seconds, and how many crates.
fn check(root: &Path, packages: &[&str]) -> Result<(f64, usize)> {
    let folder = tempfile::tempdir_in(target(root))?;
    let mut check = cargo(root, &["check", "--locked"]);
    check.args(packages).env("CARGO_TARGET_DIR", folder.path()).stderr(Stdio::piped());
    let started = Instant::now();
    let output = check.output().context("cannot start cargo")?;
    let seconds = started.elapsed().as_secs_f64();
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cargo check failed:\n{said}");
    Ok((seconds, compiled(&said)))
}

/// Crates that cargo says it compiled or checked, each once.
fn compiled(said: &str) -> usize {
    let crates = said.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let verb = words.next()?;
        matches!(verb, "Compiling" | "Checking").then(|| words.collect::<Vec<_>>())
    });
    crates.collect::<BTreeSet<_>>().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_are_counted_once() {
        let said = "    Updating crates.io index\n   Compiling serde v1.0.1\n    Checking serde v1.0.1\n    \
                    Checking workitem-types v0.1.0 (/a b/c)\n    Finished `dev` profile";
        assert_eq!(compiled(said), 2);
    }
}
