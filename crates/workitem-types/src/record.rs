//! A whole item, outside the typed world.

use serde::{Deserialize, Serialize};

use crate::{AgentResult, ItemId, Status};

/// A whole work item as plain data: what a store keeps and JSON shows.
///
/// Its fields are public and anything can be written into them; `AnyWorkItem::rehydrate` of
/// `workitem-typestate` checks a record before it becomes an item again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkItemRecord<R = AgentResult> {
    /// The item's name, unique within its job.
    pub id: ItemId,
    /// How often an agent started on it. Saturates.
    pub attempts: usize,
    /// How often an agent failed on it. Survives every transition, unlike the original's count. Saturates.
    pub failures: usize,
    /// Where it stands.
    pub status: Status<R>,
}

impl<R> WorkItemRecord<R> {
    /// A new item: pending, never attempted.
    ///
    /// ```
    /// # use workitem_types::{WorkItemRecord, WorkItemStatus};
    /// let record: WorkItemRecord = WorkItemRecord::new("42");
    /// assert_eq!(record.status, WorkItemStatus::Pending);
    /// assert_eq!((record.attempts, record.failures), (0, 0));
    /// ```
    pub fn new(id: impl Into<ItemId>) -> Self {
        Self { id: id.into(), attempts: 0, failures: 0, status: Status::Pending }
    }
}
