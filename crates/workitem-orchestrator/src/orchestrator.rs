//! A run: the job's lock, what a predecessor left behind, the slots, and the driver that feeds them.

use std::collections::HashSet;
use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;
use std::{env, process, thread};

use chrono::{DateTime, Utc};
use thiserror::Error;
use tracing::{info, info_span, warn};
use workitem_store::{
    Abandoned, Cause, Job, JobCounts, JobLock, Recovered, Runner, Store, StoreError, recover_found,
};
use workitem_types::ItemId;
use workitem_typestate::{Failed, WorkItem};

use crate::agent::{Agent, Fault};
use crate::clock::TimeOfDay;
use crate::driver::{Driver, Others, PutInOrder, Run};
use crate::observer::{Event, Observer};
use crate::process::{end_orphans, is_alive, remove_item_files};
use crate::rate::Rate;
use crate::retry::Retry;
use crate::rules::{Rule, StopRules};
use crate::slots::{Slots, Threads, vacant};
use crate::stop::{Stop, Stopping};
use crate::sync::{scope, spawn, unbounded};
#[cfg(feature = "simulation")]
use crate::world::World;

/// More items than any run holds at a time, so that one look finds all that a predecessor left.
const MOST_ABANDONED: usize = 1_000_000;

/// How to run a job.
#[derive(Debug, Clone)]
pub struct Options {
    /// Items that run at a time. Default: the number of cores.
    pub parallelism: NonZeroUsize,
    /// How often an item may fail. Default: once.
    pub retry: Retry,
    /// How many crashes an item may be there at before it is given up. Default: 10.
    pub max_crashes: usize,
    /// When the run stops by itself. Default: it does not.
    pub rules: StopRules,
    /// How many attempts are started in a time. Default: as many as there are slots for.
    pub rate: Option<Rate>,
    /// How long one attempt may take. Default: for ever.
    pub timeout: Option<Duration>,
    /// How long [`Stop::drain`] waits for running agents before it interrupts them. Default: 30 s.
    pub drain: Duration,
    /// In a store that many machines share: how long after the last sign of life of an orchestrator others may take up
    /// its items. It gives one three times as often. Default: one minute.
    pub lease: Duration,
    /// Whether the run ends as soon as no item is due, instead of waiting for those that will be, and for those that
    /// others work on. Default: it waits.
    pub while_due: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            parallelism: thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            retry: Retry::default(),
            max_crashes: 10,
            rules: StopRules::default(),
            rate: None,
            timeout: None,
            drain: Duration::from_secs(30),
            lease: Duration::from_mins(1),
            while_due: false,
        }
    }
}

/// Why a run ended early. What was recorded until then stays recorded, and the rest can be resumed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RunError {
    /// The store failed. Running agents were ended.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The job's input is not complete.
    #[error("job `{job}` is still being submitted")]
    Submitting {
        /// The job.
        job: String,
    },
    /// Agents of a predecessor could not be ended, so that no item may be started again.
    #[error("failed to end agents that outlived their orchestrator: {0}")]
    Orphans(io::Error),
    /// The system has no room for more agents or threads.
    #[error("{0}")]
    System(String),
}

impl From<Fault> for RunError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Store(error) => Self::Store(error),
            Fault::System(what) => Self::System(what),
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The job's counts.
    pub counts: JobCounts,
    /// Items completed by this run.
    pub completed: usize,
    /// Attempts of this run that failed.
    pub failures: usize,
    /// Attempts of this run that were interrupted.
    pub interrupted: usize,
    /// How the run was asked to stop, if it was.
    pub stopping: Stopping,
    /// The rule that stopped the run, if one did.
    pub rule: Option<Rule>,
    /// Whether the job was cancelled: its items stay where they are.
    pub cancelled: bool,
    /// Whether it was this run that found no item will change any more. Of several at one job one does.
    pub finished: bool,
    /// Items of this run that took longest, longest first: at most five.
    pub slowest: Vec<(ItemId, Duration)>,
    /// How long the attempts of this run took together.
    pub worked: Duration,
    /// How long the run took.
    pub took: Duration,
}

