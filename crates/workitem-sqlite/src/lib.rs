//! The embedded store of work items: one SQLite file, durable on every commit.
//!
//! A [`SqliteStore`] keeps the promises of [`Store`](workitem_store::Store) on one machine: write-ahead
//! log, `synchronous=FULL` (a commit has reached the disk when it returns), one transaction for each
//! batch. Several processes may use one file: any number of readers, and one orchestrator per job, which
//! holds the job's lock.
//!
//! Beside the file `workitem.db` stand SQLite's own `-wal` and `-shm`, the folder `workitem.db.locks` with
//! a lock file for each job that was run, and `workitem.db.output` with output too long for a row. All of
//! them are readable by their owner only.
//!
//! ```
//! use workitem_sqlite::SqliteStore;
//! use workitem_store::{NewItem, NewJob, Store};
//!
//! let folder = tempfile::tempdir()?;
//! let store = SqliteStore::create(&folder.path().join("workitem.db"))?;
//! let now = chrono::DateTime::UNIX_EPOCH;
//! let job = store.create_job(&NewJob { name: None, spec: serde_json::Value::Null, now })?;
//! store.submit(job.id, &[NewItem { id: "1".into(), payload: "a.rs".into() }])?;
//! store.seal(job.id, "digest of the input")?;
//! assert_eq!(store.counts(job.id)?.by_status.pending, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`SqliteStore::create`] makes the file if there is none, [`SqliteStore::open`] wants one. What can be done with it
//! then is what can be done with any [`Store`](workitem_store::Store). An `Arc` of it is what an orchestrator takes, and
//! `workitem --store FILE` reads it from a terminal.
//!
//! Times are stored as microseconds since 1970, states and events as the numbers in `codes.rs`.

mod blobs;
mod claim;
mod codes;
mod error;
mod examine;
mod letters;
mod lock;
mod open;
mod private;
mod read;
mod record;
mod rows;
mod store;
mod submit;
mod upkeep;

pub use open::SqliteStore;
