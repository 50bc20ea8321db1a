//! Where an item stands.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{AgentResult, StatusKind};

/// The status of an item whose completion carries an [`AgentResult`].
pub type WorkItemStatus = Status<AgentResult>;

/// Where a work item stands, with what belongs to that state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status<R> {
    /// Waiting for an agent.
    Pending,
    /// An agent is working on it.
    InProgress {
        /// Who works on it.
        agent_id: String,
        /// Since when.
        started_at: DateTime<Utc>,
    },
    /// Done; terminal.
    Completed {
        /// What the agent handed back.
        result: Box<R>,
    },
    /// The agent failed; to be retried or given up.
    Failed {
        /// Why, for people.
        error: String,
        /// How many failures there were, this one included.
        retry_count: usize,
    },
    /// Given up; terminal.
    DeadLettered {
        /// Why it failed last.
        error: String,
        /// How many failures there were.
        retry_count: usize,
        /// When it was given up.
        dlq_at: DateTime<Utc>,
    },
}

impl<R> Status<R> {
    /// The state without its payload.
    pub const fn kind(&self) -> StatusKind {
        match self {
            Self::Pending => StatusKind::Pending,
            Self::InProgress { .. } => StatusKind::InProgress,
            Self::Completed { .. } => StatusKind::Completed,
            Self::Failed { .. } => StatusKind::Failed,
            Self::DeadLettered { .. } => StatusKind::DeadLettered,
        }
    }

    /// The state's name: `kind().name()`, under the original's name.
    pub const fn discriminant(&self) -> &'static str {
        self.kind().name()
    }

    /// Whether both are in the same state, whatever their payloads.
    ///
    /// ```
    /// # use workitem_types::WorkItemStatus;
    /// let once = WorkItemStatus::Failed { error: "exit 1".into(), retry_count: 1 };
    /// let twice = WorkItemStatus::Failed { error: "exit 7".into(), retry_count: 2 };
    /// assert!(once.matches(&twice));
    /// assert!(!once.matches(&WorkItemStatus::Pending));
    /// ```
    pub fn matches(&self, other: &Self) -> bool {
        self.kind() == other.kind()
    }

    /// Whether the item has failed fewer than `max_retries` times; `false` in every other state.
    ///
    /// The bound counts failures, the first included, as in the original: with `max_retries = 3` an
    /// item runs three times at most.
    pub const fn can_retry(&self, max_retries: usize) -> bool {
        match self {
            Self::Failed { retry_count, .. } => *retry_count < max_retries,
            Self::Pending | Self::InProgress { .. } | Self::Completed { .. } | Self::DeadLettered { .. } => {
                false
            }
        }
    }

    /// Whether no event ever leaves this state.
    pub const fn is_terminal(&self) -> bool {
        self.kind().is_terminal()
    }

    /// Whether the item waits for an agent.
    pub const fn needs_processing(&self) -> bool {
        match self {
            Self::Pending => true,
            Self::InProgress { .. }
            | Self::Completed { .. }
            | Self::Failed { .. }
            | Self::DeadLettered { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_takes_no_more_room_than_the_originals() {
        assert!(size_of::<WorkItemStatus>() <= 48);
    }
}