impl Summary {
    /// How long an attempt of this run took on average; zero if there was none.
    pub fn average(&self) -> Duration {
        let attempts = self.completed + self.failures + self.interrupted;
        self.worked.checked_div(u32::try_from(attempts).unwrap_or(u32::MAX)).unwrap_or_default()
    }
}

/// Runs one job of one store. While it lives, no other process can, but for those that [join](Self::join) where a store
/// is shared.
pub struct Orchestrator {
    store: Arc<dyn Store>,
    job: Job,
    _lock: Option<Box<dyn JobLock>>,
}

impl Orchestrator {
    /// Takes the job's lock.
    ///
    /// # Errors
    ///
    /// [`StoreError::Busy`] if another process has it, [`StoreError`] if the store fails.
    pub fn new(store: Arc<dyn Store>, job: Job) -> Result<Self, StoreError> {
        let settled_before = store.counts(job.id)?.settled();
        let runner = Runner { process: process::id(), since: store.now()?, settled_before };
        let lock = store.lock_job(&job, &runner)?;
        Ok(Self { store, job, _lock: Some(lock) })
    }

    /// Works on the job beside others, if the store is [shared](Store::is_shared): each item is claimed by one of them,
    /// and what one leaves behind the others take up. Otherwise it takes the job's lock, as [`new`](Self::new) does.
    ///
    /// # Errors
    ///
    /// [`StoreError::Busy`] if the store is not shared and another process has the lock, [`StoreError`] if the store
    /// fails.
    pub fn join(store: Arc<dyn Store>, job: Job) -> Result<Self, StoreError> {
        if store.is_shared() { Ok(Self { store, job, _lock: None }) } else { Self::new(store, job) }
    }

    /// The job.
    pub const fn job(&self) -> &Job {
        &self.job
    }

    /// The store.
    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// Runs the job until no item will change any more, or `stop` is used.
    ///
    /// First puts in order what an orchestrator that went away has left behind: its agents are ended,
    /// its items interrupted. Then an attempt is durable before its agent starts, and an outcome before
    /// `observer` sees it.
    ///
    /// # Errors
    ///
    /// [`RunError`]. Whatever it is, every item is in a state from which another run goes on.
    pub fn run(
        &mut self,
        agent: &dyn Agent,
        options: &Options,
        stop: &Stop,
        observer: &mut dyn Observer,
    ) -> Result<Summary, RunError> {
        let job = self.sealed_job()?;
        let time = TimeOfDay::of(&*self.store)?;
        let run = self.run_name(time.now());
        let span = info_span!("run", job = %job.name);
        let _in_span = span.enter();
        self.put_in_order(options, observer, None, time.now(), |attempts| self.end_orphans(attempts))?;
        let put_in_order = |observer: &mut dyn Observer, now| {
            self.put_in_order(options, observer, Some(&run), now, |attempts| self.end_orphans(attempts))
        };
        let others = self.others(&put_in_order);
        info!(slots = options.parallelism, run, "run started");
        let slots = Slots {
            agent,
            blobs: &*self.store,
            job: &job,
            run: &run,
            timeout: options.timeout,
            stop,
            time: &time,
            running: vacant(options.parallelism.get()),
        };
        scope(|scope| {
            let (claims, claimed) = unbounded();
            let (done, finished) = unbounded();
            for slot in 0..options.parallelism.get() {
                let (slots, span, claimed, done) = (&slots, &span, claimed.clone(), done.clone());
                let work = move || span.in_scope(|| slots.work(slot, &claimed, &done));
                spawn(scope, format!("slot-{slot}"), work)
                    .map_err(|error| RunError::System(format!("could not start a thread: {error}")))?;
            }
            let guard = StopOnPanic(stop);
            let world = Threads { slots: &slots, claims, finished };
            let (store, job) = (&*self.store, job.id);
            let driven =
                Driver::new(Run { store, job, name: &run, options, stop, others }, world).drive(observer);
            std::mem::forget(guard);
            match &driven {
                Ok(Summary { completed, failures, interrupted, .. }) => {
                    info!(completed, failures, interrupted, "run ended");
                }
                Err(error) => warn!(%error, "run failed"),
            }
            driven
        })
    }

