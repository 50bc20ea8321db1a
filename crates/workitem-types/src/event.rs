//! What can happen to an item.

use serde::{Deserialize, Serialize};

use crate::{AgentResult, EventKind};

/// An event of an item whose completion carries an [`AgentResult`].
pub type WorkItemEvent = Event<AgentResult>;

/// Something that happened to a work item. Whether it is legal depends on the item's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event<R> {
    /// An agent starts on the item.
    AgentStart {
        /// Who works on it.
        agent_id: String,
    },
    /// The agent succeeded.
    AgentComplete {
        /// What it hands back.
        result: Box<R>,
    },
    /// The agent failed.
    AgentFailed {
        /// Why, for people.
        error: String,
    },
    /// The run was interrupted; the agent is gone.
    Interrupt,
    /// The item gets another attempt.
    Retry,
    /// The item is given up.
    MoveToDeadLetter,
}

impl<R> Event<R> {
    /// The event without its payload.
    ///
    /// ```
    /// # use workitem_types::{EventKind, WorkItemEvent};
    /// assert_eq!(WorkItemEvent::Retry.kind(), EventKind::Retry);
    /// ```
    pub const fn kind(&self) -> EventKind {
        match self {
            Self::AgentStart { .. } => EventKind::AgentStart,
            Self::AgentComplete { .. } => EventKind::AgentComplete,
            Self::AgentFailed { .. } => EventKind::AgentFailed,
            Self::Interrupt => EventKind::Interrupt,
            Self::Retry => EventKind::Retry,
            Self::MoveToDeadLetter => EventKind::MoveToDeadLetter,
        }
    }
}
