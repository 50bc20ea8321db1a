//! Which items a life can lead to, said once more and without the door's code.

use workitem_types::{WorkItemRecord, WorkItemStatus};

/// Whether legal transitions lead from a new item to this one. `tests/rehydrate.rs` holds it against a walk
/// through everything that is reachable with small counters.
pub fn is_reachable(item: &WorkItemRecord) -> bool {
    let WorkItemRecord { id: _, attempts, failures, status } = item;
    // Failures of attempts before the current one: there must have been such attempts.
    let failed_before = |attempts_before: usize| *failures == 0 || attempts_before > 0;
    match status {
        WorkItemStatus::Pending => failed_before(*attempts),
        WorkItemStatus::InProgress { .. } | WorkItemStatus::Completed { .. } => {
            attempts.checked_sub(1).is_some_and(failed_before)
        }
        WorkItemStatus::Failed { retry_count, .. } | WorkItemStatus::DeadLettered { retry_count, .. } => {
            *attempts > 0 && *failures > 0 && retry_count == failures
        }
    }
}
