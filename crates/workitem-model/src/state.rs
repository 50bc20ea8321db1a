//! One moment: what is on disk, what the store knows beyond that, what the workers do, and what is under way.

use std::sync::Arc;

use workitem_store::Outcome;

use crate::disk::{Disk, Item};
use crate::{Bounds, Trouble};

/// A moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// What is durable.
    pub disk: Disk,
    /// Transactions that are not, in their order. A crash of the store keeps the first few of them, or none.
    pub unsynced: Vec<Transaction>,
    /// The workers.
    pub workers: Vec<Worker>,
    /// Requests on their way to the store, in an order that says nothing: they arrive in any.
    pub under_way: Vec<Request>,
    /// What workers were told about each item.
    pub told: Vec<Told>,
    /// What may still go wrong.
    pub left: Trouble,
    /// Whether a write under a stale token has changed an item.
    pub stale_write: bool,
}

/// What the store has done in one go, and whom it will answer once that is durable.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Transaction {
    /// What the store holds afterwards.
    pub after: Disk,
    /// To whom it says what.
    pub answer: Option<Answer>,
}

/// A worker: whoever claims an item, runs its agent and reports what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Worker {
    /// It has nothing to do.
    Idle,
    /// It has asked for an item and waits.
    Asking,
    /// It has an item, as it was claimed, and runs its agent.
    Running(Arc<Item>),
    /// It has reported, and waits for the answer.
    Reporting(Request),
}

/// A step to be recorded. It is made where it arrives: it follows from the item as it was claimed and the verdict.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Request {
    /// The item as it was claimed.
    pub claimed: Arc<Item>,
    /// Who reports.
    pub worker: usize,
    /// What came of the attempt.
    pub verdict: Verdict,
}

/// What came of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verdict {
    /// The agent has done it.
    Completed,
    /// The agent failed; what follows from that is in the same step.
    Failed,
    /// The agent failed, and its worker dies before it says what follows.
    Stranded,
    /// It was told to stop.
    Interrupted,
}

/// What the store says.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Answer {
    /// Here is an item.
    Claimed {
        /// For whom.
        worker: usize,
        /// The item.
        item: Arc<Item>,
    },
    /// That became of the step.
    Recorded {
        /// What was asked.
        request: Request,
        /// What became of it.
        is_written: bool,
        /// The item's version after the step.
        version: u64,
    },
}

impl Answer {
    /// For whom it is.
    pub const fn worker(&self) -> usize {
        match self {
            Self::Claimed { worker, .. } => *worker,
            Self::Recorded { request, .. } => request.worker,
        }
    }

    /// What became of a step.
    pub fn of(request: Request, outcome: Outcome, version: u64) -> Self {
        Self::Recorded { request, is_written: outcome == Outcome::Recorded, version }
    }
}

/// What was told about an item.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Told {
    /// The highest version that somebody was told is recorded.
    pub version: u64,
    /// Whether somebody was told that it is completed.
    pub completed: bool,
}

impl State {
    /// Nothing has happened.
    pub fn new(bounds: &Bounds) -> Self {
        Self {
            disk: Disk::new(bounds.items.into()),
            unsynced: Vec::new(),
            workers: vec![Worker::Idle; bounds.workers.into()],
            under_way: Vec::new(),
            told: vec![Told::default(); bounds.items.into()],
            left: bounds.trouble,
            stale_write: false,
        }
    }

    /// What the store holds, synced or not.
    pub fn store(&self) -> &Disk {
        self.unsynced.last().map_or(&self.disk, |transaction| &transaction.after)
    }

    /// Whether a worker that is alive works on the item as it stands, or is about to hear that it shall.
    pub fn is_worked_on(&self, item: &Item) -> bool {
        let is_it = |claimed: &Arc<Item>| **claimed == *item;
        let has_it = self.workers.iter().any(|worker| match worker {
            Worker::Running(claimed) => is_it(claimed),
            Worker::Reporting(request) => is_it(&request.claimed),
            Worker::Idle | Worker::Asking => false,
        });
        has_it || self.answers().any(|answer| matches!(answer, Answer::Claimed { item, .. } if is_it(item)))
    }

    /// Whether the worker that is answered still waits for it.
    pub fn is_awaited(&self, answer: &Answer) -> bool {
        match (answer, &self.workers[answer.worker()]) {
            (Answer::Claimed { .. }, Worker::Asking) => true,
            (Answer::Recorded { request, .. }, Worker::Reporting(asked)) => request == asked,
            (Answer::Claimed { .. }, Worker::Idle | Worker::Running(_) | Worker::Reporting(_))
            | (Answer::Recorded { .. }, Worker::Idle | Worker::Asking | Worker::Running(_)) => false,
        }
    }

    /// Whether nothing of this request is under way any more: neither itself nor its answer.
    pub fn is_lost(&self, request: &Request) -> bool {
        let answers_it =
            |answer: &Answer| matches!(answer, Answer::Recorded { request: asked, .. } if asked == request);
        !self.under_way.contains(request) && !self.answers().any(answers_it)
    }

    /// Sends a request.
    pub fn send(&mut self, request: Request) {
        let place = self.under_way.partition_point(|other| *other < request);
        self.under_way.insert(place, request);
    }

    fn answers(&self) -> impl Iterator<Item = &Answer> {
        self.unsynced.iter().filter_map(|transaction| transaction.answer.as_ref())
    }
}
