//! `cargo xtask prove`: the tests of the proof, optimized and with bounds that no edit-and-test cycle would wait
//! for. They are the same tests that `cargo xtask test` runs, told by one variable to look further.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Result, bail, ensure};

use crate::test::{Tests, cargo, read_output, seconds};

/// All sequences of nine events are ten million; a thousand events are more than any item will see.
const BOUNDS: &str = "length=9,depth=1000,sequences=1000000,cases=20000";

/// Begins the lines with which a test says what it covered.
const COVERED: &str = "proof: ";

/// Runs the proof, and says what it covered. Another seed has other random cases.
pub fn run(root: &Path, seed: Option<u64>) -> Result<()> {
    let mut command = cargo(root, &["test", "--profile", "prove", "--package", "workitem-conformance"]);
    // One at a time: the long ones use all cores by themselves.
    command.args(["--", "--nocapture", "--test-threads=1"]);
    look(command, BOUNDS, seed)
}

/// Runs tests that look as far as `bounds` say, and says what they covered.
pub fn look(mut command: Command, bounds: &str, seed: Option<u64>) -> Result<()> {
    // The standard library's only source of randomness, and all that a starting point needs.
    let seed = seed.unwrap_or_else(|| RandomState::new().build_hasher().finish());
    let start = Instant::now();
    let mut tests = Tests::default();
    let mut covered = Vec::new();

    command.env("WORKITEM_PROOF", format!("{bounds},seed={seed:#x}"));
    let status = read_output(&mut command, |line| {
        tests.read(line);
        covered.extend(line.split_once(COVERED).map(|(_, what)| what.to_owned()));
    })?;
    if !status.success() {
        bail!("the proof failed ({tests}) with seed {seed:#x}");
    }
    ensure!(!covered.is_empty(), "no test said what it covered");

    println!("\nproven in {} with seed {seed:#x}:", seconds(start.elapsed()));
    for what in covered {
        println!("  {what}");
    }
    println!("{tests}");
    Ok(())
}
