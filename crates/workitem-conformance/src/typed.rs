//! What the typed machine makes of an event, answered by the compiler and not by a list.
//!
//! A fallback trait offers all six methods on every state and calls each of them illegal. Where a state has
//! an inherent method of that name, method resolution prefers it. So a method that is deleted turns its cell
//! illegal here, and one that is added turns it legal; in both cases the machines no longer agree.
//! (A method that takes `&mut self` loses against the by-value fallback: `tests/compile_fail.rs` sees that one.)

use chrono::{DateTime, Utc};
use workitem_types::{AgentResult, StatusKind, WorkItemEvent, WorkItemRecord, WorkItemStatus};
use workitem_typestate::{
    AgentComplete, AgentFailed, AgentStart, AnyWorkItem, Completed, DeadLettered, Failed, InProgress,
    Interrupt, LegalIn, MoveToDeadLetter, Pending, Retry, State, Step, WorkItem,
};

use crate::Verdict;
use crate::machines::OUT;

/// The verdict of the inherent methods.
pub fn by_method(item: AnyWorkItem, event: WorkItemEvent, now: DateTime<Utc>) -> Verdict<AnyWorkItem> {
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

/// Offers an event to `$item`, with the compiler deciding in each of the thirty expansions.
macro_rules! offer {
    ($item:ident, $event:ident, $now:ident) => {
        match $event {
            WorkItemEvent::AgentStart { agent_id } => offer!($item, $now => AgentStart { agent_id }),
            WorkItemEvent::AgentComplete { result } => offer!($item, $now => AgentComplete { result }),
            WorkItemEvent::AgentFailed { error } => offer!($item, $now => AgentFailed { error }),
            WorkItemEvent::Interrupt => offer!($item, $now => Interrupt),
            WorkItemEvent::Retry => offer!($item, $now => Retry),
            WorkItemEvent::MoveToDeadLetter => offer!($item, $now => MoveToDeadLetter),
        }
    };
    ($item:ident, $now:ident => $event:expr) => {
        Offer { item: $item, event: $event, now: $now }.accept().answer()
    };
}

/// The verdict of [`LegalIn`], through [`WorkItem::apply`].
pub fn by_event(item: AnyWorkItem, event: WorkItemEvent, now: DateTime<Utc>) -> Verdict<AnyWorkItem> {
    match item {
        AnyWorkItem::Pending(item) => offer!(item, event, now),
        AnyWorkItem::InProgress(item) => offer!(item, event, now),
        AnyWorkItem::Completed(item) => offer!(item, event, now),
        AnyWorkItem::Failed(item) => offer!(item, event, now),
        AnyWorkItem::DeadLettered(item) => offer!(item, event, now),
    }
}

/// A whole life in one [`Step`]: the verdict of [`LegalIn`], through [`WorkItem::step`] and [`Step::then`].
#[derive(Debug)]
pub struct OneStep {
    link: AnyLink,
    from: StatusKind,
    witnessed: Vec<(WorkItemEvent, DateTime<Utc>)>,
}

impl OneStep {
    /// Nothing has happened to the item yet.
    pub fn new(item: AnyWorkItem) -> Self {
        Self { from: item.kind(), link: AnyLink::from(item), witnessed: Vec::new() }
    }

    /// The event happens within the step.
    pub fn happen(mut self, event: WorkItemEvent, now: DateTime<Utc>) -> Verdict<Self> {
        let offered = event.clone();
        let link = match self.link {
            AnyLink::Pending(item) => offer!(item, offered, now),
            AnyLink::InProgress(item) => offer!(item, offered, now),
            AnyLink::Completed(item) => offer!(item, offered, now),
            AnyLink::Failed(item) => offer!(item, offered, now),
            AnyLink::DeadLettered(item) => offer!(item, offered, now),
        };
        match link {
            Verdict::Moved(link) => {
                self.witnessed.push((event, now));
                Verdict::Moved(Self { link, ..self })
            }
            Verdict::Illegal(link) => Verdict::Illegal(Self { link, ..self }),
        }
    }

    /// The item that the step leads to.
    ///
    /// # Panics
    ///
    /// If the step does not tell what happened, when, and to an item in which state.
    pub fn into_item(self) -> AnyWorkItem {
        macro_rules! end {
            ($link:ident) => {
                match $link {
                    Link::Item(item) => return item.into(),
                    Link::Step(step) => step.seal(),
                }
            };
        }
        let sealed = match self.link {
            AnyLink::Pending(link) => end!(link),
            AnyLink::InProgress(link) => end!(link),
            AnyLink::Completed(link) => end!(link),
            AnyLink::Failed(link) => end!(link),
            AnyLink::DeadLettered(link) => end!(link),
        };
        let told = sealed.events().iter().map(|told| (told.event(), told.at()));
        let (from, witnessed) = (sealed.from(), &self.witnessed);
        assert!(
            told.clone().eq(witnessed.iter().map(|(event, at)| (event, *at))) && from == self.from,
            "a step tells of {:?} from {from} on, but what happened is {witnessed:?} from {} on: look at \
             crates/workitem-typestate/src/step.rs",
            told.collect::<Vec<_>>(),
            self.from,
        );
        let record = sealed.record().clone();
        let item = sealed.into_item();
        assert_eq!(seen(&item), record, "a step holds another item: look at {OUT}");
        item
    }

    /// What the step shows of its item.
    pub fn seen(&self) -> WorkItemRecord {
        macro_rules! item {
            ($link:ident) => {
                match $link {
                    Link::Item(item) => item.seen(),
                    Link::Step(step) => step.item().seen(),
                }
            };
        }
        match &self.link {
            AnyLink::Pending(link) => item!(link),
            AnyLink::InProgress(link) => item!(link),
            AnyLink::Completed(link) => item!(link),
            AnyLink::Failed(link) => item!(link),
            AnyLink::DeadLettered(link) => item!(link),
        }
    }
}

/// What a typed item shows of itself, put together from its accessors.
pub fn seen(item: &AnyWorkItem) -> WorkItemRecord {
    match item {
        AnyWorkItem::Pending(item) => item.seen(),
        AnyWorkItem::InProgress(item) => item.seen(),
        AnyWorkItem::Completed(item) => item.seen(),
        AnyWorkItem::Failed(item) => item.seen(),
        AnyWorkItem::DeadLettered(item) => item.seen(),
    }
}

/// An item and an event that may or may not be legal for it.
struct Offer<T, E> {
    item: T,
    event: E,
    now: DateTime<Utc>,
}

/// These exist where the event is legal.
impl<S: State, E: LegalIn<S>> Offer<WorkItem<S>, E> {
    fn accept(self) -> WorkItem<E::Next> {
        self.item.apply(self.event, self.now)
    }
}

impl<S: State, E: LegalIn<S> + Clone + Into<WorkItemEvent>> Offer<Link<S>, E> {
    fn accept(self) -> Link<E::Next> {
        Link::Step(match self.item {
            Link::Item(item) => item.step(self.event, self.now),
            Link::Step(step) => step.then(self.event, self.now),
        })
    }
}

/// This exists everywhere, for want of a better one.
trait Declined<T> {
    fn accept(self) -> Illegal<T>;
}

impl<T, E> Declined<T> for Offer<T, E> {
    fn accept(self) -> Illegal<T> {
        Illegal(self.item)
    }
}

/// The six methods, for states that have none of that name.
trait NoSuchMethod<S: State>: Sized {
    fn start(self, agent_id: String, now: DateTime<Utc>) -> Illegal<Self>;
    fn complete(self, result: Box<AgentResult>) -> Illegal<Self>;
    fn fail(self, error: String) -> Illegal<Self>;
    fn interrupt(self) -> Illegal<Self>;
    fn retry(self) -> Illegal<Self>;
    fn dead_letter(self, now: DateTime<Utc>) -> Illegal<Self>;
}

impl<S: State> NoSuchMethod<S> for WorkItem<S> {
    fn start(self, _: String, _: DateTime<Utc>) -> Illegal<Self> {
        Illegal(self)
    }

    fn complete(self, _: Box<AgentResult>) -> Illegal<Self> {
        Illegal(self)
    }

    fn fail(self, _: String) -> Illegal<Self> {
        Illegal(self)
    }

    fn interrupt(self) -> Illegal<Self> {
        Illegal(self)
    }

    fn retry(self) -> Illegal<Self> {
        Illegal(self)
    }

    fn dead_letter(self, _: DateTime<Utc>) -> Illegal<Self> {
        Illegal(self)
    }
}

/// The item back: nothing happened to it.
struct Illegal<T>(T);

/// An item, and the step that led to it if there was one.
#[derive(Debug)]
enum Link<S: State> {
    Item(WorkItem<S>),
    Step(Step<S>),
}

#[derive(Debug)]
enum AnyLink {
    Pending(Link<Pending>),
    InProgress(Link<InProgress>),
    Completed(Link<Completed>),
    Failed(Link<Failed>),
    DeadLettered(Link<DeadLettered>),
}

impl From<AnyWorkItem> for AnyLink {
    fn from(item: AnyWorkItem) -> Self {
        match item {
            AnyWorkItem::Pending(item) => Self::Pending(Link::Item(item)),
            AnyWorkItem::InProgress(item) => Self::InProgress(Link::Item(item)),
            AnyWorkItem::Completed(item) => Self::Completed(Link::Item(item)),
            AnyWorkItem::Failed(item) => Self::Failed(Link::Item(item)),
            AnyWorkItem::DeadLettered(item) => Self::DeadLettered(Link::Item(item)),
        }
    }
}

macro_rules! any_link {
    ($($state:ident),*) => {
        $(impl From<Link<$state>> for AnyLink {
            fn from(link: Link<$state>) -> Self {
                Self::$state(link)
            }
        })*
    };
}
any_link!(Pending, InProgress, Completed, Failed, DeadLettered);

/// What became of an item, as a value that any state fits into.
trait Answered {
    type Any;
    fn answer(self) -> Verdict<Self::Any>;
}

impl<S: State> Answered for WorkItem<S>
where
    AnyWorkItem: From<Self>,
{
    type Any = AnyWorkItem;

    fn answer(self) -> Verdict<AnyWorkItem> {
        Verdict::Moved(self.into())
    }
}

impl<S: State> Answered for Link<S>
where
    AnyLink: From<Self>,
{
    type Any = AnyLink;

    fn answer(self) -> Verdict<AnyLink> {
        Verdict::Moved(self.into())
    }
}

impl<T: Answered> Answered for Illegal<T> {
    type Any = T::Any;

    fn answer(self) -> Verdict<T::Any> {
        Verdict::Illegal(self.0.answer().into_inner())
    }
}

/// Everything that an item shows, through the accessors that its state has.
trait Seen {
    fn seen(&self) -> WorkItemRecord;
}

fn shown<S: State>(item: &WorkItem<S>, status: WorkItemStatus) -> WorkItemRecord {
    assert_eq!(S::KIND, status.kind());
    WorkItemRecord { id: item.id().clone(), attempts: item.attempts(), failures: item.failures(), status }
}

impl Seen for WorkItem<Pending> {
    fn seen(&self) -> WorkItemRecord {
        shown(self, WorkItemStatus::Pending)
    }
}

impl Seen for WorkItem<InProgress> {
    fn seen(&self) -> WorkItemRecord {
        let (agent_id, started_at) = (self.agent_id().to_owned(), self.started_at());
        shown(self, WorkItemStatus::InProgress { agent_id, started_at })
    }
}

impl Seen for WorkItem<Completed> {
    fn seen(&self) -> WorkItemRecord {
        shown(self, WorkItemStatus::Completed { result: Box::new(self.result().clone()) })
    }
}

impl Seen for WorkItem<Failed> {
    fn seen(&self) -> WorkItemRecord {
        let (error, retry_count) = (self.error().to_owned(), self.retry_count());
        let can_retry = [self.can_retry(retry_count), self.can_retry(retry_count.saturating_add(1))];
        assert_eq!(can_retry, [false, retry_count < usize::MAX], "{retry_count} failures");
        shown(self, WorkItemStatus::Failed { error, retry_count })
    }
}

impl Seen for WorkItem<DeadLettered> {
    fn seen(&self) -> WorkItemRecord {
        let (error, retry_count, dlq_at) = (self.error().to_owned(), self.retry_count(), self.dlq_at());
        shown(self, WorkItemStatus::DeadLettered { error, retry_count, dlq_at })
    }
}
