//! A [`Disk`] as a [`Store`], so that the real `recover` and the real `verify` can be called on it.

use std::io::Read;
use std::mem;
use std::ops::RangeInclusive;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use workitem_store::engine::abandoned;
use workitem_store::{
    Abandoned, AnyStep, AttemptRow, BlobName, BlobWriter, Blobs, Call, ClaimRequest, Claims, Control,
    Finding, HistoryRow, ItemQuery, ItemRow, Job, JobCounts, JobId, JobLock, LetterRow, Listening, NewItem,
    NewJob, Outcome, Payload, Runner, Skipped, Store, StoreError, Swept, Upkeep,
};
use workitem_types::{ItemId, StatusKind};

use crate::Fault;
use crate::disk::{Disk, JOB, NAME, NOW};

/// The store, for the time of one call.
pub struct View {
    disk: Mutex<Disk>,
    fault: Option<Fault>,
    /// The item whose lease ran out.
    run_out: Option<u64>,
    /// What arrives between recovery's look at the items and its write.
    late: Mutex<Option<AnyStep>>,
    written: Mutex<Vec<Written>>,
}

/// A transaction: what the store holds after it, and what became of the late step if it was that one's.
pub struct Written {
    /// What the store holds.
    pub after: Disk,
    /// Of the late step.
    pub late: Option<Outcome>,
    /// Whether it has changed what it must not.
    pub is_stale: bool,
}

impl View {
    /// To be looked at only.
    pub fn of(disk: &Disk) -> Self {
        Self::recovering(disk, None, None, None)
    }

    /// To be recovered, the lease of the item at `run_out` having run out.
    pub fn recovering(
        disk: &Disk,
        run_out: Option<u64>,
        late: Option<AnyStep>,
        fault: Option<Fault>,
    ) -> Self {
        Self {
            disk: Mutex::new(disk.clone()),
            fault,
            run_out,
            late: Mutex::new(late),
            written: Mutex::default(),
        }
    }

    /// What was written, in its order.
    pub fn into_written(self) -> Vec<Written> {
        self.written.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// The job, as it was submitted.
    pub fn job(&self) -> Job {
        let input_items = self.disk().items.len() as u64;
        let digest = Some("of the model".to_owned());
        Job { id: JOB, name: "model".to_owned(), spec: Value::Null, created_at: NOW, digest, input_items }
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wrote(&self, after: &Disk, late: Option<Outcome>, is_stale: bool) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.push(Written { after: after.clone(), late, is_stale });
    }
}

/// Methods that nothing in the model calls.
macro_rules! not_modelled {
    ($($method:ident($($argument:ty),*) -> $answer:ty;)*) => {$(
        fn $method(&self, $(_: $argument),*) -> Result<$answer, StoreError> {
            let what = concat!("`", stringify!($method), "` is not modelled").to_owned();
            Err(StoreError::Engine { store: NAME.to_owned(), what, cause: None })
        }
    )*};
}

impl Store for View {
    fn name(&self) -> String {
        NAME.to_owned()
    }

    fn identity(&self) -> String {
        NAME.to_owned()
    }

    fn now(&self) -> Result<DateTime<Utc>, StoreError> {
        Ok(NOW)
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn record(&self, steps: &[AnyStep]) -> Result<Vec<Outcome>, StoreError> {
        let mut disk = self.disk();
        if let Some(late) = mem::take(&mut *self.late.lock().unwrap_or_else(PoisonError::into_inner)) {
            let (outcome, is_stale) = disk.write_watched(&late, self.fault);
            self.wrote(&disk, Some(outcome), is_stale);
        }
        let written: Vec<_> = steps.iter().map(|step| disk.write_watched(step, self.fault)).collect();
        self.wrote(&disk, None, written.iter().any(|(_, is_stale)| *is_stale));
        Ok(written.into_iter().map(|(outcome, _)| outcome).collect())
    }

    fn abandoned(&self, _: JobId, limit: usize, _: DateTime<Utc>) -> Result<Vec<Abandoned>, StoreError> {
        let disk = self.disk();
        let last = disk.items.len() as u64;
        let is_abandoned = |row: &ItemRow| match row.record.status.kind() {
            StatusKind::Failed => true,
            StatusKind::InProgress => self.run_out == Some(row.seq),
            StatusKind::Pending | StatusKind::Completed | StatusKind::DeadLettered => false,
        };
        let is_forgotten = |row: &ItemRow| self.fault == Some(Fault::ForgottenItem) && row.seq == last;
        let found = disk.items.iter().filter(|item| is_abandoned(&item.row) && !is_forgotten(&item.row));
        found.take(limit).map(|item| abandoned(NAME, JOB, item.row.clone(), item.spawned)).collect()
    }

    fn counts(&self, _: JobId) -> Result<JobCounts, StoreError> {
        Ok(self.disk().counts.clone())
    }

    fn items(&self, _: JobId, query: &ItemQuery) -> Result<Vec<ItemRow>, StoreError> {
        let disk = self.disk();
        let after = disk.items.iter().map(|item| &item.row).filter(|row| row.seq > query.after);
        Ok(after.take(query.limit).cloned().collect())
    }

    fn history(&self, _: JobId, seqs: RangeInclusive<u64>) -> Result<Vec<HistoryRow>, StoreError> {
        let disk = self.disk();
        let asked = disk.items.iter().filter(|item| seqs.contains(&item.row.seq));
        Ok(asked.flat_map(|item| item.history.iter().cloned()).collect())
    }

    fn attempts(&self, _: JobId, _: RangeInclusive<u64>) -> Result<Vec<AttemptRow>, StoreError> {
        Ok(Vec::new())
    }

    fn recount(&self, _: JobId) -> Result<JobCounts, StoreError> {
        Ok(self.disk().recount())
    }

    fn check_files(&self, _: JobId) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }

    not_modelled! {
        create_job(&NewJob) -> Job;
        job(&str) -> Job;
        jobs() -> Vec<Job>;
        delete_job(JobId) -> ();
        lock_job(&Job, &Runner) -> Box<dyn JobLock>;
        running(&Job) -> Option<Runner>;
        submit(JobId, &[NewItem]) -> usize;
        skip(JobId, &[Skipped]) -> ();
        seal(JobId, &str) -> ();
        add(JobId, &[NewItem]) -> usize;
        control(JobId) -> Control;
        set_control(JobId, Control) -> ();
        claim(&ClaimRequest<'_>) -> Claims;
        finish(JobId, DateTime<Utc>) -> bool;
        listen(Option<JobId>, Call) -> Option<Box<dyn Listening>>;
        renew(JobId, &str, Duration, DateTime<Utc>) -> ();
        waiting(JobId, DateTime<Utc>) -> usize;
        item(&Job, &ItemId) -> ItemRow;
        payload(JobId, u64) -> Payload;
        skipped(JobId) -> Vec<Skipped>;
        letters(JobId, u64, usize) -> Vec<LetterRow>;
        retry_letters(JobId, &[u64]) -> Vec<ItemId>;
        drop_letters(JobId, &[u64]) -> usize;
    }
}

impl Blobs for View {
    not_modelled! {
        create(BlobName) -> Box<dyn BlobWriter>;
        open(BlobName) -> Box<dyn Read + Send>;
    }
}

impl Upkeep for View {
    not_modelled! {
        last_change(&Job) -> DateTime<Utc>;
        weight(JobId) -> u64;
        delete_unchanged(JobId, &JobCounts) -> bool;
        sweep_job(JobId, bool) -> Swept;
        sweep_gone(bool) -> Swept;
        compact() -> bool;
        examine() -> Vec<Finding>;
    }
}
