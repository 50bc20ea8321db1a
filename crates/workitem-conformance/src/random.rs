//! Random tests that shrink what they find, and are seen again by one line.

use std::env;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
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
        Some((found, seed))
    });
    if let Some((found, seed)) = failures.into_iter().flatten().next() {
        panic!("{found}\nto see it again: {}", command(seed));
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

/// The line that runs the current test alone, from the top of the repository.
fn command(seed: u64) -> String {
    let (folder, package) = tested();
    let program = env::current_exe().unwrap_or_default();
    let program = program.file_stem().unwrap_or_default().to_string_lossy();
    let target = match program.rsplit_once('-') {
        Some((target, _)) if target != package.replace('-', "_") => format!("--test {target}"),
        Some(_) | None => "--lib".to_owned(),
    };
    format!(
        "{folder}{VARIABLE}=seed={seed:#x} cargo test -p {package} {target} -- --exact {}",
        current_test()
    )
}

/// Where to go first, and whose tests these are. Cargo tells a test program; those of `peers/` come here too, and
/// are of a workspace of their own.
fn tested() -> (String, String) {
    let package = env::var("CARGO_PKG_NAME").unwrap_or_else(|_| env!("CARGO_PKG_NAME").to_owned());
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = env::var("CARGO_MANIFEST_DIR").map_or_else(|_| here.to_owned(), PathBuf::from);
    let top = here.ancestors().nth(2).expect("the crate is in `crates/`, below the top");
    let folder = match manifest.strip_prefix(top) {
        Ok(below) if !below.starts_with("crates") => format!("cd {} && ", below.display()),
        Ok(_) | Err(_) => String::new(),
    };
    (folder, package)
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
        let test = "-p workitem-conformance --lib -- --exact random::tests::a_failure_is_shrunk_and_tells_how_to_see_it_again";
        assert!(said.contains(&seed) && said.ends_with(test), "{said}");
    }
}
