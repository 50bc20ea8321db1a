//! The in-memory store on a bad day: calls take long, fail before or after what they do, or are the last thing that
//! their process did.

use std::io::Read;
use std::ops::RangeInclusive;
use std::time::Duration;

use chrono::{DateTime, Utc};
use workitem_store::{
    Abandoned, AnyStep, AttemptRow, BlobName, BlobWriter, Blobs, Call, ClaimRequest, Claims, Control,
    Finding, HistoryRow, ItemQuery, ItemRow, Job, JobCounts, JobId, JobLock, LetterRow, Listening,
    MemoryStore, NewItem, NewJob, Outcome, Payload, Runner, Skipped, Store, StoreError, Swept, Upkeep,
};
use workitem_types::ItemId;

use super::weather::Weather;

/// A store in a simulated world.
pub struct BadDay<W> {
    pub memory: MemoryStore,
    pub weather: W,
}

/// What a run does not ask for does not fail.
macro_rules! as_it_is {
    ($($name:ident(&self $(, $argument:ident: $kind:ty)*) -> $result:ty;)*) => {
        $(fn $name(&self $(, $argument: $kind)*) -> Result<$result, StoreError> { self.memory.$name($($argument),*) })*
    };
}

impl<W: Weather> Store for BadDay<W> {
    fn name(&self) -> String {
        "simulated".to_owned()
    }

    fn identity(&self) -> String {
        "simulated".to_owned()
    }

    fn now(&self) -> Result<DateTime<Utc>, StoreError> {
        Ok(self.weather.now())
    }

    fn is_shared(&self) -> bool {
        self.memory.is_shared()
    }

    fn listen(&self, job: Option<JobId>, call: Call) -> Result<Option<Box<dyn Listening>>, StoreError> {
        self.memory.listen(job, self.weather.through(call))
    }

    fn job(&self, name: &str) -> Result<Job, StoreError> {
        self.weather.call("looking for the job", || self.memory.job(name))
    }

    fn lock_job(&self, job: &Job, runner: &Runner) -> Result<Box<dyn JobLock>, StoreError> {
        self.weather.call("locking", || self.memory.lock_job(job, runner))
    }

    fn control(&self, job: JobId) -> Result<Control, StoreError> {
        self.weather.call("looking what is wanted", || self.memory.control(job))
    }

    fn counts(&self, job: JobId) -> Result<JobCounts, StoreError> {
        self.weather.call("counting", || {
            let counts = self.memory.counts(job)?;
            self.weather.counted(&counts);
            Ok(counts)
        })
    }

    fn renew(&self, job: JobId, agent: &str, lease: Duration, now: DateTime<Utc>) -> Result<(), StoreError> {
        self.weather.call("renewing", || {
            self.memory.renew(job, agent, lease, now)?;
            self.weather.renewed(agent, lease);
            Ok(())
        })
    }

    fn abandoned(&self, job: JobId, limit: usize, now: DateTime<Utc>) -> Result<Vec<Abandoned>, StoreError> {
        self.weather.call("looking for what is abandoned", || {
            let abandoned = self.memory.abandoned(job, limit, now)?;
            self.weather.looked(&abandoned);
            Ok(abandoned)
        })
    }

    fn claim(&self, request: &ClaimRequest<'_>) -> Result<Claims, StoreError> {
        let asked_at = self.weather.asked(request);
        self.weather.call("claiming", || {
            let claims = self.memory.claim(request)?;
            self.weather.claimed(request, &claims, asked_at);
            Ok(claims)
        })
    }

    fn record(&self, steps: &[AnyStep]) -> Result<Vec<Outcome>, StoreError> {
        let outcomes = self.weather.call("recording", || {
            let outcomes = self.memory.record(steps)?;
            self.weather.recorded(steps, &outcomes);
            Ok(outcomes)
        })?;
        self.weather.known(steps, &outcomes);
        Ok(outcomes)
    }

    as_it_is! {
        finish(&self, job: JobId, now: DateTime<Utc>) -> bool;
        create_job(&self, job: &NewJob) -> Job;
        jobs(&self) -> Vec<Job>;
        delete_job(&self, job: JobId) -> ();
        running(&self, job: &Job) -> Option<Runner>;
        submit(&self, job: JobId, items: &[NewItem]) -> usize;
        skip(&self, job: JobId, lines: &[Skipped]) -> ();
        seal(&self, job: JobId, digest: &str) -> ();
        add(&self, job: JobId, items: &[NewItem]) -> usize;
        set_control(&self, job: JobId, control: Control) -> ();
        waiting(&self, job: JobId, now: DateTime<Utc>) -> usize;
        items(&self, job: JobId, query: &ItemQuery) -> Vec<ItemRow>;
        item(&self, job: &Job, id: &ItemId) -> ItemRow;
        payload(&self, job: JobId, seq: u64) -> Payload;
        history(&self, job: JobId, seqs: RangeInclusive<u64>) -> Vec<HistoryRow>;
        attempts(&self, job: JobId, seqs: RangeInclusive<u64>) -> Vec<AttemptRow>;
        skipped(&self, job: JobId) -> Vec<Skipped>;
        letters(&self, job: JobId, after: u64, limit: usize) -> Vec<LetterRow>;
        retry_letters(&self, job: JobId, seqs: &[u64]) -> Vec<ItemId>;
        drop_letters(&self, job: JobId, seqs: &[u64]) -> usize;
        recount(&self, job: JobId) -> JobCounts;
        check_files(&self, job: JobId) -> Vec<String>;
    }
}

impl<W: Weather> Upkeep for BadDay<W> {
    as_it_is! {
        last_change(&self, job: &Job) -> DateTime<Utc>;
        weight(&self, job: JobId) -> u64;
        delete_unchanged(&self, job: JobId, seen: &JobCounts) -> bool;
        sweep_job(&self, job: JobId, remove: bool) -> Swept;
        sweep_gone(&self, remove: bool) -> Swept;
        compact(&self) -> bool;
        examine(&self) -> Vec<Finding>;
    }
}

impl<W: Weather> Blobs for BadDay<W> {
    as_it_is! {
        create(&self, name: BlobName) -> Box<dyn BlobWriter>;
        open(&self, name: BlobName) -> Box<dyn Read + Send>;
    }
}
