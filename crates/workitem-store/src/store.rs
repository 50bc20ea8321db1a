//! The trait that every engine implements.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use workitem_types::{ItemId, StatusKind};

use crate::{
    Abandoned, AnyStep, AttemptRow, Blobs, Claims, Control, HistoryRow, ItemRow, Job, JobCounts, JobId,
    LetterRow, MAX_PAYLOAD, Payload, Skipped, StoreError, Upkeep,
};

/// Most bytes an item's id may have.
pub const MAX_ID: usize = 512;

/// A store of jobs and their items.
///
/// Dyn-compatible and shared between threads. Every method is one transaction: it happens wholly or not
/// at all, and what it has reported is durable. Batches are the caller's business: one call per batch,
/// never one per item.
///
/// # Errors
///
/// Every method reports [`StoreError`]: `Engine` and `Damaged` wherever the medium is touched, and what
/// its own description names.
pub trait Store: Blobs + Upkeep {
    /// The store's path or address, for messages.
    fn name(&self) -> String;

    /// The same for every process that opens this store, and different for every other store of this machine.
    fn identity(&self) -> String;

    /// The clock by which this store's items are due, in whole microseconds. Embedded stores: the system's. Shared ones:
    /// the server's, which is one for all machines.
    ///
    /// # Errors
    ///
    /// See [`Store`].
    fn now(&self) -> Result<DateTime<Utc>, StoreError>;

    /// Whether several orchestrators may work on one job at the same time. Then a worker's lease says that it is there,
    /// and not the job's lock.
    fn is_shared(&self) -> bool;

    /// Makes a job. It is *submitting* until it is sealed. Without a name it is called `job-N`.
    ///
    /// # Errors
    ///
    /// [`StoreError::JobExists`].
    fn create_job(&self, job: &NewJob) -> Result<Job, StoreError>;

    /// Finds a job by name.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoJob`].
    fn job(&self, name: &str) -> Result<Job, StoreError>;

    /// Every job, oldest first.
    ///
    /// # Errors
    ///
    /// See [`Store`].
    fn jobs(&self) -> Result<Vec<Job>, StoreError>;

    /// Forgets a job and everything that belongs to it. The job is gone at once; what belonged to it may go bit by bit, so
    /// that other writers need not wait, and what a crash leaves of it is for [`Upkeep::sweep_gone`].
    ///
    /// # Errors
    ///
    /// See [`Store`].
    fn delete_job(&self, job: JobId) -> Result<(), StoreError>;

    /// Makes this process the only one that runs the job, until the lock is dropped or the process ends.
    ///
    /// # Errors
    ///
    /// [`StoreError::Busy`] if another process has it.
    fn lock_job(&self, job: &Job, runner: &Runner) -> Result<Box<dyn JobLock>, StoreError>;

    /// Who runs the job right now, if anybody does.
    ///
    /// # Errors
    ///
    /// See [`Store`].
    fn running(&self, job: &Job) -> Result<Option<Runner>, StoreError>;

    /// Adds items to a job, in order, and reports how many were new. An item whose id and payload are
    /// there already is passed over, so that a batch can be sent again.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`], [`StoreError::BadItem`], [`StoreError::Sealed`]; the batch is then not added at all.
    fn submit(&self, job: JobId, items: &[NewItem]) -> Result<usize, StoreError>;

    /// Notes lines of the input that could not be items. A position noted before is passed over.
    ///
    /// # Errors
    ///
    /// See [`Store`].
    fn skip(&self, job: JobId, lines: &[Skipped]) -> Result<(), StoreError>;

    /// Fixes the job's input. Items can be claimed from now on.
    ///
    /// # Errors
    ///
    /// [`StoreError::Sealed`] if it is sealed with another digest.
    fn seal(&self, job: JobId, digest: &str) -> Result<(), StoreError>;

    /// Adds items to a sealed job, behind all others, and reports how many were new; as
    /// [`submit`](Self::submit) does before the seal. Whoever runs the job takes them up.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`], [`StoreError::BadItem`], [`StoreError::Submitting`]; the batch is then not added at
    /// all.
    fn add(&self, job: JobId, items: &[NewItem]) -> Result<usize, StoreError>;

    /// What is wanted of whoever runs the job; [`Control::Run`] to begin with.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoJob`].
    fn control(&self, job: JobId) -> Result<Control, StoreError>;

    /// Says what is wanted of whoever runs the job, now or later.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoJob`].
    fn set_control(&self, job: JobId, control: Control) -> Result<(), StoreError>;

