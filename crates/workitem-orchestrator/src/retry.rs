//! Whether a failed item is tried again, and when.

use std::time::Duration;

use workitem_store::Cause;
use workitem_typestate::{Failed, WorkItem};

/// How often an item may fail, and how long to wait in between.
///
/// ```
/// use std::time::Duration;
/// use workitem_orchestrator::{Backoff, Retry};
///
/// let retry = Retry { max_attempts: 3, backoff: Some(Backoff::new(Duration::from_secs(1))) };
/// assert!(retry.delay(1) <= Duration::from_secs(1));
/// assert!(retry.delay(3) <= Duration::from_secs(4));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Failed runs at most; 1 is no second attempt.
    pub max_attempts: usize,
    /// How long to wait before the next attempt; `None` is not at all.
    pub backoff: Option<Backoff>,
}

impl Default for Retry {
    /// One attempt.
    fn default() -> Self {
        Self { max_attempts: 1, backoff: None }
    }
}

/// Exponential backoff with full jitter: before the attempt that follows the `n`-th failure, a random
/// time between 0 and `base * 2^(n - 1)`, and no more than `max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Longest wait after the first failure.
    pub base: Duration,
    /// Longest wait at all.
    pub max: Duration,
}

impl Backoff {
    /// Backs off from `base` up to an hour.
    pub const fn new(base: Duration) -> Self {
        Self { base, max: Duration::from_hours(1) }
    }
}

impl Retry {
    /// Whether an item that has just failed for `cause` gets another attempt. An item that took its host
    /// down too often gets none.
    pub const fn should_retry(&self, item: &WorkItem<Failed>, cause: Cause) -> bool {
        !matches!(cause, Cause::CrashLimit { .. }) && item.can_retry(self.max_attempts)
    }

    /// How long to wait after the `failures`-th failure; drawn anew at every call.
    pub fn delay(&self, failures: usize) -> Duration {
        let Some(Backoff { base, max }) = self.backoff else { return Duration::ZERO };
        let doublings = u32::try_from(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        let factor = 2_u32.checked_pow(doublings).unwrap_or(u32::MAX);
        base.saturating_mul(factor).min(max).mul_f64(fastrand::f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_limit_and_are_jittered() {
        let (base, max) = (Duration::from_secs(1), Duration::from_secs(5));
        let retry = Retry { max_attempts: 9, backoff: Some(Backoff { base, max }) };
        for (failures, longest) in [(1, 1), (2, 2), (3, 4), (4, 5), (100, 5), (usize::MAX, 5)] {
            let longest = Duration::from_secs(longest);
            let delays: Vec<Duration> = (0..200).map(|_| retry.delay(failures)).collect();
            assert!(delays.iter().all(|delay| *delay <= longest));
            assert!(delays.iter().any(|delay| *delay > longest / 2), "{failures}");
            assert!(delays.iter().any(|delay| *delay < longest / 2), "{failures}");
        }
    }

    #[test]
    fn the_budget_counts_failures() {
        let at = chrono::DateTime::UNIX_EPOCH;
        let retry = Retry { max_attempts: 2, backoff: None };
        let once = WorkItem::new("1").start("a", at).fail("exit 7");
        assert!(retry.should_retry(&once, Cause::Exit(7)));
        let twice = once.retry().start("a", at).fail("exit 7");
        assert!(!retry.should_retry(&twice, Cause::Exit(7)));
        let crashed = WorkItem::new("1").start("a", at).fail("crashed");
        assert!(!retry.should_retry(&crashed, Cause::CrashLimit { crashes: 11 }));
    }
}
