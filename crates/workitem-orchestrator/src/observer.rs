//! Telling the caller what happens. Everything told is durable.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use workitem_store::{AttemptOutput, Cause, Control, JobCounts, Recovered};
use workitem_types::ItemId;

/// Sees what happens in a run, in order, from the orchestrator's own thread: while it does not return,
/// nothing more is claimed or recorded.
pub trait Observer {
    /// Something happened, and is durable.
    fn event(&mut self, event: &Event<'_>);

    /// How often to call [`progress`](Self::progress); `None` is never.
    fn every(&self) -> Option<Duration> {
        None
    }

    /// How far the run is.
    fn progress(&mut self, progress: &Progress<'_>) {
        let _ = progress;
    }
}

/// Sees nothing.
impl Observer for () {
    fn event(&mut self, _: &Event<'_>) {}
}

/// Something that happened and is durable.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// What an orchestrator that went away had left behind, if anything, was put in order. The first event
    /// of every run; nothing was claimed yet.
    Recovered {
        /// Processes that outlived it and were ended.
        orphans: usize,
        /// Its items.
        items: Recovered,
    },
    /// Something else is wanted of the job by now: it was paused, cancelled, or may go on.
    Controlled {
        /// What is wanted.
        control: Control,
    },
    /// An attempt ended.
    Ended {
        /// The item.
        item: &'a ItemId,
        /// Its position in the job.
        seq: u64,
        /// The attempt, from 1.
        attempt: usize,
        /// How long it took.
        took: Duration,
        /// What it printed.
        output: &'a AttemptOutput,
        /// What became of the item.
        outcome: Outcome<'a>,
    },
    /// The item was taken over by somebody else while the agent ran; nothing was recorded.
    Fenced {
        /// The item.
        item: &'a ItemId,
        /// Its position in the job.
        seq: u64,
    },
}

/// What became of an item after an attempt.
#[derive(Debug, Clone, Copy)]
pub enum Outcome<'a> {
    /// It is done.
    Completed,
    /// It failed and will be tried again.
    Retrying {
        /// Why it failed, for people.
        error: &'a str,
        /// Why, as a type.
        cause: Option<Cause>,
        /// When it is due.
        run_at: Option<DateTime<Utc>>,
    },
    /// It failed and was given up.
    DeadLettered {
        /// Why it failed, for people.
        error: &'a str,
        /// Why, as a type.
        cause: Option<Cause>,
    },
    /// It was stopped and put back.
    Interrupted,
}

impl Outcome<'_> {
    /// What became of the item, in a word.
    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Retrying { .. } => "retrying",
            Self::DeadLettered { .. } => "dead-lettered",
            Self::Interrupted => "interrupted",
        }
    }
}

/// How far a run is.
#[derive(Debug)]
pub struct Progress<'a> {
    /// The job's counts.
    pub counts: &'a JobCounts,
    /// What runs right now, longest-running first.
    pub running: &'a [Running],
    /// Attempts that this run has recorded.
    pub recorded: usize,
    /// Since when this run claims.
    pub since: Instant,
}

/// An item that an agent works on.
#[derive(Debug, Clone)]
pub struct Running {
    /// The item.
    pub item: ItemId,
    /// Since when.
    pub since: Instant,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_says_nothing_of_it_is_not_told_how_far_a_run_is() {
        assert_eq!(().every(), None);
    }

    #[test]
    fn each_outcome_has_its_word() {
        let outcomes = [
            Outcome::Completed,
            Outcome::Retrying { error: "", cause: None, run_at: None },
            Outcome::DeadLettered { error: "", cause: None },
            Outcome::Interrupted,
        ];
        let words = ["completed", "retrying", "dead-lettered", "interrupted"];
        assert_eq!(outcomes.map(|outcome| outcome.word()), words);
    }
}