    /// Hands out due items of a sealed job: Pending → `InProgress`, earliest due first, then in input order. Shared stores
    /// begin the agent's lease, or prolong it, in the same transaction, if anything was handed out.
    ///
    /// # Errors
    ///
    /// See [`Store`].
    fn claim(&self, request: &ClaimRequest<'_>) -> Result<Claims, StoreError>;

    /// Writes steps, each under its token, and reports what became of each. A step under a stale token
    /// changes nothing; one that was recorded before is `Recorded` again.
    ///
    /// # Errors
    ///
    /// See [`Store`]. No step was written then, and all stay with the caller.
    fn record(&self, steps: &[AnyStep]) -> Result<Vec<Outcome>, StoreError>;

    /// Keeps all that `agent` has of the job for `lease` from now on, by the store's own clock. A lease of nothing ends it:
    /// whoever leaves says so, and what it has left is given up at once. Embedded stores have no leases: there the job's
    /// lock plays that part.
    ///
    /// # Errors
    ///
    /// See [`Store`].
    fn renew(&self, job: JobId, agent: &str, lease: Duration, now: DateTime<Utc>) -> Result<(), StoreError>;

    /// Up to `limit` items that nobody works on. Embedded stores: everything that is in progress or
    /// failed, so the caller must hold the job's lock. Shared stores: those of it whose agent's lease has run out, by the
    /// store's own clock, or was ended.
    ///
    /// # Errors
    ///
    /// See [`Store`].
    fn abandoned(&self, job: JobId, limit: usize, now: DateTime<Utc>) -> Result<Vec<Abandoned>, StoreError>;

    /// Notes that no item of the job will change any more, and says whether nobody has noted that before: of all who find
    /// a job finished, one is the first. Nothing is noted, and nobody is, if somebody has added items meanwhile. Embedded stores
    /// have one orchestrator a job, and it is the first each time.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoJob`].
    fn finish(&self, job: JobId, now: DateTime<Utc>) -> Result<bool, StoreError>;

    /// Has `call` called soon after something about the job, or any job, has changed that whoever works on it wants to know: what is
    /// wanted of it, items to claim, its end. A call can be lost, so look now and then. Ends when what is returned is
    /// dropped; nothing is returned by stores that never call, as embedded ones: there looking often costs little.
    ///
    /// # Errors
    ///
    /// See [`Store`].
    fn listen(&self, job: Option<JobId>, call: Call) -> Result<Option<Box<dyn Listening>>, StoreError>;

    /// How far the job is.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoJob`].
    fn counts(&self, job: JobId) -> Result<JobCounts, StoreError>;

    /// How many of the pending items are not due yet at `now`.
    ///
    /// # Errors
    ///
    /// See [`Store`].
    fn waiting(&self, job: JobId, now: DateTime<Utc>) -> Result<usize, StoreError>;

    /// Items in input order, a page at a time.
    ///
    /// # Errors
    ///
    /// See [`Store`].
    fn items(&self, job: JobId, query: &ItemQuery) -> Result<Vec<ItemRow>, StoreError>;

    /// One item by its id.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoItem`].
    fn item(&self, job: &Job, id: &ItemId) -> Result<ItemRow, StoreError>;

    /// An item's input.
    ///
    /// # Errors
    ///
    /// See [`Store`].
    fn payload(&self, job: JobId, seq: u64) -> Result<Payload, StoreError>;

    /// Every event of the items at these positions, by item and version.
    ///
    /// # Errors
    ///
    /// See [`Store`].
    fn history(&self, job: JobId, seqs: RangeInclusive<u64>) -> Result<Vec<HistoryRow>, StoreError>;

    /// What the attempts of the items at these positions printed, by item and attempt. Attempts that
    /// printed nothing have no row.
    ///
    /// # Errors
    ///
    /// See [`Store`].
    fn attempts(&self, job: JobId, seqs: RangeInclusive<u64>) -> Result<Vec<AttemptRow>, StoreError>;

    /// Lines of the input that were passed over, in order of position.
    ///
    /// # Errors
    ///
    /// See [`Store`].
    fn skipped(&self, job: JobId) -> Result<Vec<Skipped>, StoreError>;

    /// Dead letters that nobody has dealt with, in input order after position `after`. A letter counts as
    /// dealt with once a successor completed, or it was dropped. Successors that died stand with the letter they were for.
    ///
    /// # Errors
    ///
    /// See [`Store`].
    fn letters(&self, job: JobId, after: u64, limit: usize) -> Result<Vec<LetterRow>, StoreError>;

    /// Submits a successor `ORIGIN~N` for each of these letters that is open and has none alive, and
    /// reports their ids.
    ///
    /// # Errors
    ///
    /// See [`Store`].
    fn retry_letters(&self, job: JobId, seqs: &[u64]) -> Result<Vec<ItemId>, StoreError>;

    /// Dismisses each of these letters that is open and has no successor alive, and reports how many there were: they
    /// count as dealt with from now on. The items stay, and are dead-lettered still.
    ///
    /// # Errors
    ///
    /// See [`Store`].
    fn drop_letters(&self, job: JobId, seqs: &[u64]) -> Result<usize, StoreError>;

    /// Counts anew by looking at every item: what [`counts`](Self::counts) must agree with.
    ///
    /// # Errors
    ///
    /// See [`Store`].
    fn recount(&self, job: JobId) -> Result<JobCounts, StoreError>;

    /// The engine's own check of its files, and that every item of the job has an input and every input an
    /// item: what is wrong, a line each.
    ///
    /// # Errors
    ///
    /// See [`Store`].
    fn check_files(&self, job: JobId) -> Result<Vec<String>, StoreError>;
}

/// Held while a process runs a job; dropping it lets go.
pub trait JobLock: Send + Sync {}

/// What a store calls when something has changed, from any thread.
pub type Call = Box<dyn Fn() + Send + Sync>;

/// Held while a store calls; dropping it ends that.
pub trait Listening: Send {}

/// Who runs a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runner {
    /// The process.
    pub process: u32,
    /// Since when.
    pub since: DateTime<Utc>,
    /// How many items had nothing left to do by then: with `since`, it tells the rate.
    pub settled_before: usize,
}

