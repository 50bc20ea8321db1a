//! What can go wrong with a store.

use thiserror::Error;
use workitem_types::ItemId;

/// A store could not do what it was asked to. Nothing was half done.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The medium or the engine failed: full disk, failed sync, locked database.
    #[error("store {store}: {what}")]
    Engine {
        /// The store's path or address.
        store: String,
        /// What was attempted, and what the engine said.
        what: String,
        /// The engine's error. No `source`: `what` has told it, and who prints the chain would tell it twice.
        cause: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// What the store holds makes no sense.
    #[error("store {store} is damaged: {what}")]
    Damaged {
        /// The store's path or address.
        store: String,
        /// Where, and how.
        what: String,
    },
    /// The store was written by a newer program.
    #[error("store {store} has schema version {found}, this program knows up to {known}: use a newer one")]
    NewerSchema {
        /// The store's path or address.
        store: String,
        /// The store's version.
        found: i64,
        /// The newest this program knows.
        known: i64,
    },
    /// There is no store there.
    #[error("there is no store at {store}")]
    NoStore {
        /// The path or address where it was looked for.
        store: String,
    },
    /// The address of a store is not understood, or names what is not there on this machine.
    #[error("the store's address is no good: {what}")]
    BadAddress {
        /// What was found, and what was expected. Never the password.
        what: String,
    },
    /// There is no job of that name.
    #[error("there is no job `{name}` in store {store}")]
    NoJob {
        /// The name.
        name: String,
        /// The store's path or address.
        store: String,
    },
    /// There is a job of that name already.
    #[error("there is a job `{name}` already")]
    JobExists {
        /// The name.
        name: String,
    },
    /// The job has no item of that id.
    #[error("job `{job}` has no item `{id}`")]
    NoItem {
        /// The job.
        job: String,
        /// The id.
        id: ItemId,
    },
    /// Another process runs the job.
    #[error("job `{job}` is being run by {by}")]
    Busy {
        /// The job.
        job: String,
        /// Who runs it, as far as is known.
        by: String,
    },
    /// An item of the same id was submitted with another payload.
    #[error("item `{id}` was submitted before with another payload")]
    Conflict {
        /// The item.
        id: ItemId,
    },
    /// An item cannot be stored.
    #[error("item `{id}` cannot be stored: {why}")]
    BadItem {
        /// The item.
        id: ItemId,
        /// What is wrong with it.
        why: String,
    },
    /// The job is sealed; its input is fixed.
    #[error("job `{job}` is sealed, its input is fixed")]
    Sealed {
        /// The job.
        job: String,
    },
    /// The job's input is not complete, so nothing can be added to it yet.
    #[error("job `{job}` is still being submitted")]
    Submitting {
        /// The job.
        job: String,
    },
    /// The item has changed since it was claimed. Nothing was written.
    #[error("item `{id}` was taken over by someone else")]
    Fenced {
        /// The item.
        id: ItemId,
    },
}
