//! The door back into the typed world: a record is checked before it becomes an item.

use thiserror::Error;
use workitem_types::{ItemId, Status, StatusKind, WorkItemRecord};

use crate::any::AnyWorkItem;

/// A record that no sequence of legal transitions can have made. Says which rule it breaks.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Inconsistent {
    /// Every state but `Pending` is reached through `AgentStart`.
    #[error("item `{id}` is `{status}` but has no attempt")]
    NoAttempt {
        /// The item.
        id: ItemId,
        /// Its state.
        status: StatusKind,
    },
    /// The first failure of an item follows an `AgentStart`.
    #[error("item `{id}` is `Pending` with {failures} failures but no attempt")]
    FailuresWithoutAttempt {
        /// The item.
        id: ItemId,
        /// Its failures.
        failures: usize,
    },
    /// In its first attempt, which has not failed, an item cannot have failed before.
    #[error("item `{id}` is `{status}` in its first attempt but has {failures} failures")]
    FailuresBeforeFirstAttempt {
        /// The item.
        id: ItemId,
        /// Its state.
        status: StatusKind,
        /// Its failures.
        failures: usize,
    },
    /// `Failed` and `DeadLettered` are reached through `AgentFailed`.
    #[error("item `{id}` is `{status}` but has no failure")]
    NoFailure {
        /// The item.
        id: ItemId,
        /// Its state.
        status: StatusKind,
    },
    /// The status counts what the item counts.
    #[error("item `{id}` is `{status}` with retry_count {retry_count}, but has {failures} failures")]
    RetryCount {
        /// The item.
        id: ItemId,
        /// Its state.
        status: StatusKind,
        /// What the status says.
        retry_count: usize,
        /// What the item says.
        failures: usize,
    },
}

impl<R> AnyWorkItem<R> {
    /// Turns a record back into an item.
    ///
    /// ```
    /// use workitem_types::{WorkItemRecord, WorkItemStatus};
    /// use workitem_typestate::AnyWorkItem;
    ///
    /// let failed = |retry_count| WorkItemRecord {
    ///     id: "42".into(),
    ///     attempts: 2,
    ///     failures: 2,
    ///     status: WorkItemStatus::Failed { error: "exit 7".into(), retry_count },
    /// };
    /// assert!(matches!(AnyWorkItem::rehydrate(failed(2)), Ok(AnyWorkItem::Failed(_))));
    ///
    /// let error = AnyWorkItem::rehydrate(failed(1)).unwrap_err();
    /// assert_eq!(error.to_string(), "item `42` is `Failed` with retry_count 1, but has 2 failures");
    /// ```
    ///
    /// # Errors
    ///
    /// [`Inconsistent`] if no sequence of legal transitions leads to the record:
    /// - [`NoAttempt`](Inconsistent::NoAttempt): not pending, yet never started;
    /// - [`FailuresWithoutAttempt`](Inconsistent::FailuresWithoutAttempt): pending and failed, yet never started;
    /// - [`FailuresBeforeFirstAttempt`](Inconsistent::FailuresBeforeFirstAttempt): in progress or completed in the
    ///   first attempt, yet it has failed;
    /// - [`NoFailure`](Inconsistent::NoFailure): failed or dead-lettered, yet `failures` is 0;
    /// - [`RetryCount`](Inconsistent::RetryCount): failed or dead-lettered, and the status' count is not `failures`.
    pub fn rehydrate(record: WorkItemRecord<R>) -> Result<Self, Inconsistent> {
        match broken_rule(&record) {
            Some(broken) => Err(broken),
            None => Ok(Self::from_consistent(record)),
        }
    }
}

fn broken_rule<R>(record: &WorkItemRecord<R>) -> Option<Inconsistent> {
    let WorkItemRecord { id, attempts, failures, status } = record;
    let id = || id.clone();
    let (failures, kind) = (*failures, status.kind());
    match status {
        Status::Pending if *attempts == 0 && failures > 0 => {
            Some(Inconsistent::FailuresWithoutAttempt { id: id(), failures })
        }
        Status::Pending => None,
        Status::InProgress { .. }
        | Status::Completed { .. }
        | Status::Failed { .. }
        | Status::DeadLettered { .. }
            if *attempts == 0 =>
        {
            Some(Inconsistent::NoAttempt { id: id(), status: kind })
        }
        Status::InProgress { .. } | Status::Completed { .. } if *attempts == 1 && failures > 0 => {
            Some(Inconsistent::FailuresBeforeFirstAttempt { id: id(), status: kind, failures })
        }
        Status::InProgress { .. } | Status::Completed { .. } => None,
        Status::Failed { retry_count, .. } | Status::DeadLettered { retry_count, .. } => {
            let retry_count = *retry_count;
            if failures == 0 {
                Some(Inconsistent::NoFailure { id: id(), status: kind })
            } else if retry_count != failures {
                Some(Inconsistent::RetryCount { id: id(), status: kind, retry_count, failures })
            } else {
                None
            }
        }
    }
}