impl fmt::Display for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}", self.process)
    }
}

/// A job to be made.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// Its name; `None` to have one made up.
    pub name: Option<String>,
    /// How to run it; opaque to the store.
    pub spec: Value,
    /// The time.
    pub now: DateTime<Utc>,
}

/// An item to be added.
#[derive(Debug, Clone)]
pub struct NewItem {
    /// Its id, unique within the job.
    pub id: ItemId,
    /// Its input.
    pub payload: Payload,
}

/// What every engine refuses to store.
///
/// # Errors
///
/// [`StoreError::BadItem`] if the id is empty, longer than [`MAX_ID`] bytes or has a NUL, or if the
/// payload is longer than [`MAX_PAYLOAD`] bytes.
pub fn check_item(item: &NewItem) -> Result<(), StoreError> {
    let id = item.id.as_str();
    let why = if id.is_empty() {
        "its id is empty".to_owned()
    } else if id.len() > MAX_ID {
        format!("its id has {} bytes, the limit is {MAX_ID}", id.len())
    } else if id.contains('\0') {
        "its id has a NUL".to_owned()
    } else if item.payload.as_json().len() > MAX_PAYLOAD {
        format!("its input has {} bytes, the limit is {MAX_PAYLOAD}", item.payload.as_json().len())
    } else {
        return Ok(());
    };
    Err(StoreError::BadItem { id: item.id.clone(), why })
}

/// Asks for items to work on.
#[derive(Debug, Clone)]
pub struct ClaimRequest<'a> {
    /// The job.
    pub job: JobId,
    /// Who is going to work on them.
    pub agent: &'a str,
    /// Most items wanted.
    pub limit: usize,
    /// How many of them have a free slot waiting and are spawned as soon as the claim is durable. The
    /// rest is claimed ahead. Only the former can be blamed for a crash.
    pub spawning: usize,
    /// How long the claim holds without being renewed.
    pub lease: Duration,
    /// The time.
    pub now: DateTime<Utc>,
    /// By when an item must be due: the same time, unless the caller has another clock to wait by.
    pub due: DateTime<Utc>,
}

impl<'a> ClaimRequest<'a> {
    /// Asks for up to `limit` items, all to be spawned at once, for a minute.
    pub const fn new(job: JobId, agent: &'a str, limit: usize, now: DateTime<Utc>) -> Self {
        Self { job, agent, limit, spawning: limit, lease: Duration::from_mins(1), now, due: now }
    }
}

/// Which items to list.
#[derive(Debug, Clone, Copy)]
pub struct ItemQuery {
    /// Only those in this state.
    pub status: Option<StatusKind>,
    /// Only those after this position; 0 for all.
    pub after: u64,
    /// Most items wanted.
    pub limit: usize,
}

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is durable.
    Recorded,
    /// The item had changed since it was claimed; nothing was written.
    Fenced,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_may_be_as_long_as_the_limit_and_no_longer() {
        let quotes = 2;
        let item = |len: usize| NewItem { id: "1".into(), payload: "x".repeat(len - quotes).as_str().into() };
        assert!(check_item(&item(MAX_PAYLOAD)).is_ok());
        let refused = check_item(&item(MAX_PAYLOAD + 1)).unwrap_err().to_string();
        assert!(refused.contains(&format!("its input has {} bytes", MAX_PAYLOAD + 1)), "{refused}");
    }
}
