//! Jobs: what a set of items has in common.

use std::fmt;

use chrono::{DateTime, Utc};
use serde_json::Value;
use workitem_types::{StatusCounts, StatusKind};

/// The number of a job within its store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(pub i64);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A job as the store knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Its number.
    pub id: JobId,
    /// Its name, unique within the store.
    pub name: String,
    /// How to run it: the orchestrator's and the command line's business, opaque here.
    pub spec: Value,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// The digest of its input, once all of it was submitted; `None` while the job is *submitting*.
    pub digest: Option<String>,
    /// How many items its input had, once all of it was submitted: those at the positions up to this one. What
    /// stands behind was added later, or submitted anew for a dead letter.
    pub input_items: u64,
}

impl Job {
    /// Whether all its input was submitted.
    pub const fn is_sealed(&self) -> bool {
        self.digest.is_some()
    }
}

/// What those who control a job want of whoever runs it. Kept with the job, so that any process can say it, and
/// one that starts later finds it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Control {
    /// Run it.
    #[default]
    Run,
    /// Claim nothing more until that is taken back; what runs may go on.
    Pause,
    /// Claim nothing more, and stop what runs.
    Cancel,
}

/// How far a job is. Kept by every writer in its own transaction, never found by scanning.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobCounts {
    /// Items by state.
    pub by_status: StatusCounts,
    /// Dead letters that nobody has dealt with: no successor completed, and they were not dropped.
    pub open_letters: usize,
    /// Lines of the input that could not be items and were passed over.
    pub skipped: usize,
}

impl JobCounts {
    /// Whether no item will change any more.
    pub const fn is_finished(&self) -> bool {
        self.by_status.pending == 0 && self.by_status.in_progress == 0 && self.by_status.failed == 0
    }

    /// Items that will not change any more.
    pub const fn settled(&self) -> usize {
        self.by_status.completed + self.by_status.dead_lettered
    }

    /// Items in one state.
    pub const fn of(&mut self, kind: StatusKind) -> &mut usize {
        match kind {
            StatusKind::Pending => &mut self.by_status.pending,
            StatusKind::InProgress => &mut self.by_status.in_progress,
            StatusKind::Completed => &mut self.by_status.completed,
            StatusKind::Failed => &mut self.by_status.failed,
            StatusKind::DeadLettered => &mut self.by_status.dead_lettered,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_finished_when_every_item_is_settled() {
        let mut counts = JobCounts::default();
        for kind in StatusKind::ALL {
            *counts.of(kind) = 3;
        }
        assert_eq!((counts.settled(), counts.is_finished()), (6, false));
        for kind in [StatusKind::Pending, StatusKind::InProgress, StatusKind::Failed] {
            let mut unsettled = JobCounts::default();
            *unsettled.of(kind) = 1;
            assert!(!unsettled.is_finished(), "{kind}");
            *counts.of(kind) = 0;
        }
        assert_eq!((counts.settled(), counts.is_finished()), (6, true));
    }
}
