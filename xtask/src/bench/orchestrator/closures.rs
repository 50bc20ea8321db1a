//! A closure that does nothing, over and over, two at a time: what is left is the orchestrator and the store.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Bench, median, spent};

const ITEMS: usize = 200_000;
/// It is slow enough that these take as long.
const APALIS_ITEMS: usize = 5_000;

/// Items a second, the median of the rounds.
pub struct Closures {
    pub items: usize,
    pub ours: f64,
    /// The same rows in the same groups, by SQLite alone.
    pub bare: f64,
    pub apalis: f64,
    pub apalis_items: usize,
}

pub fn measure(bench: &Bench) -> Result<Closures> {
    let (mut ours, mut bare, mut apalis) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=bench.rounds {
        eprintln!("closures, round {round} of {}", bench.rounds);
        let folder = bench.folder()?;
        let [from, to, other] = ["ours.db", "bare.db", "apalis.db"].map(|name| folder.path().join(name));
        // Each audits itself: every item completed and replayed, every row the same, every item counted.
        ours.push(Run::of(&run(bench, ITEMS, &from)?)?.rate());
        bare.push(Run::of(&load(bench, &["rows"], &[&from, &to])?)?.rate());
        let mut program = Command::new(&bench.apalis);
        program.arg(APALIS_ITEMS.to_string()).arg(&other);
        apalis.push(Run::of(&spent::run(&mut program, "")?.stdout)?.rate());
    }
    let [ours, bare, apalis] = [ours, bare, apalis].map(median);
    Ok(Closures { items: ITEMS, ours, bare, apalis, apalis_items: APALIS_ITEMS })
}

/// What a job of closures says of itself.
pub struct Run {
    items: f64,
    seconds: f64,
    pub peak_bytes: u64,
}

impl Run {
    pub fn of(said: &str) -> Result<Self> {
        let said: Value = serde_json::from_str(said)?;
        let number = |name: &str| said[name].as_f64().with_context(|| format!("it does not say {name}"));
        let peak_bytes = said["peak_bytes"].as_u64().unwrap_or(0);
        Ok(Self { items: number("items")?, seconds: number("seconds")?, peak_bytes })
    }

    /// Items a second.
    pub fn rate(&self) -> f64 {
        self.items / self.seconds
    }
}

/// A job of closures in a new store.
pub fn run(bench: &Bench, items: usize, store: &Path) -> Result<String> {
    load(bench, &["closures", &items.to_string()], &[store])
}

fn load(bench: &Bench, arguments: &[&str], paths: &[&Path]) -> Result<String> {
    Ok(spent::run(Command::new(&bench.load).args(arguments).args(paths), "")?.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_run_says_is_read() {
        let run = Run::of(r#"{"items":500,"seconds":0.25,"peak_bytes":4096}"#).unwrap();
        assert!((run.rate() - 2_000.0).abs() < 1e-9);
        assert_eq!(run.peak_bytes, 4_096);
        assert!(Run::of("{}").is_err());
    }
}
