//! What a store of work items promises: the trait, its contract suite, and an in-memory store.
//!
//! A **store** keeps jobs and their items and hands items out to agents. Whatever the engine, it keeps
//! these promises, and the suite `contract` (behind the feature of that name) tests them:
//!
//! - an item in it was reached by legal transitions: the write path takes [`AnyStep`]s, which only the
//!   typed machine can make;
//! - an item is handed out to one agent at a time: every claim carries a fencing token, and a write
//!   under a stale token is [`Outcome::Fenced`] and changes nothing;
//! - every transition stands in an append-only history, and [`verify`] replays it through the *dynamic*
//!   machine, which is not the code that wrote it;
//! - counts are kept in the transaction that changes them.
//!
//! # From claim to record
//!
//! ```
//! use std::time::Duration;
//! use chrono::{DateTime, Utc};
//! use workitem_store::{ClaimRequest, MemoryStore, NewItem, NewJob, Outcome, Store, StoreExt};
//! use workitem_typestate::AgentComplete;
//! use workitem_types::AgentResult;
//!
//! let now = DateTime::<Utc>::UNIX_EPOCH;
//! let store = MemoryStore::new();
//! let job = store.create_job(&NewJob { name: Some("census".into()), spec: serde_json::Value::Null, now })?;
//! store.submit(job.id, &[NewItem { id: "1".into(), payload: "a.rs".into() }])?;
//! store.seal(job.id, "digest of the input")?;
//!
//! let mut claims = store.claim(&ClaimRequest::new(job.id, "agent-1", 10, now))?.claims;
//! let claim = claims.pop().expect("one item is due");
//! assert_eq!(claim.payload.to_value(), "a.rs");
//!
//! let result = Box::new(AgentResult::success("1".into(), None, Duration::from_secs(1)));
//! let done = store.commit(claim.leased.step(AgentComplete { result }, now))?;   // Leased<Completed>
//! assert_eq!(done.item().attempts(), 1);
//! assert_eq!(store.counts(job.id)?.by_status.completed, 1);
//! # Ok::<(), workitem_store::StoreError>(())
//! ```
//!
//! # What is where
//!
//! | for | there is |
//! |---|---|
//! | anybody with a store | [`Store`], the trait; [`StoreExt::commit`], one step in types; [`Payload`], [`NewJob`], [`NewItem`] |
//! | a loop over items | [`ClaimRequest`], [`Leased`] and its steps, [`Cause`] |
//! | what a crash left | [`Store::lock_job`], then [`recover`] |
//! | an audit | [`verify`] |
//! | what is old, or belongs to nobody, or wrong with the store | [`Upkeep`] |
//! | tests, and jobs that need no disk | [`MemoryStore`]; on disk is `SqliteStore` of `workitem-sqlite`, on a server `PostgresStore` of `workitem-postgres` |
//! | whoever writes an engine | [`engine`], and the suite |
//!
//! `workitem-orchestrator` has the loop already.

mod cause;
mod commit;
#[cfg(feature = "contract")]
pub mod contract;
pub mod engine;
mod error;
mod finding;
mod job;
mod lease;
mod memory;
mod output;
mod payload;
mod recover;
mod rows;
mod store;
mod time;
mod upkeep;
mod verify;

pub use cause::Cause;
pub use commit::StoreExt;
pub use error::StoreError;
pub use finding::{Finding, Severity};
pub use job::{Control, Job, JobCounts, JobId};
pub use lease::{AnyStep, Leased, LeasedStep, SettledLease, Token};
pub use memory::MemoryStore;
pub use output::{AttemptOutput, BlobName, BlobWriter, Blobs, Captured, INLINE_OUTPUT, Kept, StreamKind};
pub use payload::{MAX_PAYLOAD, Payload};
pub use recover::{Recovered, recover, recover_found};
pub use rows::{Abandoned, AttemptRow, Claim, Claims, HistoryRow, ItemRow, LetterRow, Skipped};
pub use store::{
    Call, ClaimRequest, ItemQuery, JobLock, Listening, MAX_ID, NewItem, NewJob, Outcome, Runner, Store,
    check_item,
};
pub use time::whole_micros;
pub use upkeep::{Swept, Upkeep};
pub use verify::{Audit, verify};
