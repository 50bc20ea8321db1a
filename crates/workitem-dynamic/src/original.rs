//! The original's entry point: the clock is read, and a refusal is two names.

use chrono::Utc;
use thiserror::Error;
use workitem_types::{WorkItemEvent, WorkItemStatus};

use crate::refused::RefusedTransition;
use crate::status::transition;

/// A transition that is not legal, under the original's name and shape.
///
/// Names only: unlike the original's, it never prints a payload. [`Refused`](crate::Refused) says more, gives
/// the event back and costs no allocation.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TransitionError {
    /// The event is not legal in the current state.
    #[error("Invalid transition from {current} with event {event}")]
    Invalid {
        /// The name of the current state.
        current: String,
        /// The name of the event.
        event: String,
    },
}

impl<R, T> From<RefusedTransition<R, T>> for TransitionError {
    fn from(refused: RefusedTransition<R, T>) -> Self {
        let refused = refused.refused();
        Self::Invalid {
            current: refused.from().name().to_owned(),
            event: refused.event_kind().name().to_owned(),
        }
    }
}

/// The status that `current` becomes when the event happens now: the original's function.
///
/// The only rule of this crate that reads the clock; it is [`transition`] with [`Utc::now`].
///
/// ```
/// use workitem_dynamic::{TransitionError, WorkItemEvent, WorkItemStatus, transition_work_item};
///
/// let status = WorkItemStatus::Failed { error: "exit 7".to_string(), retry_count: 1 };
/// assert_eq!(transition_work_item(status, WorkItemEvent::Retry)?, WorkItemStatus::Pending);
///
/// let error = transition_work_item(WorkItemStatus::Pending, WorkItemEvent::Retry).unwrap_err();
/// assert_eq!(error.to_string(), "Invalid transition from Pending with event Retry");
/// # Ok::<(), TransitionError>(())
/// ```
///
/// # Errors
///
/// [`TransitionError::Invalid`] if the event is not legal in this state. Status and event are lost, as in the
/// original.
pub fn transition_work_item(
    current: WorkItemStatus,
    event: WorkItemEvent,
) -> Result<WorkItemStatus, TransitionError> {
    Ok(transition(current, event, Utc::now())?)
}
