//! Random tests that shrink what they find, and are seen again by one line.

use std::env;
use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestError, TestRunner};

use crate::bounds::{VARIABLE, bounds, covered, grouped, parallel};

/// Cases that share a seed: so many at most are run to see one again.
const BATCH: u32 = 250;

/// Runs `test` on `cases` values, on all cores. What makes it fail is shrunk, and the seed printed.
///
/// # Panics
///
/// If the test fails.
pub fn check<S: Strategy>(cases: u32, strategy: impl Fn() -> S + Sync, test: impl Fn(S::Value) + Sync)
where
    S::Value: Debug,
{
    let failed = AtomicBool::new(false);
    let batches = cases.div_ceil(BATCH).max(1);
    let failures = parallel(batches as usize, |batch| {
        if failed.load(Ordering::Relaxed) {
            return None;
        }
        // The first batch has the seed itself, so that a seed that was printed is met at once. The factor is
        // odd, so no batch meets another's.
        let seed = bounds().seed.wrapping_add((batch as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let found = run(seed, &strategy(), &test)?;
        failed.store(true, Ordering::Relaxed);
        Some(format!("{found}\nto see it again: {}", seed_as_variable(seed)))
    });
    if let Some(found) = failures.into_iter().flatten().next() {
        panic!("{found} {}", command());
    }
    let cases = grouped(batches as usize * BATCH as usize);
    covered(format_args!("{cases} random cases: {}", current_test().replace("::", ": ").replace('_', " ")));
}

/// Runs one batch; says what made it fail, made as small as it gets.
fn run<S: Strategy>(seed: u64, strategy: &S, test: impl Fn(S::Value)) -> Option<String> {
    let config = Config {
        cases: BATCH,
        failure_persistence: None,
        max_shrink_iters: 20_000,
        rng_seed: RngSeed::Fixed(seed),
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(strategy, |value| {
        test(value);
        Ok(())
    });
    match outcome.err()? {
        TestError::Fail(why, smallest) => Some(format!("{why}\nthe smallest case: {smallest:#?}")),
        TestError::Abort(why) => Some(format!("gave up: {why}")),
    }
}

fn seed_as_variable(seed: u64) -> String {
    format!("{VARIABLE}=seed={seed:#x}")
}

/// The command that runs the current test alone.
fn command() -> String {
    let program = env::current_exe().unwrap_or_default();
    let program = program.file_stem().unwrap_or_default().to_string_lossy();
    let target = match program.rsplit_once('-') {
        Some(("workitem_conformance", _)) | None => "--lib".to_owned(),
        Some((target, _)) => format!("--test {target}"),
    };
    format!("cargo test -p workitem-conformance {target} -- --exact {}", current_test())
}

/// Each test has a thread of its own, which has its name.
fn current_test() -> String {
    thread::current().name().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    fn failure() -> String {
        let failing = || check(1, any::<u32>, |n| assert!(n < 1_000, "{n} is too much"));
        let panic = catch_unwind(AssertUnwindSafe(failing)).expect_err("it fails");
        *panic.downcast::<String>().expect("a message")
    }

    #[test]
    fn a_failure_is_shrunk_and_tells_how_to_see_it_again() {
        let said = failure();
        assert!(said.starts_with("1000 is too much\nthe smallest case: 1000\n"), "{said}");
        let seed = format!("WORKITEM_PROOF=seed={:#x} cargo test", bounds().seed);
        let test = "--lib -- --exact random::tests::a_failure_is_shrunk_and_tells_how_to_see_it_again";
        assert!(said.contains(&seed) && said.ends_with(test), "{said}");
    }
}
