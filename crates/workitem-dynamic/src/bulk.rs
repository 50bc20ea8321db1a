//! Many statuses at once: for a host that comes back, and for counting a job.

use workitem_types::{Status, StatusCounts, WorkItemStatus};

/// Interrupts whatever is in progress, in place; returns how many were.
///
/// Items in every other state are left as they are: an interrupt is not legal there, and none is needed.
///
/// ```
/// use chrono::{DateTime, Utc};
/// use workitem_dynamic::{WorkItemStatus, interrupt_all};
///
/// let mut statuses = [
///     WorkItemStatus::InProgress { agent_id: "agent-1".into(), started_at: DateTime::<Utc>::UNIX_EPOCH },
///     WorkItemStatus::Failed { error: "exit 7".into(), retry_count: 1 },
/// ];
/// assert_eq!(interrupt_all(&mut statuses), 1);
/// assert_eq!(statuses[0], WorkItemStatus::Pending);
/// assert_eq!(statuses[1], WorkItemStatus::Failed { error: "exit 7".into(), retry_count: 1 });
/// ```
pub fn interrupt_all<'a, R: 'a>(statuses: impl IntoIterator<Item = &'a mut Status<R>>) -> usize {
    statuses.into_iter().map(|status| usize::from(interrupt(status))).sum()
}

/// Interrupts whatever is in progress: [`interrupt_all`] by value, with the original's name and shape.
///
/// ```
/// use chrono::{DateTime, Utc};
/// use workitem_dynamic::{WorkItemStatus, apply_interrupt_to_all};
///
/// let status = WorkItemStatus::InProgress { agent_id: "agent-1".into(), started_at: DateTime::<Utc>::UNIX_EPOCH };
/// let items = apply_interrupt_to_all([("42".to_string(), status)]);
/// assert_eq!(items, [("42".to_string(), WorkItemStatus::Pending)]);
/// ```
pub fn apply_interrupt_to_all<I>(statuses: I) -> Vec<(String, WorkItemStatus)>
where
    I: IntoIterator<Item = (String, WorkItemStatus)>,
{
    statuses
        .into_iter()
        .map(|(id, mut status)| {
            interrupt(&mut status);
            (id, status)
        })
        .collect()
}

/// Whether the item was in progress; it is pending now if so.
fn interrupt<R>(status: &mut Status<R>) -> bool {
    match status {
        Status::InProgress { .. } => {
            *status = Status::Pending;
            true
        }
        Status::Pending | Status::Completed { .. } | Status::Failed { .. } | Status::DeadLettered { .. } => {
            false
        }
    }
}

/// How many items are in each state.
///
/// ```
/// use workitem_dynamic::{StatusCounts, WorkItemStatus, count_by_status};
///
/// let statuses = [WorkItemStatus::Pending, WorkItemStatus::Failed { error: "exit 7".into(), retry_count: 1 }];
/// let counts = count_by_status(&statuses);
/// assert_eq!(counts, StatusCounts { pending: 1, failed: 1, ..StatusCounts::default() });
/// ```
pub fn count_by_status<'a, I>(statuses: I) -> StatusCounts
where
    I: IntoIterator<Item = &'a WorkItemStatus>,
{
    // Indexed and not branched on: statuses come in no order that a branch predictor could learn.
    let mut counts = [0_usize; 5];
    for status in statuses {
        counts[status.kind() as usize] += 1;
    }
    let [pending, in_progress, completed, failed, dead_lettered] = counts;
    StatusCounts { pending, in_progress, completed, failed, dead_lettered }
}
