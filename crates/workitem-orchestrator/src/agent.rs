//! What runs an item: a command, a closure, or your own [`Agent`].

use std::time::{Duration, Instant};

use thiserror::Error;
use workitem_store::{AttemptOutput, Blobs, Cause, JobId, Payload, StoreError};
use workitem_types::{AgentResult, ItemId};

use crate::cancel::Cancel;

/// Works on one item at a time; called from several threads at once.
pub trait Agent: Send + Sync {
    /// Works on `task` until it is done, has failed, or is told to stop.
    ///
    /// # Errors
    ///
    /// [`Fault`] if the attempt could not be made, or its output not be kept. That is no failure of the item: the
    /// orchestrator stops.
    fn run(&self, task: &Task<'_>) -> Result<Ended, Fault>;
}

/// Why an attempt could not be made, or its output not be kept, through no fault of the item. The item is
/// put back and the run ends: other items would fare no better.
#[derive(Debug, Error)]
pub enum Fault {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system has no room: too many processes or open files, no memory.
    #[error("{0}")]
    System(String),
}

/// One attempt at one item, as its agent sees it.
pub struct Task<'a> {
    /// The job's name.
    pub job: &'a str,
    /// The job's number in the store.
    pub job_id: JobId,
    /// The item.
    pub item: &'a ItemId,
    /// The item's position in the job.
    pub seq: u64,
    /// The attempt, from 1.
    pub attempt: usize,
    /// The item's input.
    pub payload: &'a Payload,
    /// This run of the orchestrator; processes that carry it in their environment are its agents.
    pub run: &'a str,
    /// When the attempt started.
    pub started: Instant,
    /// How long the attempt may take.
    pub timeout: Option<Duration>,
    /// Raised when the orchestrator stops.
    pub cancel: &'a Cancel,
    /// Where long output goes.
    pub blobs: &'a dyn Blobs,
}

impl Task<'_> {
    /// Whether the orchestrator stops. An agent that can stop in the middle then returns an error, and
    /// the item is put back.
    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// When the attempt's time is up; `None` if it may take as long as it likes.
    pub fn deadline(&self) -> Option<Instant> {
        self.started.checked_add(self.timeout?)
    }

    /// How much of its time is left; `None` if it may take as long as it likes.
    pub fn remaining(&self) -> Option<Duration> {
        self.deadline().map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Whether the attempt is to end: its time is up, or the orchestrator stops.
    pub fn should_stop(&self) -> bool {
        self.is_cancelled() || self.remaining() == Some(Duration::ZERO)
    }

    /// Sleeps for `duration`, or until the attempt is to end; says whether it is to end.
    pub fn sleep(&self, duration: Duration) -> bool {
        let duration = self.remaining().map_or(duration, |remaining| remaining.min(duration));
        self.cancel.wait_timeout(duration);
        self.should_stop()
    }
}

/// How an attempt ended, and what it printed.
#[derive(Debug)]
pub struct Ended {
    /// How it ended.
    pub how: How,
    /// What it printed.
    pub output: AttemptOutput,
}

/// How an attempt ended.
#[derive(Debug)]
pub enum How {
    /// Done.
    Completed(Box<AgentResult>),
    /// Failed, for people and as a type.
    Failed {
        /// Why, for people.
        error: String,
        /// Why, as a type.
        cause: Cause,
    },
    /// Stopped on request before it was done.
    Interrupted,
}