    /// Runs the job in another world than that of this machine: its slots, its clocks, and, by `end_orphans`, its
    /// processes. Of items and their attempts, `end_orphans` ends the agents that live, and says how many did.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    #[cfg(feature = "simulation")]
    pub fn run_in(
        &mut self,
        world: impl World,
        end_orphans: impl Fn(&HashSet<(String, usize)>) -> io::Result<usize>,
        options: &Options,
        stop: &Stop,
        observer: &mut dyn Observer,
    ) -> Result<Summary, RunError> {
        let job = self.sealed_job()?;
        let run = self.run_name(world.now());
        self.put_in_order(options, observer, None, world.now(), &end_orphans)?;
        let put_in_order = |observer: &mut dyn Observer, now| {
            self.put_in_order(options, observer, Some(&run), now, &end_orphans)
        };
        let (store, job, others) = (&*self.store, job.id, self.others(&put_in_order));
        Driver::new(Run { store, job, name: &run, options, stop, others }, world).drive(observer)
    }

    /// Puts in order what an orchestrator that went away has left behind, as [`run`](Self::run) does first: its agents
    /// are ended before any item of theirs can run again, and its items are interrupted.
    ///
    /// # Errors
    ///
    /// [`RunError::Orphans`] if agents could not be ended, [`RunError::Store`] if the store fails.
    pub fn clean_up(&self, options: &Options, observer: &mut dyn Observer) -> Result<(), RunError> {
        let now = TimeOfDay::of(&*self.store)?.now();
        self.put_in_order(options, observer, None, now, |attempts| self.end_orphans(attempts))
    }

    /// Ends the agents of these attempts that live on this machine.
    fn end_orphans(&self, attempts: &HashSet<(String, usize)>) -> io::Result<usize> {
        let orphans = end_orphans(&self.run_prefix(), attempts)?;
        remove_item_files(&env::temp_dir(), &self.run_prefix(), is_alive);
        Ok(orphans)
    }

    /// At the start of a run, or while it is under way; of the former it is told even if nothing was found.
    fn put_in_order(
        &self,
        options: &Options,
        observer: &mut dyn Observer,
        under_way: Option<&str>,
        now: DateTime<Utc>,
        end_orphans: impl FnOnce(&HashSet<(String, usize)>) -> io::Result<usize>,
    ) -> Result<(), RunError> {
        let mut abandoned = self.store.abandoned(self.job.id, MOST_ABANDONED, now)?;
        // Where it took longer to ask than its lease lasts, a run's own are among them: they are at work, and it goes on.
        abandoned.retain(|abandoned| under_way.is_none_or(|run| !is_of(abandoned, run)));
        let running = |abandoned: &Abandoned| match abandoned {
            Abandoned::Running { leased, .. } => {
                Some((leased.item().id().to_string(), leased.item().attempts()))
            }
            Abandoned::Stranded(_) => None,
        };
        let attempts: HashSet<(String, usize)> = abandoned.iter().filter_map(running).collect();
        // Nothing to look for is the rule, and then the system's processes need not be looked through.
        let orphans =
            if attempts.is_empty() { 0 } else { end_orphans(&attempts).map_err(RunError::Orphans)? };
        let retry = |item: &WorkItem<Failed>| options.retry.should_retry(item, Cause::Stranded);
        let items = recover_found(&*self.store, abandoned, options.max_crashes, &retry, now)?;
        let Recovered { interrupted, given_up, settled } = items;
        if orphans > 0 || items != Recovered::default() {
            warn!(orphans, interrupted, given_up, settled, "put in order what another run had left");
        } else if under_way.is_some() {
            return Ok(());
        }
        observer.event(&Event::Recovered { orphans, items });
        Ok(())
    }

