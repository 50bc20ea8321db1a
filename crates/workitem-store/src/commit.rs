//! The typed layer above the engines.

use workitem_types::WorkItemRecord;
use workitem_typestate::{AnyWorkItem, State, WorkItem, WrongState};

use crate::{Leased, LeasedStep, Outcome, Store, StoreError};

/// What every store can do in types, written once above the engines.
pub trait StoreExt {
    /// Makes one step durable and gives the item back in its next state.
    ///
    /// # Errors
    ///
    /// - [`StoreError::Fenced`] if the item has changed since it was claimed; the store is unchanged.
    /// - whatever [`Store::record`] reports.
    fn commit<S: State>(&self, step: LeasedStep<S>) -> Result<Leased<S>, StoreError>
    where
        WorkItemRecord: From<WorkItem<S>>,
        WorkItem<S>: TryFrom<AnyWorkItem, Error = WrongState>;
}

impl<T: Store + ?Sized> StoreExt for T {
    fn commit<S: State>(&self, step: LeasedStep<S>) -> Result<Leased<S>, StoreError>
    where
        WorkItemRecord: From<WorkItem<S>>,
        WorkItem<S>: TryFrom<AnyWorkItem, Error = WrongState>,
    {
        let step = step.seal();
        let outcomes = self.record(std::slice::from_ref(&step))?;
        if outcomes.first() != Some(&Outcome::Recorded) {
            return Err(StoreError::Fenced { id: step.record().id.clone() });
        }
        Ok(step.durable())
    }
}
