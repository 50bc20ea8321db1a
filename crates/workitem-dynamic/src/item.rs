//! The item level: a whole item, which remembers how often it was tried and how often it failed.

use chrono::{DateTime, Utc};
use workitem_types::{Event, WorkItemRecord};

use crate::cells::{Count, happen};
use crate::refused::{Refused, RefusedTransition};

/// An item's counters, which survive every transition.
struct Kept<'a> {
    attempts: &'a mut usize,
    failures: &'a mut usize,
}

impl Count for Kept<'_> {
    fn start(&mut self) {
        *self.attempts = self.attempts.saturating_add(1);
    }

    fn fail(&mut self) -> usize {
        *self.failures = self.failures.saturating_add(1);
        *self.failures
    }

    fn fail_again(&mut self, _retry_count: usize) -> usize {
        self.fail()
    }
}

/// The event happens to `item` at `now`, in place.
///
/// `attempts` counts every `AgentStart` and `failures` every `AgentFailed`; a failed item's `retry_count` is
/// its `failures`. All three saturate.
///
/// ```
/// use chrono::{DateTime, Utc};
/// use workitem_dynamic::{WorkItemEvent, WorkItemRecord, apply_item};
///
/// let now = DateTime::<Utc>::UNIX_EPOCH;
/// let mut item = WorkItemRecord::new("42");
/// for _ in 0..2 {
///     apply_item(&mut item, WorkItemEvent::AgentStart { agent_id: "agent-1".into() }, now)?;
///     apply_item(&mut item, WorkItemEvent::AgentFailed { error: "exit 7".into() }, now)?;
///     apply_item(&mut item, WorkItemEvent::Retry, now)?;
/// }
/// assert_eq!((item.attempts, item.failures), (2, 2)); // the original would have forgotten
/// # Ok::<(), workitem_dynamic::Refused>(())
/// ```
///
/// # Errors
///
/// [`Refused`] if the event is not legal in the item's state; `item` is untouched and the event comes back.
pub fn apply_item<R>(
    item: &mut WorkItemRecord<R>,
    event: Event<R>,
    now: DateTime<Utc>,
) -> Result<(), Refused<R>> {
    let WorkItemRecord { id: _, attempts, failures, status } = item;
    happen(status, event, now, &mut Kept { attempts, failures })
}

/// The item that `current` becomes when the event happens at `now`: [`apply_item`], by value.
///
/// ```
/// use chrono::{DateTime, Utc};
/// use workitem_dynamic::{WorkItemEvent, WorkItemRecord, transition_item};
///
/// let now = DateTime::<Utc>::UNIX_EPOCH;
/// let refused = transition_item(WorkItemRecord::new("42"), WorkItemEvent::Retry, now).unwrap_err();
/// assert_eq!(refused.to_string(), "event `Retry` is not legal in state `Pending`: only `AgentStart` is");
/// let (item, event) = refused.into_parts();
/// assert_eq!((item, event), (WorkItemRecord::new("42"), WorkItemEvent::Retry));
/// ```
///
/// # Errors
///
/// [`RefusedTransition`] if the event is not legal in the item's state; it gives item and event back.
#[expect(
    clippy::result_large_err,
    reason = "an item in a refusal is as large as the item in the `Ok`; a box would allocate"
)]
pub fn transition_item<R>(
    mut current: WorkItemRecord<R>,
    event: Event<R>,
    now: DateTime<Utc>,
) -> Result<WorkItemRecord<R>, RefusedTransition<R, WorkItemRecord<R>>> {
    match apply_item(&mut current, event, now) {
        Ok(()) => Ok(current),
        Err(refused) => Err(RefusedTransition::new(current, refused)),
    }
}

#[cfg(test)]
mod tests {
    use workitem_types::{WorkItemEvent, WorkItemStatus};

    use super::*;

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    #[test]
    fn counters_saturate() {
        let mut item =
            WorkItemRecord { attempts: usize::MAX, failures: usize::MAX, ..WorkItemRecord::new("1") };
        apply_item(&mut item, WorkItemEvent::AgentStart { agent_id: "a".into() }, NOW).unwrap();
        for _ in 0..2 {
            apply_item(&mut item, WorkItemEvent::AgentFailed { error: "e".into() }, NOW).unwrap();
            assert_eq!(item.status, WorkItemStatus::Failed { error: "e".into(), retry_count: usize::MAX });
        }
        assert_eq!((item.attempts, item.failures), (usize::MAX, usize::MAX));

        crate::apply(&mut item.status, WorkItemEvent::AgentFailed { error: "f".into() }, NOW).unwrap();
        assert_eq!(item.status, WorkItemStatus::Failed { error: "f".into(), retry_count: usize::MAX });
    }

    #[test]
    fn a_dead_letter_keeps_its_own_count() {
        let mut item = WorkItemRecord { attempts: 1, failures: 5, ..WorkItemRecord::new("1") };
        item.status = WorkItemStatus::Failed { error: "e".into(), retry_count: 3 };
        apply_item(&mut item, WorkItemEvent::MoveToDeadLetter, NOW).unwrap();
        assert_eq!(
            item.status,
            WorkItemStatus::DeadLettered { error: "e".into(), retry_count: 3, dlq_at: NOW }
        );
    }
}
