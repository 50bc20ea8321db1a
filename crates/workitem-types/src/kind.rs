//! States and events without their payloads: what refusals, tables and diagrams speak of.

use std::fmt;

/// The five states of a work item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StatusKind {
    /// Waiting for an agent.
    Pending,
    /// An agent is working on it.
    InProgress,
    /// Done; terminal.
    Completed,
    /// The agent failed; to be retried or given up.
    Failed,
    /// Given up; terminal.
    DeadLettered,
}

impl StatusKind {
    /// Every state, in the order of the life cycle.
    pub const ALL: [Self; 5] =
        [Self::Pending, Self::InProgress, Self::Completed, Self::Failed, Self::DeadLettered];

    /// The state's name, as it stands in JSON.
    ///
    /// ```
    /// # use workitem_types::StatusKind;
    /// assert_eq!(StatusKind::InProgress.name(), "InProgress");
    /// ```
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::InProgress => "InProgress",
            Self::Completed => "Completed",
            Self::Failed => "Failed",
            Self::DeadLettered => "DeadLettered",
        }
    }

    /// Whether no event ever leaves this state.
    ///
    /// ```
    /// # use workitem_types::StatusKind;
    /// assert!(StatusKind::DeadLettered.is_terminal());
    /// assert!(!StatusKind::Failed.is_terminal());
    /// ```
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Completed | Self::DeadLettered => true,
            Self::Pending | Self::InProgress | Self::Failed => false,
        }
    }
}

impl fmt::Display for StatusKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The six events that can happen to a work item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EventKind {
    /// An agent starts on the item.
    AgentStart,
    /// The agent succeeded.
    AgentComplete,
    /// The agent failed.
    AgentFailed,
    /// The run was interrupted; the agent is gone.
    Interrupt,
    /// The item gets another attempt.
    Retry,
    /// The item is given up.
    MoveToDeadLetter,
}

impl EventKind {
    /// Every event, in the order of the original's declaration.
    pub const ALL: [Self; 6] = [
        Self::AgentStart,
        Self::AgentComplete,
        Self::AgentFailed,
        Self::Interrupt,
        Self::Retry,
        Self::MoveToDeadLetter,
    ];

    /// The event's name, as it stands in JSON.
    ///
    /// ```
    /// # use workitem_types::EventKind;
    /// assert_eq!(EventKind::MoveToDeadLetter.name(), "MoveToDeadLetter");
    /// ```
    pub const fn name(self) -> &'static str {
        match self {
            Self::AgentStart => "AgentStart",
            Self::AgentComplete => "AgentComplete",
            Self::AgentFailed => "AgentFailed",
            Self::Interrupt => "Interrupt",
            Self::Retry => "Retry",
            Self::MoveToDeadLetter => "MoveToDeadLetter",
        }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
