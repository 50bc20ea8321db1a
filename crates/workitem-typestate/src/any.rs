//! An item whose state is known only at run time: to be matched once.

use thiserror::Error;
use workitem_types::{AgentResult, Status, StatusKind, WorkItemRecord};

use crate::item::WorkItem;
use crate::state::{Completed, DeadLettered, Failed, InProgress, Pending, State};

/// A work item in some state. Match it once; everything after that is typed.
///
/// Every state has its arm, and there is no other: a new state breaks the build where it must be handled.
#[derive(Debug)]
#[must_use = "it holds the work item"]
pub enum AnyWorkItem<R = AgentResult> {
    /// Waiting for an agent.
    Pending(WorkItem<Pending>),
    /// An agent is working on it.
    InProgress(WorkItem<InProgress>),
    /// Done.
    Completed(WorkItem<Completed<R>>),
    /// The agent failed.
    Failed(WorkItem<Failed>),
    /// Given up.
    DeadLettered(WorkItem<DeadLettered>),
}

impl<R> AnyWorkItem<R> {
    /// The state it is in.
    pub const fn kind(&self) -> StatusKind {
        match self {
            Self::Pending(_) => StatusKind::Pending,
            Self::InProgress(_) => StatusKind::InProgress,
            Self::Completed(_) => StatusKind::Completed,
            Self::Failed(_) => StatusKind::Failed,
            Self::DeadLettered(_) => StatusKind::DeadLettered,
        }
    }

    /// The item of a record that is known to keep every rule of [`rehydrate`](Self::rehydrate).
    pub(crate) fn from_consistent(record: WorkItemRecord<R>) -> Self {
        let WorkItemRecord { id, attempts, failures, status } = record;
        let item = WorkItem { id, attempts, failures, state: Pending(()) };
        match status {
            Status::Pending => Self::Pending(item),
            Status::InProgress { agent_id, started_at } => {
                Self::InProgress(item.into_state(InProgress { agent_id, started_at }))
            }
            Status::Completed { result } => Self::Completed(item.into_state(Completed { result })),
            Status::Failed { error, retry_count: _ } => Self::Failed(item.into_state(Failed { error })),
            Status::DeadLettered { error, retry_count: _, dlq_at } => {
                Self::DeadLettered(item.into_state(DeadLettered { error, dlq_at }))
            }
        }
    }
}

/// The item is in another state than was asked for. It is not lost: [`into_item`](Self::into_item).
#[derive(Debug, Error)]
#[error("item `{}` is in state `{}`, not in `{expected}`", self.id(), self.item.kind())]
pub struct WrongState<R = AgentResult> {
    expected: StatusKind,
    item: Box<AnyWorkItem<R>>,
}

impl<R> WrongState<R> {
    fn new(expected: StatusKind, item: AnyWorkItem<R>) -> Self {
        Self { expected, item: Box::new(item) }
    }

    /// The state that was asked for.
    pub const fn expected(&self) -> StatusKind {
        self.expected
    }

    /// The item, unchanged.
    pub fn into_item(self) -> AnyWorkItem<R> {
        *self.item
    }

    fn id(&self) -> &workitem_types::ItemId {
        match &*self.item {
            AnyWorkItem::Pending(item) => item.id(),
            AnyWorkItem::InProgress(item) => item.id(),
            AnyWorkItem::Completed(item) => item.id(),
            AnyWorkItem::Failed(item) => item.id(),
            AnyWorkItem::DeadLettered(item) => item.id(),
        }
    }
}

impl<R> From<WorkItem<Pending>> for AnyWorkItem<R> {
    fn from(item: WorkItem<Pending>) -> Self {
        Self::Pending(item)
    }
}

impl<R> From<WorkItem<InProgress>> for AnyWorkItem<R> {
    fn from(item: WorkItem<InProgress>) -> Self {
        Self::InProgress(item)
    }
}

impl<R> From<WorkItem<Completed<R>>> for AnyWorkItem<R> {
    fn from(item: WorkItem<Completed<R>>) -> Self {
        Self::Completed(item)
    }
}

impl<R> From<WorkItem<Failed>> for AnyWorkItem<R> {
    fn from(item: WorkItem<Failed>) -> Self {
        Self::Failed(item)
    }
}

impl<R> From<WorkItem<DeadLettered>> for AnyWorkItem<R> {
    fn from(item: WorkItem<DeadLettered>) -> Self {
        Self::DeadLettered(item)
    }
}

impl<R> TryFrom<AnyWorkItem<R>> for WorkItem<Pending> {
    type Error = WrongState<R>;

