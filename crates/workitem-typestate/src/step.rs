//! The witness of legal transitions, for stores.

use chrono::{DateTime, Utc};
use workitem_types::{StatusKind, WorkItemEvent, WorkItemRecord};

use crate::any::AnyWorkItem;
use crate::events::LegalIn;
use crate::item::WorkItem;
use crate::state::State;

/// An item together with the transitions that led it to `S`, to be made durable as one.
///
/// Only [`WorkItem::step`] makes one, so a store that writes nothing but steps holds nothing but items
/// that were reached by legal transitions.
///
/// ```
/// use chrono::{DateTime, Utc};
/// use workitem_typestate::{AgentFailed, AgentStart, Retry, WorkItem};
///
/// let now = DateTime::<Utc>::UNIX_EPOCH;
/// let item = WorkItem::new("42").start("agent-1", now);
/// let step = item.step(AgentFailed { error: "exit 7".into() }, now).then(Retry, now).seal();
/// assert_eq!(step.events().len(), 2);
/// assert_eq!(step.record().failures, 1);
/// ```
#[derive(Debug)]
#[must_use = "a step that is dropped never happened"]
pub struct Step<S: State> {
    item: WorkItem<S>,
    from: StatusKind,
    events: Vec<StepEvent>,
}

/// One transition of a step: what happened, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepEvent {
    event: WorkItemEvent,
    at: DateTime<Utc>,
}

impl StepEvent {
    /// What happened.
    pub const fn event(&self) -> &WorkItemEvent {
        &self.event
    }

    /// When it happened.
    pub const fn at(&self) -> DateTime<Utc> {
        self.at
    }
}

impl<S: State> WorkItem<S> {
    /// The event happens to the item at `now`, and leaves a witness that a store accepts.
    pub fn step<E>(self, event: E, now: DateTime<Utc>) -> Step<E::Next>
    where
        E: LegalIn<S> + Clone + Into<WorkItemEvent>,
    {
        Step { item: self, from: S::KIND, events: Vec::with_capacity(1) }.then(event, now)
    }
}

impl<S: State> Step<S> {
    /// A further event happens to the item, within the same step.
    pub fn then<E>(mut self, event: E, now: DateTime<Utc>) -> Step<E::Next>
    where
        E: LegalIn<S> + Clone + Into<WorkItemEvent>,
    {
        self.events.push(StepEvent { event: event.clone().into(), at: now });
        Step { item: self.item.apply(event, now), from: self.from, events: self.events }
    }

    /// The item as the step leaves it.
    pub const fn item(&self) -> &WorkItem<S> {
        &self.item
    }

    /// The step without its type, so that steps into different states fit into one batch.
    pub fn seal(self) -> SealedStep
    where
        WorkItemRecord: From<WorkItem<S>>,
    {
        SealedStep { record: self.item.into(), from: self.from, events: self.events }
    }
}

/// A [`Step`] whose state is known only at run time; as unforgeable as the step it was.
#[derive(Debug)]
#[must_use = "a step that is dropped never happened"]
pub struct SealedStep {
    record: WorkItemRecord,
    from: StatusKind,
    events: Vec<StepEvent>,
}

impl SealedStep {
    /// The item as the step leaves it.
    pub const fn record(&self) -> &WorkItemRecord {
        &self.record
    }

    /// The state the step started from.
    pub const fn from(&self) -> StatusKind {
        self.from
    }

    /// The transitions, in order; never empty.
    pub fn events(&self) -> &[StepEvent] {
        &self.events
    }

    /// The item as the step leaves it, typed again.
    pub fn into_item(self) -> AnyWorkItem {
        AnyWorkItem::from_consistent(self.record)
    }
}
