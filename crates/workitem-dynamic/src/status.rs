//! The status level: the original's rule, on a status alone.

use chrono::{DateTime, Utc};
use workitem_types::{Event, Status};

use crate::cells::{Count, happen};
use crate::refused::{Refused, RefusedTransition};

/// A status knows of no failure before its own.
struct Forgetful;

impl Count for Forgetful {
    fn start(&mut self) {}

    fn fail(&mut self) -> usize {
        1
    }

    fn fail_again(&mut self, retry_count: usize) -> usize {
        retry_count.saturating_add(1)
    }
}

/// The event happens to `status` at `now`, in place.
///
/// The first failure of an attempt gives `retry_count: 1`, whatever came before, as in the original;
/// [`apply_item`](crate::apply_item) remembers.
///
/// ```
/// use chrono::{DateTime, Utc};
/// use workitem_dynamic::{WorkItemEvent, WorkItemStatus, apply};
///
/// let now = DateTime::<Utc>::UNIX_EPOCH;
/// let mut status = WorkItemStatus::Failed { error: "exit 7".into(), retry_count: 2 };
/// apply(&mut status, WorkItemEvent::MoveToDeadLetter, now)?;
/// assert_eq!(
///     status,
///     WorkItemStatus::DeadLettered { error: "exit 7".into(), retry_count: 2, dlq_at: now }
/// );
/// # Ok::<(), workitem_dynamic::Refused>(())
/// ```
///
/// # Errors
///
/// [`Refused`] if the event is not legal in this state; `status` is untouched and the event comes back.
pub fn apply<R>(status: &mut Status<R>, event: Event<R>, now: DateTime<Utc>) -> Result<(), Refused<R>> {
    happen(status, event, now, &mut Forgetful)
}

/// The status that `current` becomes when the event happens at `now`: [`apply`], by value.
///
/// ```
/// use chrono::{DateTime, Utc};
/// use workitem_dynamic::{WorkItemEvent, WorkItemStatus, transition};
///
/// let now = DateTime::<Utc>::UNIX_EPOCH;
/// let next = transition(WorkItemStatus::Pending, WorkItemEvent::AgentStart { agent_id: "a".into() }, now)?;
/// assert_eq!(next, WorkItemStatus::InProgress { agent_id: "a".into(), started_at: now });
///
/// let (status, event) = transition(next.clone(), WorkItemEvent::Retry, now).unwrap_err().into_parts();
/// assert_eq!((status, event), (next, WorkItemEvent::Retry));
/// # Ok::<(), workitem_dynamic::RefusedTransition>(())
/// ```
///
/// # Errors
///
/// [`RefusedTransition`] if the event is not legal in this state; it gives status and event back.
pub fn transition<R>(
    mut current: Status<R>,
    event: Event<R>,
    now: DateTime<Utc>,
) -> Result<Status<R>, RefusedTransition<R>> {
    match apply(&mut current, event, now) {
        Ok(()) => Ok(current),
        Err(refused) => Err(RefusedTransition::new(current, refused)),
    }
}
