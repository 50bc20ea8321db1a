//! How far the proof looks. One set of tests serves `cargo xtask test` and, with wider bounds,
//! `cargo xtask prove`.
//!
//! `WORKITEM_PROOF` sets what differs from the defaults: `length=9,depth=1000,sequences=1000000,cases=20000`,
//! and `seed=0x2a` to see again what a random test has found.

use std::collections::hash_map::RandomState;
use std::env;
use std::fmt::Display;
use std::hash::{BuildHasher, Hasher};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// The variable that sets them.
pub const VARIABLE: &str = "WORKITEM_PROOF";

/// How far to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Every sequence of as many events is run.
    pub length: u32,
    /// How deep equal states are merged.
    pub depth: u32,
    /// Random sequences of events.
    pub sequences: u32,
    /// Cases of every other random test.
    pub cases: u32,
    /// Where random tests start.
    pub seed: u64,
}

/// The bounds of this run.
///
/// # Panics
///
/// If the variable cannot be understood.
pub fn bounds() -> &'static Bounds {
    static BOUNDS: LazyLock<Bounds> = LazyLock::new(|| {
        let set = env::var(VARIABLE).unwrap_or_default();
        parse(&set).unwrap_or_else(|what| panic!("{VARIABLE}={set}: {what}"))
    });
    &BOUNDS
}

fn parse(set: &str) -> Result<Bounds, String> {
    // The standard library's only source of randomness, and all that a starting point needs.
    let seed = RandomState::new().build_hasher().finish();
    let mut bounds = Bounds { length: 6, depth: 60, sequences: 1_000, cases: 250, seed };
    for part in set.split(',').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').ok_or(format!("`{part}` is not NAME=NUMBER"))?;
        let (digits, radix) = value.strip_prefix("0x").map_or((value, 10), |hex| (hex, 16));
        let number = u64::from_str_radix(digits, radix).map_err(|error| format!("`{part}`: {error}"))?;
        let count = || u32::try_from(number).map_err(|error| format!("`{part}`: {error}"));
        match name {
            "length" => bounds.length = count()?,
            "depth" => bounds.depth = count()?,
            "sequences" => bounds.sequences = count()?,
            "cases" => bounds.cases = count()?,
            "seed" => bounds.seed = number,
            unknown => return Err(format!("there is no bound `{unknown}`")),
        }
    }
    Ok(bounds)
}

/// Says what was covered: `cargo xtask prove` collects these lines.
pub fn covered(what: impl Display) {
    println!("proof: {what}");
}

/// The number with its thousands set apart.
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

/// Runs the jobs `0..jobs` on all cores, and gives their results in order.
///
/// # Panics
///
/// If a job panics.
pub fn parallel<T: Send>(jobs: usize, run: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let job = next.fetch_add(1, Ordering::Relaxed);
            if job >= jobs {
                return done;
            }
            done.push((job, run(job)));
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from).min(jobs);
    let mut results: Vec<(usize, T)> = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let results = threads.into_iter().map(|thread| match thread.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        results.flatten().collect()
    });
    results.sort_unstable_by_key(|(job, _)| *job);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_set_keeps_its_default() {
        let default = parse("").unwrap();
        let set = parse("length=9,seed=0x2a").unwrap();
        assert_eq!(set, Bounds { length: 9, seed: 42, ..default });
    }

    #[test]
    fn what_cannot_be_understood_is_named() {
        for (set, said) in [
            ("width=9", "there is no bound `width`"),
            ("length", "`length` is not NAME=NUMBER"),
            ("length=far", "`length=far`: invalid digit found in string"),
        ] {
            assert_eq!(parse(set).unwrap_err(), said);
        }
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!([0, 999, 1_000, 10_077_696].map(grouped), ["0", "999", "1,000", "10,077,696"]);
    }

    #[test]
    fn jobs_give_their_results_in_order() {
        assert_eq!(parallel(100, |job| job * job), (0..100).map(|job| job * job).collect::<Vec<_>>());
        assert!(parallel(0, |job| job).is_empty());
    }
}
