//! How many items stand where.

use serde::{Deserialize, Serialize};

/// Number of items in each state.
///
/// ```
/// # use workitem_types::StatusCounts;
/// let counts = StatusCounts { pending: 2, completed: 3, ..StatusCounts::default() };
/// assert_eq!(counts.total(), 5);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusCounts {
    /// Waiting for an agent.
    pub pending: usize,
    /// Being worked on.
    pub in_progress: usize,
    /// Done.
    pub completed: usize,
    /// Failed, neither retried nor given up yet.
    pub failed: usize,
    /// Given up.
    pub dead_lettered: usize,
}

impl StatusCounts {
    /// All items.
    pub const fn total(&self) -> usize {
        self.pending + self.in_progress + self.completed + self.failed + self.dead_lettered
    }
}
