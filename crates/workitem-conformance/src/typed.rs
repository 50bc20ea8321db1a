//! What the typed machine makes of an event, answered by the compiler and not by a list.
//!
//! A fallback trait offers all six methods on every state and calls each of them illegal. Where a state has
//! an inherent method of that name, method resolution prefers it. So a method that is deleted turns its cell
//! illegal here, and one that is added turns it legal; in both cases the machines no longer agree.
//! (A method that takes `&mut self` loses against the by-value fallback: `tests/compile_fail.rs` sees that one.)

use chrono::{DateTime, Utc};
use workitem_types::{AgentResult, WorkItemEvent, WorkItemRecord};
use workitem_typestate::{
    AgentComplete, AgentFailed, AgentStart, AnyWorkItem, Interrupt, LegalIn, MoveToDeadLetter, Retry, State,
    Step, WorkItem,
};

use crate::Verdict;

/// What became of an item in the typed world, as a value of the untyped one.
type Answer = Verdict<WorkItemRecord>;

/// The verdict of the inherent methods.
pub fn by_method(item: AnyWorkItem, event: WorkItemEvent, now: DateTime<Utc>) -> Answer {
    // A macro and not a function: every expansion has a concrete state, for the compiler to look methods up.
    macro_rules! call {
        ($item:ident) => {
            match event {
                WorkItemEvent::AgentStart { agent_id } => $item.start(agent_id, now).answer(),
                WorkItemEvent::AgentComplete { result } => $item.complete(result).answer(),
                WorkItemEvent::AgentFailed { error } => $item.fail(error).answer(),
                WorkItemEvent::Interrupt => $item.interrupt().answer(),
                WorkItemEvent::Retry => $item.retry().answer(),
                WorkItemEvent::MoveToDeadLetter => $item.dead_letter(now).answer(),
            }
        };
    }
    match item {
        AnyWorkItem::Pending(item) => call!(item),
        AnyWorkItem::InProgress(item) => call!(item),
        AnyWorkItem::Completed(item) => call!(item),
        AnyWorkItem::Failed(item) => call!(item),
        AnyWorkItem::DeadLettered(item) => call!(item),
    }
}

/// The verdict of [`LegalIn`], through [`WorkItem::apply`].
pub fn by_event(item: AnyWorkItem, event: WorkItemEvent, now: DateTime<Utc>) -> Answer {
    offer(item, event, now, How::Apply)
}

/// The verdict of [`LegalIn`], through [`WorkItem::step`].
///
/// # Panics
///
/// If a step does not tell what happened, when, and to an item in which state.
pub fn by_step(item: AnyWorkItem, event: WorkItemEvent, now: DateTime<Utc>) -> Answer {
    offer(item, event, now, How::Step)
}

#[derive(Clone, Copy)]
enum How {
    Apply,
    Step,
}

fn offer(item: AnyWorkItem, event: WorkItemEvent, now: DateTime<Utc>, how: How) -> Answer {
    macro_rules! offer {
        ($item:ident, $event:expr) => {{
            let offer = Offer { item: $item, event: $event, now };
            match how {
                How::Apply => offer.apply().answer(),
                How::Step => offer.step().answer(),
            }
        }};
        ($item:ident) => {
            match event {
                WorkItemEvent::AgentStart { agent_id } => offer!($item, AgentStart { agent_id }),
                WorkItemEvent::AgentComplete { result } => offer!($item, AgentComplete { result }),
                WorkItemEvent::AgentFailed { error } => offer!($item, AgentFailed { error }),
                WorkItemEvent::Interrupt => offer!($item, Interrupt),
                WorkItemEvent::Retry => offer!($item, Retry),
                WorkItemEvent::MoveToDeadLetter => offer!($item, MoveToDeadLetter),
            }
        };
    }
    match item {
        AnyWorkItem::Pending(item) => offer!(item),
        AnyWorkItem::InProgress(item) => offer!(item),
        AnyWorkItem::Completed(item) => offer!(item),
        AnyWorkItem::Failed(item) => offer!(item),
        AnyWorkItem::DeadLettered(item) => offer!(item),
    }
}

/// An item and an event that may or may not be legal for it.
struct Offer<S: State, E> {
    item: WorkItem<S>,
    event: E,
    now: DateTime<Utc>,
}

/// These exist where the event is legal.
impl<S: State, E: LegalIn<S> + Clone + Into<WorkItemEvent>> Offer<S, E> {
    fn apply(self) -> WorkItem<E::Next> {
        self.item.apply(self.event, self.now)
    }

    fn step(self) -> Witnessed<E::Next> {
        let Self { item, event, now } = self;
        Witnessed { expected: event.clone().into(), now, step: item.step(event, now) }
    }
}

/// These exist everywhere, for want of better ones.
trait Declined<S: State>: Sized {
    fn apply(self) -> Illegal<S>;
    fn step(self) -> Illegal<S>;
}

impl<S: State, E> Declined<S> for Offer<S, E> {
    fn apply(self) -> Illegal<S> {
        Illegal(self.item)
    }

    fn step(self) -> Illegal<S> {
        Illegal(self.item)
    }
}

/// The six methods, for states that have none of that name.
trait NoSuchMethod<S: State>: Sized {
    fn start(self, agent_id: String, now: DateTime<Utc>) -> Illegal<S>;
    fn complete(self, result: Box<AgentResult>) -> Illegal<S>;
    fn fail(self, error: String) -> Illegal<S>;
    fn interrupt(self) -> Illegal<S>;
    fn retry(self) -> Illegal<S>;
    fn dead_letter(self, now: DateTime<Utc>) -> Illegal<S>;
}

impl<S: State> NoSuchMethod<S> for WorkItem<S> {
    fn start(self, _: String, _: DateTime<Utc>) -> Illegal<S> {
        Illegal(self)
    }

    fn complete(self, _: Box<AgentResult>) -> Illegal<S> {
        Illegal(self)
    }

    fn fail(self, _: String) -> Illegal<S> {
        Illegal(self)
    }

    fn interrupt(self) -> Illegal<S> {
        Illegal(self)
    }

    fn retry(self) -> Illegal<S> {
        Illegal(self)
    }

    fn dead_letter(self, _: DateTime<Utc>) -> Illegal<S> {
        Illegal(self)
    }
}

/// The item back: nothing happened to it.
struct Illegal<S: State>(WorkItem<S>);

/// A step, and what it must have witnessed.
struct Witnessed<S: State> {
    step: Step<S>,
    expected: WorkItemEvent,
    now: DateTime<Utc>,
}

trait Answered {
    fn answer(self) -> Answer;
}

impl<S: State> Answered for WorkItem<S>
where
    WorkItemRecord: From<Self>,
{
    fn answer(self) -> Answer {
        Verdict::Moved(self.into())
    }
}

impl<S: State> Answered for Illegal<S>
where
    WorkItemRecord: From<WorkItem<S>>,
{
    fn answer(self) -> Answer {
        Verdict::Illegal(self.0.into())
    }
}

impl<S: State> Answered for Witnessed<S>
where
    WorkItemRecord: From<WorkItem<S>>,
{
    fn answer(self) -> Answer {
        let sealed = self.step.seal();
        let [witnessed] = sealed.events() else {
            panic!("a step of one event witnessed {:?}", sealed.events())
        };
        assert_eq!((witnessed.event(), witnessed.at()), (&self.expected, self.now));
        let record = sealed.record().clone();
        assert_eq!(record, sealed.into_item().into(), "a step gives back the item it holds");
        Verdict::Moved(record)
    }
}
