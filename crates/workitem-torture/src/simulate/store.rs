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

use super::sim::Shared;

/// A store in a simulated world.
pub struct BadDay {
    pub memory: MemoryStore,
    pub shared: Shared,
}

impl BadDay {
    fn call<T>(&self, name: &str, call: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        let (before, after) = {
            let mut sim = self.shared.lock();
            sim.crash_point(name);
            let (slow, fault) = (sim.plan.slow, sim.plan.fault);
            if sim.chance(slow) {
                let time = Duration::from_micros(sim.rng.u64(0..300_000));
                sim.pass(time);
            }
            let fails = sim.chance(fault);
            sim.faulted |= fails;
            let before = fails && sim.rng.bool();
            (before, fails && !before)
        };
        if before {
            return Err(self.failed(name, "nothing was done"));
        }
        let done = call();
        let mut sim = self.shared.lock();
        if after {
            sim.say(format!("{name} fails, and is done"));
            drop(sim);
            return Err(self.failed(name, "whether it was done is not known"));
        }
        sim.crash_point(&format!("{name}, done"));
        done
    }

    fn failed(&self, name: &str, what: &str) -> StoreError {
        self.shared.lock().say(format!("{name} has failed"));
        StoreError::Engine { store: self.name(), what: format!("{name}: {what}"), cause: None }
    }
}

/// What a run does not ask for does not fail.
macro_rules! as_it_is {
    ($($name:ident(&self $(, $argument:ident: $kind:ty)*) -> $result:ty;)*) => {
        $(fn $name(&self $(, $argument: $kind)*) -> Result<$result, StoreError> { self.memory.$name($($argument),*) })*
    };
}

impl Store for BadDay {
    fn name(&self) -> String {
        "simulated".to_owned()
    }

    fn identity(&self) -> String {
        "simulated".to_owned()
    }

    fn now(&self) -> Result<DateTime<Utc>, StoreError> {
        Ok(self.shared.lock().now())
    }

    fn is_shared(&self) -> bool {
        self.memory.is_shared()
    }

    fn job(&self, name: &str) -> Result<Job, StoreError> {
        self.call("looking for the job", || self.memory.job(name))
    }

    fn lock_job(&self, job: &Job, runner: &Runner) -> Result<Box<dyn JobLock>, StoreError> {
        self.call("locking", || self.memory.lock_job(job, runner))
    }

    fn control(&self, job: JobId) -> Result<Control, StoreError> {
        self.call("looking what is wanted", || self.memory.control(job))
    }

    fn counts(&self, job: JobId) -> Result<JobCounts, StoreError> {
        self.call("counting", || {
            let counts = self.memory.counts(job)?;
            self.shared.lock().checks.counted(counts.is_finished());
            Ok(counts)
        })
    }

    fn renew(&self, job: JobId, agent: &str, lease: Duration, now: DateTime<Utc>) -> Result<(), StoreError> {
        self.call("renewing", || self.memory.renew(job, agent, lease, now))
    }

    fn abandoned(&self, job: JobId, limit: usize, now: DateTime<Utc>) -> Result<Vec<Abandoned>, StoreError> {
        self.call("looking for what is abandoned", || self.memory.abandoned(job, limit, now))
    }

    fn claim(&self, request: &ClaimRequest<'_>) -> Result<Claims, StoreError> {
        let asked_at = {
            let mut sim = self.shared.lock();
            sim.all_told();
            let asked = sim.checks.asked(&sim.plan, request, sim.at, sim.outstanding(), sim.stop.stopping());
            sim.hold(asked);
            sim.at
        };
        self.call("claiming", || {
            let claims = self.memory.claim(request)?;
            let sim = &mut *self.shared.lock();
            let now = sim.waiting(asked_at);
            let held = sim.checks.claimed(&sim.plan, &self.memory, &claims.claims, now, asked_at);
            sim.hold(held);
            if !claims.claims.is_empty() {
                sim.say(format!(
                    "{} of {} claimed, next due: {:?}",
                    claims.claims.len(),
                    request.limit,
                    claims.next_due
                ));
            }
            Ok(claims)
        })
    }

    fn record(&self, steps: &[AnyStep]) -> Result<Vec<Outcome>, StoreError> {
        let outcomes = self.call("recording", || {
            let outcomes = self.memory.record(steps)?;
            let sim = &mut *self.shared.lock();
            let now = sim.waiting(sim.at);
            let held = sim.checks.recorded(&sim.plan, steps, &outcomes, now);
            sim.hold(held);
            sim.say(format!("{} steps recorded", steps.len()));
            Ok(outcomes)
        })?;
        self.shared.lock().checks.owe(steps, &outcomes);
        Ok(outcomes)
    }

    as_it_is! {
        finish(&self, job: JobId, now: DateTime<Utc>) -> bool;
        listen(&self, job: Option<JobId>, call: Call) -> Option<Box<dyn Listening>>;
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

impl Upkeep for BadDay {
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

impl Blobs for BadDay {
    as_it_is! {
        create(&self, name: BlobName) -> Box<dyn BlobWriter>;
        open(&self, name: BlobName) -> Box<dyn Read + Send>;
    }
}
