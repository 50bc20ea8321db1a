//! The item and its legal transitions: one `impl` block per state, and no method for an illegal event.
//!
//! A transition costs what moving its payload costs. Two things keep it so: what is not generic is marked `#[inline]`,
//! and an argument is converted before the item is touched. A conversion may panic, and an item half taken apart by then
//! would have to be kept in one piece. (`cargo xtask bench --check`)

use chrono::{DateTime, Utc};
use workitem_types::ItemId;

use crate::state::{Completed, DeadLettered, Failed, InProgress, Pending, State};

/// A work item in state `S`.
///
/// It is an affine value: no `Clone`, no `Copy`, no `Default`, no `Deserialize`. A transition consumes
/// it, so what it was before cannot be used again.
#[derive(Debug)]
#[must_use = "a work item that is dropped is forgotten: record it, or turn it into a `WorkItemRecord`"]
pub struct WorkItem<S: State> {
    pub(crate) id: ItemId,
    pub(crate) attempts: usize,
    pub(crate) failures: usize,
    pub(crate) state: S,
}

impl<S: State> WorkItem<S> {
    /// The item's name, unique within its job.
    pub const fn id(&self) -> &ItemId {
        &self.id
    }

    /// How often an agent started on it. Saturates.
    pub const fn attempts(&self) -> usize {
        self.attempts
    }

    /// How often an agent failed on it. Saturates.
    pub const fn failures(&self) -> usize {
        self.failures
    }

    /// The same item in another state.
    pub(crate) fn into_state<N: State>(self, state: N) -> WorkItem<N> {
        WorkItem { id: self.id, attempts: self.attempts, failures: self.failures, state }
    }
}

impl WorkItem<Pending> {
    /// A new item: pending, never attempted.
    pub fn new(id: impl Into<ItemId>) -> Self {
        Self { id: id.into(), attempts: 0, failures: 0, state: Pending(()) }
    }

    /// An agent starts on the item; `attempts` grows by one.
    pub fn start(mut self, agent_id: impl Into<String>, now: DateTime<Utc>) -> WorkItem<InProgress> {
        let agent_id = agent_id.into();
        self.attempts = self.attempts.saturating_add(1);
        self.into_state(InProgress { agent_id, started_at: now })
    }
}

impl WorkItem<InProgress> {
    /// Who works on it.
    pub fn agent_id(&self) -> &str {
        &self.state.agent_id
    }

    /// Since when.
    pub const fn started_at(&self) -> DateTime<Utc> {
        self.state.started_at
    }

    /// The agent succeeded.
    pub fn complete<R>(self, result: Box<R>) -> WorkItem<Completed<R>> {
        self.into_state(Completed { result })
    }

    /// The agent failed; `failures` grows by one.
    pub fn fail(mut self, error: impl Into<String>) -> WorkItem<Failed> {
        let error = error.into();
        self.failures = self.failures.saturating_add(1);
        self.into_state(Failed { error })
    }

    /// The run was interrupted; the attempt counts, but not as a failure.
    #[inline]
    pub fn interrupt(self) -> WorkItem<Pending> {
        self.into_state(Pending(()))
    }
}

impl WorkItem<Failed> {
    /// Why it failed last.
    pub fn error(&self) -> &str {
        &self.state.error
    }

    /// How many failures there were: [`failures`](Self::failures), under the original's name.
    pub const fn retry_count(&self) -> usize {
        self.failures
    }

    /// Whether it has failed fewer than `max_retries` times.
    pub const fn can_retry(&self, max_retries: usize) -> bool {
        self.failures < max_retries
    }

    /// The item gets another attempt.
    #[inline]
    pub fn retry(self) -> WorkItem<Pending> {
        self.into_state(Pending(()))
    }

    /// It failed once more; `failures` grows by one and the error is replaced.
    pub fn fail(mut self, error: impl Into<String>) -> Self {
        let error = error.into();
        self.failures = self.failures.saturating_add(1);
        self.into_state(Failed { error })
    }

    /// The item is given up.
    #[inline]
    pub fn dead_letter(mut self, now: DateTime<Utc>) -> WorkItem<DeadLettered> {
        let error = std::mem::take(&mut self.state.error);
        self.into_state(DeadLettered { error, dlq_at: now })
    }
}

impl<R> WorkItem<Completed<R>> {
    /// What the agent handed back.
    pub const fn result(&self) -> &R {
        &self.state.result
    }

    /// What the agent handed back, given up by the item.
    pub fn into_result(self) -> Box<R> {
        self.state.result
    }
}

impl WorkItem<DeadLettered> {
    /// Why it failed last.
    pub fn error(&self) -> &str {
        &self.state.error
    }

    /// How many failures there were.
    pub const fn retry_count(&self) -> usize {
        self.failures
    }

    /// When it was given up.
    pub const fn dlq_at(&self) -> DateTime<Utc> {
        self.state.dlq_at
    }
}
