//! The six events as types, and [`LegalIn`]: which of them is legal where, for generic code.

use chrono::{DateTime, Utc};
use workitem_types::{AgentResult, Event};

use crate::item::WorkItem;
use crate::state::{Completed, DeadLettered, Failed, InProgress, Pending, State};

/// An agent starts on the item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentStart {
    /// Who works on it.
    pub agent_id: String,
}

/// The agent succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentComplete<R = AgentResult> {
    /// What it hands back.
    pub result: Box<R>,
}

/// The agent failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentFailed {
    /// Why, for people.
    pub error: String,
}

/// The run was interrupted; the agent is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interrupt;

/// The item gets another attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry;

/// The item is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MoveToDeadLetter;

/// The event is legal for a work item in state `S`. Sealed: the seven legal cells are the seven impls.
///
/// For code that is generic over events, such as stores and loggers; elsewhere the methods of
/// [`WorkItem`] read better.
///
/// ```
/// use chrono::{DateTime, Utc};
/// use workitem_typestate::{AgentStart, LegalIn, State, WorkItem};
///
/// fn log_and_apply<S: State, E: LegalIn<S>>(item: WorkItem<S>, event: E, now: DateTime<Utc>) -> WorkItem<E::Next> {
///     println!("{}: {} -> {}", item.id(), S::KIND, <E::Next as State>::KIND);
///     item.apply(event, now)
/// }
///
/// let event = AgentStart { agent_id: "agent-1".into() };
/// let item = log_and_apply(WorkItem::new("42"), event, DateTime::UNIX_EPOCH);
/// assert_eq!(item.agent_id(), "agent-1");
/// ```
#[diagnostic::on_unimplemented(
    message = "event `{Self}` is not legal for a work item in state `{S}`",
    label = "no such transition",
    note = "docs/transitions.md lists the seven legal transitions"
)]
pub trait LegalIn<S: State>: sealed::Sealed {
    /// The state it leads to.
    type Next: State;

    #[doc(hidden)]
    fn happen_to(self, item: WorkItem<S>, now: DateTime<Utc>) -> WorkItem<Self::Next>;
}

mod sealed {
    pub trait Sealed {}
}

impl<S: State> WorkItem<S> {
    /// The event happens to the item at `now`: the same as the method of the event's name.
    pub fn apply<E: LegalIn<S>>(self, event: E, now: DateTime<Utc>) -> WorkItem<E::Next> {
        event.happen_to(self, now)
    }
}

impl LegalIn<Pending> for AgentStart {
    type Next = InProgress;
    #[inline]
    fn happen_to(self, item: WorkItem<Pending>, now: DateTime<Utc>) -> WorkItem<InProgress> {
        item.start(self.agent_id, now)
    }
}

impl<R> LegalIn<InProgress> for AgentComplete<R> {
    type Next = Completed<R>;
    #[inline]
    fn happen_to(self, item: WorkItem<InProgress>, _now: DateTime<Utc>) -> WorkItem<Completed<R>> {
        item.complete(self.result)
    }
}

impl LegalIn<InProgress> for AgentFailed {
    type Next = Failed;
    #[inline]
    fn happen_to(self, item: WorkItem<InProgress>, _now: DateTime<Utc>) -> WorkItem<Failed> {
        item.fail(self.error)
    }
}

impl LegalIn<InProgress> for Interrupt {
    type Next = Pending;
    #[inline]
    fn happen_to(self, item: WorkItem<InProgress>, _now: DateTime<Utc>) -> WorkItem<Pending> {
        item.interrupt()
    }
}

impl LegalIn<Failed> for Retry {
    type Next = Pending;
    #[inline]
    fn happen_to(self, item: WorkItem<Failed>, _now: DateTime<Utc>) -> WorkItem<Pending> {
        item.retry()
    }
}

impl LegalIn<Failed> for MoveToDeadLetter {
    type Next = DeadLettered;
    #[inline]
    fn happen_to(self, item: WorkItem<Failed>, now: DateTime<Utc>) -> WorkItem<DeadLettered> {
        item.dead_letter(now)
    }
}

impl LegalIn<Failed> for AgentFailed {
    type Next = Failed;
    #[inline]
    fn happen_to(self, item: WorkItem<Failed>, _now: DateTime<Utc>) -> WorkItem<Failed> {
        item.fail(self.error)
    }
}

impl sealed::Sealed for AgentStart {}
impl<R> sealed::Sealed for AgentComplete<R> {}
impl sealed::Sealed for AgentFailed {}
impl sealed::Sealed for Interrupt {}
impl sealed::Sealed for Retry {}
impl sealed::Sealed for MoveToDeadLetter {}

impl<R> From<AgentStart> for Event<R> {
    fn from(event: AgentStart) -> Self {
        Self::AgentStart { agent_id: event.agent_id }
    }
}

impl<R> From<AgentComplete<R>> for Event<R> {
    fn from(event: AgentComplete<R>) -> Self {
        Self::AgentComplete { result: event.result }
    }
}

impl<R> From<AgentFailed> for Event<R> {
    fn from(event: AgentFailed) -> Self {
        Self::AgentFailed { error: event.error }
    }
}

impl<R> From<Interrupt> for Event<R> {
    fn from(_: Interrupt) -> Self {
        Self::Interrupt
    }
}

impl<R> From<Retry> for Event<R> {
    fn from(_: Retry) -> Self {
        Self::Retry
    }
}

impl<R> From<MoveToDeadLetter> for Event<R> {
    fn from(_: MoveToDeadLetter) -> Self {
        Self::MoveToDeadLetter
    }
}
