//! What keeps a store from growing for ever, and tells how it is.

use std::ops::AddAssign;

use chrono::{DateTime, Utc};

use crate::{Finding, Job, JobCounts, JobId, StoreError};

/// Finding out what is old or belongs to nobody, removing it, and telling what is wrong. Every [`Store`](crate::Store) can.
///
/// Nothing here removes what an item, an attempt or a history refers to, and a crash in the midst of it leaves a store
/// that verifies: what was left half removed is found by [`sweep_gone`](Self::sweep_gone).
///
/// # Errors
///
/// As those of [`Store`](crate::Store).
pub trait Upkeep {
    /// When anything last happened to the job: its last event, or when it was made.
    ///
    /// # Errors
    ///
    /// See [`Upkeep`].
    fn last_change(&self, job: &Job) -> Result<DateTime<Utc>, StoreError>;

    /// About how many bytes the job takes up: its items' inputs, history and output.
    ///
    /// # Errors
    ///
    /// See [`Upkeep`].
    fn weight(&self, job: JobId) -> Result<u64, StoreError>;

    /// As [`delete_job`](crate::Store::delete_job), if the job's counts are `seen` still, which is looked at in the same
    /// transaction; says whether they were. Who adds items to a job does not hold its lock.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoJob`].
    fn delete_unchanged(&self, job: JobId, seen: &JobCounts) -> Result<bool, StoreError>;

    /// Removes output that no attempt of the job refers to: what was being written when its orchestrator died. Without
    /// `remove` it is only counted; otherwise the caller holds the job's lock.
    ///
    /// # Errors
    ///
    /// See [`Upkeep`].
    fn sweep_job(&self, job: JobId, remove: bool) -> Result<Swept, StoreError>;

    /// Removes what jobs that are gone have left: locks, output, and what a deletion that was cut off has not come to.
    /// Without `remove` it is only counted.
    ///
    /// # Errors
    ///
    /// See [`Upkeep`].
    fn sweep_gone(&self, remove: bool) -> Result<Swept, StoreError>;

    /// Gives room that is free within the store back to its medium, if there is so much that it is worth it. `false` if
    /// that must wait, because somebody else is at work and would have to.
    ///
    /// # Errors
    ///
    /// See [`Upkeep`].
    fn compact(&self) -> Result<bool, StoreError>;

    /// What whoever keeps the store should know of it and of what it lies on, in no order. It changes nothing, and what may
    /// not be looked at is a finding like any other.
    ///
    /// # Errors
    ///
    /// See [`Upkeep`].
    fn examine(&self) -> Result<Vec<Finding>, StoreError>;
}

/// What belonged to nobody.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// How many pieces there were: files, and jobs of which rows were left.
    pub pieces: usize,
    /// How many bytes they took up.
    pub bytes: u64,
}

impl Swept {
    /// One piece.
    pub const fn piece(bytes: u64) -> Self {
        Self { pieces: 1, bytes }
    }
}

impl AddAssign for Swept {
    fn add_assign(&mut self, other: Self) {
        self.pieces += other.pieces;
        self.bytes += other.bytes;
    }
}
