//! The five states. Each holds what belongs to it and nothing else; none can be made outside this crate.

use chrono::{DateTime, Utc};
use workitem_types::{AgentResult, StatusKind};

/// A state of a [`WorkItem`](crate::WorkItem). Sealed: there are five, and no others.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a state of a work item",
    note = "the states are `Pending`, `InProgress`, `Completed`, `Failed` and `DeadLettered`"
)]
pub trait State: sealed::Sealed + Sized {
    /// The state as a value.
    const KIND: StatusKind;
    /// Whether no event ever leaves this state.
    const TERMINAL: bool;
}

mod sealed {
    pub trait Sealed {}
}

/// Waiting for an agent.
#[derive(Debug)]
pub struct Pending(pub(crate) ());

/// An agent is working on it.
#[derive(Debug)]
pub struct InProgress {
    pub(crate) agent_id: String,
    pub(crate) started_at: DateTime<Utc>,
}

/// Done; terminal. `R` is what the agent handed back.
#[derive(Debug)]
pub struct Completed<R = AgentResult> {
    pub(crate) result: Box<R>,
}

/// The agent failed; to be retried or given up. Its retry count is the item's number of failures.
#[derive(Debug)]
pub struct Failed {
    pub(crate) error: String,
}

/// Given up; terminal. Its retry count is the item's number of failures.
#[derive(Debug)]
pub struct DeadLettered {
    pub(crate) error: String,
    pub(crate) dlq_at: DateTime<Utc>,
}

impl sealed::Sealed for Pending {}
impl State for Pending {
    const KIND: StatusKind = StatusKind::Pending;
    const TERMINAL: bool = false;
}

impl sealed::Sealed for InProgress {}
impl State for InProgress {
    const KIND: StatusKind = StatusKind::InProgress;
    const TERMINAL: bool = false;
}

impl<R> sealed::Sealed for Completed<R> {}
impl<R> State for Completed<R> {
    const KIND: StatusKind = StatusKind::Completed;
    const TERMINAL: bool = true;
}

impl sealed::Sealed for Failed {}
impl State for Failed {
    const KIND: StatusKind = StatusKind::Failed;
    const TERMINAL: bool = false;
}

impl sealed::Sealed for DeadLettered {}
impl State for DeadLettered {
    const KIND: StatusKind = StatusKind::DeadLettered;
    const TERMINAL: bool = true;
}