    /// Whether there are others, and what is done about those that went away.
    fn others<'a>(&self, put_in_order: &'a PutInOrder<'a>) -> Others<'a> {
        if self.store.is_shared() { Others::Maybe(put_in_order) } else { Others::None }
    }

    /// The job as it is now, which must be this one and complete.
    fn sealed_job(&self) -> Result<Job, RunError> {
        let job = self.store.job(&self.job.name)?;
        if job.id != self.job.id {
            // Deleted and made anew since; the lock is not that one's.
            return Err(StoreError::NoJob { name: job.name, store: self.store.name() }.into());
        }
        if !job.is_sealed() {
            return Err(RunError::Submitting { job: job.name });
        }
        Ok(job)
    }

    /// Unlike that of any other run, on whichever machine.
    fn run_name(&self, now: DateTime<Utc>) -> String {
        let (prefix, process) = (self.run_prefix(), process::id());
        let (now, machine) = (now.timestamp_micros(), fastrand::u32(..));
        if self.store.is_shared() {
            format!("{prefix}{process}-{now}-{machine:08x}")
        } else {
            format!("{prefix}{process}-{now}")
        }
    }

    /// With what `WORKITEM_RUN` begins in every run of this job, whichever process runs it.
    fn run_prefix(&self) -> String {
        format!("{}-{}-", self.store.identity(), self.job.id)
    }
}

/// Whether it is an item of that run.
fn is_of(abandoned: &Abandoned, run: &str) -> bool {
    matches!(abandoned, Abandoned::Running { leased, .. } if leased.item().agent_id() == run)
}

/// Ends running agents if an observer panics: the scope of the threads waits for them.
struct StopOnPanic<'a>(&'a Stop);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        self.0.kill();
    }
}

/// The longest-running items so far.
#[derive(Default)]
pub(crate) struct Slowest(Vec<(ItemId, Duration)>);

impl Slowest {
    const KEPT: usize = 5;

    /// An attempt took so long. Of several at one item the longest counts.
    pub(crate) fn saw(&mut self, item: &ItemId, took: Duration) {
        let place = self.0.partition_point(|(_, other)| *other >= took);
        if place == Self::KEPT || self.0[..place].iter().any(|(other, _)| other == item) {
            return;
        }
        self.0.retain(|(other, _)| other != item);
        self.0.insert(place, (item.clone(), took));
        self.0.truncate(Self::KEPT);
    }

    pub(crate) fn into_vec(self) -> Vec<(ItemId, Duration)> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_average_is_that_of_all_attempts() {
        let mut summary = Summary {
            counts: JobCounts::default(),
            completed: 3,
            failures: 1,
            interrupted: 1,
            stopping: Stopping::No,
            rule: None,
            cancelled: false,
            finished: false,
            slowest: Vec::new(),
            worked: Duration::from_secs(10),
            took: Duration::from_secs(5),
        };
        assert_eq!(summary.average(), Duration::from_secs(2));
        (summary.completed, summary.failures, summary.interrupted) = (0, 0, 0);
        assert_eq!(summary.average(), Duration::ZERO);
    }

    #[test]
    fn the_slowest_are_items_and_not_attempts() {
        let slowest = |attempts: &[(&str, u64)]| {
            let mut slowest = Slowest::default();
            for (item, seconds) in attempts {
                slowest.saw(&(*item).into(), Duration::from_secs(*seconds));
            }
            let slowest = slowest.into_vec();
            slowest.iter().map(|(item, took)| format!("{item} {}", took.as_secs())).collect::<Vec<_>>()
        };
        assert_eq!(slowest(&[("a", 3), ("b", 1), ("b", 5), ("a", 2), ("c", 4)]), ["b 5", "c 4", "a 3"]);
        let many = [("a", 1), ("b", 2), ("c", 3), ("d", 4), ("e", 5), ("f", 6), ("g", 1)];
        assert_eq!(slowest(&many), ["f 6", "e 5", "d 4", "c 3", "b 2"]);
    }
}
