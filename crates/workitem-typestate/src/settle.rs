//! What becomes of a failure: a policy decides, the types follow.

use chrono::{DateTime, Utc};

use crate::events::{MoveToDeadLetter, Retry};
use crate::item::WorkItem;
use crate::state::{DeadLettered, Failed, Pending};
use crate::step::Step;

/// Decides whether a failed item gets another attempt.
///
/// Any `Fn(&WorkItem<Failed>) -> bool` is a policy.
pub trait RetryPolicy {
    /// Whether `item`, which has just failed, is to be retried.
    fn should_retry(&self, item: &WorkItem<Failed>) -> bool;
}

impl<F: Fn(&WorkItem<Failed>) -> bool> RetryPolicy for F {
    fn should_retry(&self, item: &WorkItem<Failed>) -> bool {
        self(item)
    }
}

/// Retry until an item has failed this many times: `MaxAttempts(3)` means three failed runs at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxAttempts(pub usize);

impl RetryPolicy for MaxAttempts {
    fn should_retry(&self, item: &WorkItem<Failed>) -> bool {
        item.can_retry(self.0)
    }
}

/// Where [`WorkItem::settle`] led.
#[derive(Debug)]
#[must_use = "it holds the work item"]
pub enum Settled {
    /// The item gets another attempt.
    Retry(WorkItem<Pending>),
    /// The item is given up.
    DeadLetter(WorkItem<DeadLettered>),
}

impl WorkItem<Failed> {
    /// Retries the item if `policy` says so, and gives it up otherwise.
    pub fn settle(self, policy: &impl RetryPolicy, now: DateTime<Utc>) -> Settled {
        if policy.should_retry(&self) {
            Settled::Retry(self.retry())
        } else {
            Settled::DeadLetter(self.dead_letter(now))
        }
    }
}

/// Where [`Step::settle`] led.
#[derive(Debug)]
#[must_use = "it holds the work item"]
pub enum SettledStep {
    /// The item gets another attempt.
    Retry(Step<Pending>),
    /// The item is given up.
    DeadLetter(Step<DeadLettered>),
}

impl Step<Failed> {
    /// Retries the item within the same step if `policy` says so, and gives it up otherwise.
    pub fn settle(self, policy: &impl RetryPolicy, now: DateTime<Utc>) -> SettledStep {
        if policy.should_retry(self.item()) {
            SettledStep::Retry(self.then(Retry, now))
        } else {
            SettledStep::DeadLetter(self.then(MoveToDeadLetter, now))
        }
    }
}
