//! Fuzzing: bytes that look for a way in where data from outside is read. libFuzzer changes what it has, keeps what
//! reaches code that nothing has reached before, and stops at whatever panics, hangs or takes too much memory.
//!
//! The program that does it is `fuzz/`, whose every branch counts; `cargo xtask torture fuzz` builds it. What it keeps it
//! keeps beside the build; what is worth it is put into `fuzz/corpus`, which the tests try too.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::Report;

/// Most bytes at once. What breaks parsers is short.
const LONGEST: usize = 2_048;
/// Seconds after which one input counts as hanging.
const PATIENCE: u64 = 20;

/// What to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// The program that `fuzz/` is.
    pub fuzzer: PathBuf,
    /// Where random choices begin.
    pub seed: u64,
    /// How long, all in all.
    pub seconds: u64,
    /// What to begin with: a folder for each door.
    pub corpus: PathBuf,
    /// What was found so far, and what broke something.
    pub found: PathBuf,
}

/// Fuzzes each door for its share of the time.
///
/// # Errors
///
/// If it cannot be started.
pub fn run(options: &Options) -> Result<Report> {
    let started = Instant::now();
    let Options { seed, seconds, corpus, found, .. } = options;
    let doors = doors(corpus)?;
    let share = (seconds / doors.len() as u64).max(1);
    let (mut ran, mut broken, mut told) = (0, 0, Vec::new());
    for door in &doors {
        let kept = found.join(door);
        fs::create_dir_all(&kept)?;
        let mut fuzzer = Command::new(&options.fuzzer);
        fuzzer.arg(&kept).arg(corpus.join(door)).env("WORKITEM_DOOR", door).env("RUST_BACKTRACE", "0");
        fuzzer.arg(format!("-artifact_prefix={}/broken-{door}-", found.display()));
        fuzzer.arg(format!("-max_total_time={share}")).arg(format!("-seed={}", (seed % 0xffff_ffff).max(1)));
        fuzzer.arg(format!("-max_len={LONGEST}")).arg(format!("-timeout={PATIENCE}"));
        fuzzer.args(["-print_final_stats=1", "-verbosity=1", "-detect_leaks=0", "-rss_limit_mb=4096"]);
        let ended = fuzzer.output().with_context(|| format!("cannot start {}", options.fuzzer.display()))?;
        let said = String::from_utf8_lossy(&ended.stderr);
        let executed = number(&said, "stat::number_of_executed_units:");
        ran += executed;
        // How much was covered is in the last line of its kind: `#4096 pulse cov: 1234 ft: ...`.
        let covered =
            said.lines().rev().find(|line| line.contains(" cov: ")).map_or(0, |line| number(line, " cov: "));
        eprintln!("{door}: {executed} inputs, {covered} branches");
        if !ended.status.success() {
            broken += 1;
            let last: Vec<&str> = said.lines().filter(|line| !line.starts_with('#')).collect();
            eprintln!("{door}: {}\n{}", ended.status, last.join("\n"));
            eprintln!("again: WORKITEM_DOOR={door} {} FILE", options.fuzzer.display());
        }
        ensure!(executed > 0 || !ended.status.success(), "{door} was not fuzzed: {said}");
        told.push(format!("`{door}` {executed} inputs through {covered} branches"));
    }
    Ok(Report {
        torture: "fuzz".to_owned(),
        ran,
        found: broken,
        seed: *seed,
        seconds: started.elapsed().as_secs_f64(),
        text: format!(
            "Whatever reads data from outside was given bytes that libFuzzer made up, led by the branches that they \
             reach: inputs in every format, read whole and bit by bit; config files; durations, rates, shares and the \
             like, written down and read again; templates and what is put into them; what a store says of a job; what \
             agents say when they fail; rows of a store with anything in them. None may panic, hang, or break what is \
             said of it in `doors.rs` and `rows.rs`: {}.",
            told.join(", "),
        ),
    })
}

/// The doors: there is something to begin with for each.
fn doors(corpus: &Path) -> Result<Vec<String>> {
    let folders = fs::read_dir(corpus).with_context(|| format!("cannot read {}", corpus.display()))?;
    let mut doors = Vec::new();
    for folder in folders {
        doors.push(folder?.file_name().to_string_lossy().into_owned());
    }
    doors.sort();
    ensure!(!doors.is_empty(), "there is nothing to begin with in {}", corpus.display());
    Ok(doors)
}

/// The number behind a label.
fn number(text: &str, label: &str) -> u64 {
    let behind = text.split_once(label).map_or("", |(_, behind)| behind.trim_start());
    behind.split(|c: char| !c.is_ascii_digit()).next().and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libfuzzer_says_is_understood() {
        let said = "#4096\tpulse  cov: 1234 ft: 5678\nstat::number_of_executed_units: 4096\n";
        assert_eq!(number(said, "stat::number_of_executed_units:"), 4_096);
        assert_eq!(number(said, " cov: "), 1_234);
        assert_eq!(number(said, "crashes:"), 0);
    }
}