    fn try_from(item: AnyWorkItem<R>) -> Result<Self, WrongState<R>> {
        match item {
            AnyWorkItem::Pending(item) => Ok(item),
            other @ (AnyWorkItem::InProgress(_)
            | AnyWorkItem::Completed(_)
            | AnyWorkItem::Failed(_)
            | AnyWorkItem::DeadLettered(_)) => Err(WrongState::new(Pending::KIND, other)),
        }
    }
}

impl<R> TryFrom<AnyWorkItem<R>> for WorkItem<InProgress> {
    type Error = WrongState<R>;

    fn try_from(item: AnyWorkItem<R>) -> Result<Self, WrongState<R>> {
        match item {
            AnyWorkItem::InProgress(item) => Ok(item),
            other @ (AnyWorkItem::Pending(_)
            | AnyWorkItem::Completed(_)
            | AnyWorkItem::Failed(_)
            | AnyWorkItem::DeadLettered(_)) => Err(WrongState::new(InProgress::KIND, other)),
        }
    }
}

impl<R> TryFrom<AnyWorkItem<R>> for WorkItem<Completed<R>> {
    type Error = WrongState<R>;

    fn try_from(item: AnyWorkItem<R>) -> Result<Self, WrongState<R>> {
        match item {
            AnyWorkItem::Completed(item) => Ok(item),
            other @ (AnyWorkItem::Pending(_)
            | AnyWorkItem::InProgress(_)
            | AnyWorkItem::Failed(_)
            | AnyWorkItem::DeadLettered(_)) => Err(WrongState::new(Completed::<R>::KIND, other)),
        }
    }
}

impl<R> TryFrom<AnyWorkItem<R>> for WorkItem<Failed> {
    type Error = WrongState<R>;

    fn try_from(item: AnyWorkItem<R>) -> Result<Self, WrongState<R>> {
        match item {
            AnyWorkItem::Failed(item) => Ok(item),
            other @ (AnyWorkItem::Pending(_)
            | AnyWorkItem::InProgress(_)
            | AnyWorkItem::Completed(_)
            | AnyWorkItem::DeadLettered(_)) => Err(WrongState::new(Failed::KIND, other)),
        }
    }
}

impl<R> TryFrom<AnyWorkItem<R>> for WorkItem<DeadLettered> {
    type Error = WrongState<R>;

    fn try_from(item: AnyWorkItem<R>) -> Result<Self, WrongState<R>> {
        match item {
            AnyWorkItem::DeadLettered(item) => Ok(item),
            other @ (AnyWorkItem::Pending(_)
            | AnyWorkItem::InProgress(_)
            | AnyWorkItem::Completed(_)
            | AnyWorkItem::Failed(_)) => Err(WrongState::new(DeadLettered::KIND, other)),
        }
    }
}

impl<R> From<WorkItem<Pending>> for WorkItemRecord<R> {
    fn from(item: WorkItem<Pending>) -> Self {
        let WorkItem { id, attempts, failures, state: Pending(()) } = item;
        Self { id, attempts, failures, status: Status::Pending }
    }
}

impl<R> From<WorkItem<InProgress>> for WorkItemRecord<R> {
    fn from(item: WorkItem<InProgress>) -> Self {
        let WorkItem { id, attempts, failures, state: InProgress { agent_id, started_at } } = item;
        Self { id, attempts, failures, status: Status::InProgress { agent_id, started_at } }
    }
}

impl<R> From<WorkItem<Completed<R>>> for WorkItemRecord<R> {
    fn from(item: WorkItem<Completed<R>>) -> Self {
        let WorkItem { id, attempts, failures, state: Completed { result } } = item;
        Self { id, attempts, failures, status: Status::Completed { result } }
    }
}

impl<R> From<WorkItem<Failed>> for WorkItemRecord<R> {
    fn from(item: WorkItem<Failed>) -> Self {
        let WorkItem { id, attempts, failures, state: Failed { error } } = item;
        Self { id, attempts, failures, status: Status::Failed { error, retry_count: failures } }
    }
}

impl<R> From<WorkItem<DeadLettered>> for WorkItemRecord<R> {
    fn from(item: WorkItem<DeadLettered>) -> Self {
        let WorkItem { id, attempts, failures, state: DeadLettered { error, dlq_at } } = item;
        let status = Status::DeadLettered { error, retry_count: failures, dlq_at };
        Self { id, attempts, failures, status }
    }
}

impl<R> From<AnyWorkItem<R>> for WorkItemRecord<R> {
    fn from(item: AnyWorkItem<R>) -> Self {
        match item {
            AnyWorkItem::Pending(item) => item.into(),
            AnyWorkItem::InProgress(item) => item.into(),
            AnyWorkItem::Completed(item) => item.into(),
            AnyWorkItem::Failed(item) => item.into(),
            AnyWorkItem::DeadLettered(item) => item.into(),
        }
    }
}
