//! The trait, method by method: each is one transaction, or one snapshot.

use std::ops::RangeInclusive;
use std::time::Duration;

use chrono::{DateTime, Utc};
use workitem_store::{
    Abandoned, AnyStep, AttemptRow, Call, ClaimRequest, Claims, Control, HistoryRow, ItemQuery, ItemRow, Job,
    JobCounts, JobId, JobLock, LetterRow, Listening, NewItem, NewJob, Outcome, Payload, Runner, Skipped,
    Store, StoreError,
};
use workitem_types::{ItemId, StatusKind};

use crate::error::Failure;
use crate::rows::bound;
use crate::states::Update;
use crate::{PostgresStore, calls, claim, counts, jobs, lease, letters, lock, read, record, submit};

/// How often steps that were overtaken are decided about one by one: once is enough, unless the server ends that, too,
/// because it and another transaction wait for each other.
const CAREFUL: usize = 3;

impl Store for PostgresStore {
    fn name(&self) -> String {
        self.pool.name().to_owned()
    }

    fn identity(&self) -> String {
        self.identity.clone()
    }

    fn now(&self) -> Result<DateTime<Utc>, StoreError> {
        self.read("asking for the time", read::now)
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn create_job(&self, job: &NewJob) -> Result<Job, StoreError> {
        self.write("making a job", |tx| jobs::create(tx, job))
    }

    fn job(&self, name: &str) -> Result<Job, StoreError> {
        let no_job = || StoreError::NoJob { name: name.to_owned(), store: self.pool.name().to_owned() };
        // No name has one, and text cannot.
        if name.contains('\0') {
            return Err(no_job());
        }
        self.read("finding a job", |tx| jobs::find(tx, name))?.ok_or_else(no_job)
    }

    fn jobs(&self) -> Result<Vec<Job>, StoreError> {
        self.read("listing jobs", jobs::all)
    }

    fn delete_job(&self, job: JobId) -> Result<(), StoreError> {
        self.write("deleting a job", |tx| jobs::delete(tx, job))?;
        self.delete_rest(job)
    }

    fn lock_job(&self, job: &Job, runner: &Runner) -> Result<Box<dyn JobLock>, StoreError> {
        let taken = lock::take(self, job.id, runner);
        match taken.map_err(|failure| failure.while_doing(self.pool.name(), "locking a job"))? {
            Ok(lock) => Ok(Box::new(lock)),
            Err(by) => Err(StoreError::Busy { job: job.name.clone(), by: by.to_string() }),
        }
    }

    fn running(&self, job: &Job) -> Result<Option<Runner>, StoreError> {
        let looked = lock::running(self, job.id);
        looked.map_err(|failure| failure.while_doing(self.pool.name(), "looking at a job's lock"))
    }

    fn submit(&self, job: JobId, items: &[NewItem]) -> Result<usize, StoreError> {
        self.write("storing items", |tx| submit::submit(tx, job, items))
    }

    fn skip(&self, job: JobId, lines: &[Skipped]) -> Result<(), StoreError> {
        self.write("storing skipped lines", |tx| submit::skip(tx, job, lines))
    }

    fn seal(&self, job: JobId, digest: &str) -> Result<(), StoreError> {
        self.write("sealing a job", |tx| jobs::seal(tx, job, digest))
    }

    fn add(&self, job: JobId, items: &[NewItem]) -> Result<usize, StoreError> {
        let added = self.write("adding items", |tx| submit::add(tx, job, items))?;
        // They may come before what was put off.
        self.heads.forget(job);
        Ok(added)
    }

    fn control(&self, job: JobId) -> Result<Control, StoreError> {
        self.read("reading a job's control", |tx| jobs::control(tx, job))
    }

    fn set_control(&self, job: JobId, control: Control) -> Result<(), StoreError> {
        self.write("controlling a job", |tx| jobs::set_control(tx, job, control))
    }

    fn claim(&self, request: &ClaimRequest<'_>) -> Result<Claims, StoreError> {
        let head = self.heads.get(request.job);
        let claimed = self.write("claiming items", |tx| claim::claim(tx, request, head))?;
        self.heads.advance(request.job, claimed.from, claimed.to);
        Ok(claimed.claims)
    }

    fn record(&self, steps: &[AnyStep]) -> Result<Vec<Outcome>, StoreError> {
        if steps.is_empty() {
            return Ok(Vec::new());
        }
        let mut recorded = self.pool.attempt(|tx| record::at_once(tx, steps));
        for _ in 0..CAREFUL {
            if !recorded.as_ref().is_err_and(Failure::is_overtaken) {
                break;
            }
            recorded = self.pool.attempt(|tx| record::one_by_one(tx, steps));
        }
        let outcomes = recorded.map_err(|failure| failure.while_doing(self.pool.name(), "recording"))?;
        for step in steps.iter().filter(|step| step.record().status.kind() == StatusKind::Pending) {
            let token = step.token();
            self.heads.put_back(token.job(), (Update(step).run_at(), bound(token.seq())));
        }
        Ok(outcomes)
    }

    fn renew(&self, job: JobId, agent: &str, lease: Duration, _: DateTime<Utc>) -> Result<(), StoreError> {
        self.write("renewing a lease", |tx| lease::renew(tx, job, agent, lease))
    }

    fn abandoned(&self, job: JobId, limit: usize, _: DateTime<Utc>) -> Result<Vec<Abandoned>, StoreError> {
        self.write("looking for abandoned items", |tx| lease::abandoned(tx, job, limit))
    }

    fn finish(&self, job: JobId, _: DateTime<Utc>) -> Result<bool, StoreError> {
        self.write("noting that a job is finished", |tx| jobs::finish(tx, job))
    }

    fn listen(&self, job: Option<JobId>, call: Call) -> Result<Option<Box<dyn Listening>>, StoreError> {
        let listening = calls::listen(&self.calls, &self.pool, job, call);
        listening.map(Some).map_err(|failure| failure.while_doing(self.pool.name(), "listening"))
    }

    fn counts(&self, job: JobId) -> Result<JobCounts, StoreError> {
        self.read("reading counts", |tx| counts::read(tx, job))
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
        self.read("reading an item's input", |tx| read::payload(tx, job, seq))
    }

    fn history(&self, job: JobId, seqs: RangeInclusive<u64>) -> Result<Vec<HistoryRow>, StoreError> {
        self.read("reading the history", |tx| read::history(tx, job, &seqs))
    }

    fn attempts(&self, job: JobId, seqs: RangeInclusive<u64>) -> Result<Vec<AttemptRow>, StoreError> {
        self.read("reading output", |tx| read::attempts(tx, job, &seqs))
    }

    fn skipped(&self, job: JobId) -> Result<Vec<Skipped>, StoreError> {
        self.read("reading skipped lines", |tx| read::skipped(tx, job))
    }

    fn letters(&self, job: JobId, after: u64, limit: usize) -> Result<Vec<LetterRow>, StoreError> {
        self.read("listing dead letters", |tx| letters::open(tx, job, after, limit))
    }

    fn retry_letters(&self, job: JobId, seqs: &[u64]) -> Result<Vec<ItemId>, StoreError> {
        let ids = self.write("submitting dead letters anew", |tx| letters::retry(tx, job, seqs))?;
        self.heads.forget(job);
        Ok(ids)
    }

    fn drop_letters(&self, job: JobId, seqs: &[u64]) -> Result<usize, StoreError> {
        self.write("dropping dead letters", |tx| letters::dismiss(tx, job, seqs))
    }

    fn recount(&self, job: JobId) -> Result<JobCounts, StoreError> {
        self.read("counting anew", |tx| read::recount(tx, job))
    }

    fn check_files(&self, job: JobId) -> Result<Vec<String>, StoreError> {
        self.read("checking the tables", |tx| read::check(tx, job))
    }
}
