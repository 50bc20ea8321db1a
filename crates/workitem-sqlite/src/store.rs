//! The trait, method by method: each is one transaction on the writer or one snapshot on the reader.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};
use workitem_store::{
    Abandoned, AnyStep, AttemptRow, Call, ClaimRequest, Claims, Control, HistoryRow, ItemQuery, ItemRow, Job,
    JobCounts, JobId, JobLock, LetterRow, Listening, NewItem, NewJob, Outcome, Payload, Runner, Skipped,
    Store, StoreError, engine,
};
use workitem_types::ItemId;

use crate::record::{Recorder, read_counts};
use crate::{SqliteStore, claim, letters, lock, read, submit};

impl SqliteStore {
    pub(crate) fn lock_path(&self, job: JobId) -> PathBuf {
        self.beside(".locks").join(job.to_string())
    }
}

impl Store for SqliteStore {
    fn name(&self) -> String {
        self.path_name().to_owned()
    }

    fn identity(&self) -> String {
        self.file_identity().to_owned()
    }

    fn now(&self) -> Result<DateTime<Utc>, StoreError> {
        Ok(engine::system_time())
    }

    fn is_shared(&self) -> bool {
        false
    }

    fn create_job(&self, job: &NewJob) -> Result<Job, StoreError> {
        self.write("making a job", |tx| submit::create(tx, job))
    }

    fn job(&self, name: &str) -> Result<Job, StoreError> {
        let found = self.read("finding a job", |tx| submit::find(tx, name))?;
        found.ok_or_else(|| StoreError::NoJob { name: name.to_owned(), store: self.path_name().to_owned() })
    }

    fn jobs(&self) -> Result<Vec<Job>, StoreError> {
        self.read("listing jobs", submit::all)
    }

    fn delete_job(&self, job: JobId) -> Result<(), StoreError> {
        self.write("deleting a job", |tx| submit::delete(tx, job))?;
        self.delete_rest(job)
    }

    fn lock_job(&self, job: &Job, runner: &Runner) -> Result<Box<dyn JobLock>, StoreError> {
        let taken = lock::take(&self.lock_path(job.id), self.owner(), runner);
        match taken.map_err(|error| self.file_error("locking a job", error))? {
            Ok(lock) => Ok(Box::new(lock)),
            Err(by) => Err(StoreError::Busy { job: job.name.clone(), by: by.to_string() }),
        }
    }

    fn running(&self, job: &Job) -> Result<Option<Runner>, StoreError> {
        lock::look(&self.lock_path(job.id)).map_err(|error| self.file_error("looking at a job's lock", error))
    }

    fn submit(&self, job: JobId, items: &[NewItem]) -> Result<usize, StoreError> {
        self.write("storing items", |tx| submit::submit(tx, job, items, self.path_name()))
    }

    fn skip(&self, job: JobId, lines: &[Skipped]) -> Result<(), StoreError> {
        self.write("storing skipped lines", |tx| submit::skip(tx, job, lines))
    }

    fn seal(&self, job: JobId, digest: &str) -> Result<(), StoreError> {
        self.write("sealing a job", |tx| submit::seal(tx, job, digest, self.path_name()))
    }

    fn add(&self, job: JobId, items: &[NewItem]) -> Result<usize, StoreError> {
        self.write("adding items", |tx| submit::add(tx, job, items, self.path_name()))
    }

    fn control(&self, job: JobId) -> Result<Control, StoreError> {
        self.read("reading a job's control", |tx| submit::control(tx, job, self.path_name()))
    }

    fn set_control(&self, job: JobId, control: Control) -> Result<(), StoreError> {
        self.write("controlling a job", |tx| submit::set_control(tx, job, control, self.path_name()))
    }

    fn claim(&self, request: &ClaimRequest<'_>) -> Result<Claims, StoreError> {
        self.write("claiming items", |tx| claim::claim(tx, request, self.path_name()))
    }

    fn record(&self, steps: &[AnyStep]) -> Result<Vec<Outcome>, StoreError> {
        self.write("recording", |tx| {
            let mut recorder = Recorder::new(tx, self.path_name())?;
            let outcomes = steps.iter().map(|step| recorder.record(step, false)).collect();
            recorder.finish()?;
            outcomes
        })
    }

    fn renew(&self, _: JobId, _: &str, _: Duration, _: DateTime<Utc>) -> Result<(), StoreError> {
        Ok(())
    }

    fn abandoned(&self, job: JobId, limit: usize, _: DateTime<Utc>) -> Result<Vec<Abandoned>, StoreError> {
        self.read("looking for abandoned items", |tx| claim::abandoned(tx, job, limit, self.path_name()))
    }

    fn finish(&self, job: JobId, _: DateTime<Utc>) -> Result<bool, StoreError> {
        self.counts(job).map(|counts| counts.is_finished())
    }

    fn listen(&self, _: Option<JobId>, _: Call) -> Result<Option<Box<dyn Listening>>, StoreError> {
        Ok(None)
    }

    fn counts(&self, job: JobId) -> Result<JobCounts, StoreError> {
        self.read("reading counts", |tx| read_counts(tx, job, self.path_name()))
    }

    fn waiting(&self, job: JobId, now: DateTime<Utc>) -> Result<usize, StoreError> {
        self.read("counting what waits", |tx| read::waiting(tx, job, now))
    }

    fn items(&self, job: JobId, query: &ItemQuery) -> Result<Vec<ItemRow>, StoreError> {
        self.read("listing items", |tx| read::items(tx, job, query))
    }

    fn item(&self, job: &Job, id: &ItemId) -> Result<ItemRow, StoreError> {
        self.read("finding an item", |tx| read::item(tx, job, id))
    }

    fn payload(&self, job: JobId, seq: u64) -> Result<Payload, StoreError> {
        self.read("reading an item's input", |tx| read::payload(tx, job, seq, self.path_name()))
    }

    fn history(&self, job: JobId, seqs: RangeInclusive<u64>) -> Result<Vec<HistoryRow>, StoreError> {
        self.read("reading the history", |tx| read::history(tx, job, seqs))
    }

    fn attempts(&self, job: JobId, seqs: RangeInclusive<u64>) -> Result<Vec<AttemptRow>, StoreError> {
        self.read("reading output", |tx| read::attempts(tx, job, seqs))
    }

    fn skipped(&self, job: JobId) -> Result<Vec<Skipped>, StoreError> {
        self.read("reading skipped lines", |tx| read::skipped(tx, job))
    }

    fn letters(&self, job: JobId, after: u64, limit: usize) -> Result<Vec<LetterRow>, StoreError> {
        self.read("listing dead letters", |tx| letters::open(tx, job, after, limit))
    }

    fn retry_letters(&self, job: JobId, seqs: &[u64]) -> Result<Vec<ItemId>, StoreError> {
        self.write("submitting dead letters anew", |tx| letters::retry(tx, job, seqs))
    }

    fn drop_letters(&self, job: JobId, seqs: &[u64]) -> Result<usize, StoreError> {
        self.write("dropping dead letters", |tx| letters::dismiss(tx, job, seqs))
    }

    fn recount(&self, job: JobId) -> Result<JobCounts, StoreError> {
        self.read("counting anew", |tx| read::recount(tx, job, self.path_name()))
    }

    fn check_files(&self, job: JobId) -> Result<Vec<String>, StoreError> {
        self.read("checking the file", |tx| read::check(tx, job))
    }
}
