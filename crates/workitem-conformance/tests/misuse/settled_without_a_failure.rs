// There is nothing to settle before a failure.
// The error names `WorkItem<InProgress>` and `settle`.

use chrono::{DateTime, Utc};
use workitem_typestate::{InProgress, MaxAttempts, WorkItem};

fn misuse(item: WorkItem<InProgress>, policy: &MaxAttempts, now: DateTime<Utc>) {
    let _settled = item.settle(policy, now);
}

fn main() {}
