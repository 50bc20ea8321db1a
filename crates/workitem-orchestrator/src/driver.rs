//! The loop of a run: claim, let the slots work, record what is over, report what is durable.

mod care;
mod record;

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tracing::trace;
use workitem_store::{ClaimRequest, Control, JobCounts, JobId, Store, StoreError};

use self::record::Done;
use crate::clock::{self, Waiting};
use crate::observer::Observer;
use crate::orchestrator::{Options, RunError, Slowest, Summary};
use crate::pace::Pace;
use crate::rate::Starts;
use crate::rules::Rule;
use crate::stop::{Stop, Stopping};
use crate::world::World;

/// How often to look for new items while a slot is free: others may add them.
const LOOK: Duration = Duration::from_millis(200);
/// How often to look what is wanted of the job: others may pause or cancel it.
const OBEY: Duration = Duration::from_millis(100);
/// How often to look for either if the store calls when there is something to see: a call can be lost.
const CALLED: Duration = Duration::from_secs(5);
/// How soon to look again for what others are just claiming: they are about to commit.
const PASS: Duration = Duration::from_millis(2);

/// So many claims in a row have found nothing, though there should be something: it was not added in between.
const IN_VAIN: u32 = 3;

/// Puts in order, at this time, what orchestrators that went away have left.
pub type PutInOrder<'a> = dyn Fn(&mut dyn Observer, DateTime<Utc>) -> Result<(), RunError> + 'a;

/// Whether other orchestrators work on the same job at the same time.
pub enum Others<'a> {
    /// None can.
    None,
    /// Some may.
    Maybe(&'a PutInOrder<'a>),
}

/// What a run is given.
pub struct Run<'a> {
    pub store: &'a dyn Store,
    pub job: JobId,
    /// The name under which items are claimed.
    pub name: &'a str,
    pub options: &'a Options,
    pub stop: &'a Stop,
    pub others: Others<'a>,
}

pub struct Driver<'a, W> {
    run: Run<'a>,
    world: W,
    pace: Pace,
    starts: Option<Starts>,
    /// Claimed and not back yet.
    outstanding: usize,
    /// By which items wait.
    waiting: Waiting,
    /// When the next item that nobody has claimed is due.
    next_due: Option<DateTime<Utc>>,
    /// Whether items were asked for and none was due.
    nothing_due: bool,
    /// Whether items were asked for and all that is due was passed over, because others are just claiming it.
    passed_over: bool,
    /// Claims in a row that found nothing, neither due nor put off, while nothing was at work here either.
    in_vain: u32,
    /// Whether the store calls when there is something to see.
    is_called: bool,
    started: Instant,
    renewed: Instant,
    told: Instant,
    /// What is wanted of the job, and since when that is known.
    control: Control,
    obeyed: Instant,
    draining_since: Option<Instant>,
    recorded: usize,
    completed: usize,
    failures: usize,
    given_up: usize,
    rule: Option<Rule>,
    interrupted: usize,
    slowest: Slowest,
    worked: Duration,
}

impl<'a, W: World> Driver<'a, W> {
    pub fn new(run: Run<'a>, world: W) -> Self {
        let now = world.instant();
        let (waiting, starts) = (Waiting::new(world.now(), now), run.options.rate);
        Self {
            run,
            world,
            pace: Pace::new(now),
            starts: starts.map(|rate| Starts::new(rate, now)),
            outstanding: 0,
            waiting,
            next_due: None,
            nothing_due: false,
            passed_over: false,
            in_vain: 0,
            is_called: false,
            started: now,
            renewed: now,
            told: now,
            control: Control::Run,
            obeyed: now,
            draining_since: None,
            recorded: 0,
            completed: 0,
            failures: 0,
            given_up: 0,
            rule: None,
            interrupted: 0,
            slowest: Slowest::default(),
            worked: Duration::ZERO,
        }
    }

    /// Runs until nothing is left to do, or nothing more may be done.
    pub fn drive(mut self, observer: &mut dyn Observer) -> Result<Summary, RunError> {
        let calls = self.listen()?;
        let mut done = Done::default();
        self.obey(observer)?;
        let driven = loop {
            match self.turn(&mut done, observer) {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        drop(calls);
        if let Err(error) = driven {
            self.give_up(done, observer);
            return Err(error);
        }
        self.leave()?;
        let took = self.since(self.started);
        let counts = self.run.store.counts(self.run.job)?;
        let finished = counts.is_finished() && self.run.store.finish(self.run.job, self.world.now())?;
        Ok(Summary {
            counts,
            completed: self.completed,
            failures: self.failures,
            interrupted: self.interrupted,
            stopping: self.run.stop.stopping(),
            rule: self.rule,
            cancelled: self.control == Control::Cancel,
            finished,
            slowest: self.slowest.into_vec(),
            worked: self.worked,
            took,
        })
    }

    /// One turn of the loop; `false` when the run is over. On an error, `done` holds what is not recorded.
    fn turn(&mut self, done: &mut Done, observer: &mut dyn Observer) -> Result<bool, RunError> {
        let stopping = self.run.stop.stopping() > Stopping::No;
        if !stopping && self.control == Control::Run {
            self.claim()?;
        }
        if self.outstanding == 0 && (stopping || self.is_over()?) {
            return Ok(false);
        }
        let broken = self.collect(done, self.patience(observer));
        self.record(done, observer)?;
        broken?;
        self.housekeeping(observer)?;
        Ok(true)
    }

    /// Whether no item will change any more, or none has to be waited for. The last claim may have been long ago: what is
    /// paused does not claim, nor what has to wait for its rate, and others add items.
    fn is_over(&self) -> Result<bool, StoreError> {
        if self.run.options.while_due && (self.nothing_due || self.control != Control::Run) {
            return Ok(true);
        }
        let counts = self.run.store.counts(self.run.job)?;
        if !counts.is_finished() && self.in_vain >= IN_VAIN && matches!(self.run.others, Others::None) {
            return Err(self.contradiction(&counts));
        }
        Ok(self.next_due.is_none() && counts.is_finished())
    }

    /// Nobody else works on the job, and nothing of it is left to be claimed; so nothing would ever happen any more.
    fn contradiction(&self, counts: &JobCounts) -> StoreError {
        let left = counts.by_status.total() - counts.settled();
        let what =
            format!("its counts say that {left} items of this job are left, and there is none to be run");
        StoreError::Damaged { store: self.run.store.name(), what }
    }

    /// Claims what the slots need next, if they need anything soon.
    fn claim(&mut self) -> Result<(), StoreError> {
        let (slots, now) = (self.run.options.parallelism.get(), self.world.instant());
        // With a rate nothing is gained by claiming ahead: what is claimed is to be started.
        let ahead = if self.starts.is_some() { 0 } else { self.pace.ahead(now) };
        if self.outstanding >= slots && self.outstanding > slots + ahead / 2 {
            return Ok(());
        }
        let mut limit = slots + ahead - self.outstanding;
        if let Some(starts) = &self.starts {
            limit = limit.min(starts.ready(now));
        }
        if limit == 0 {
            return Ok(());
        }
        let due = self.due(now);
        let claimed = self.run.store.claim(&ClaimRequest {
            job: self.run.job,
            agent: self.run.name,
            limit,
            spawning: slots.saturating_sub(self.outstanding),
            lease: self.run.options.lease,
            now: self.world.now(),
            due,
        })?;
        trace!(claims = claimed.claims.len(), limit, next_due = ?claimed.next_due, "claimed");
        self.next_due = claimed.next_due;
        self.passed_over = claimed.claims.is_empty() && claimed.next_due.is_some_and(|next| next <= due);
        self.nothing_due = claimed.claims.is_empty() && !self.passed_over;
        let is_vain = self.nothing_due && self.next_due.is_none() && self.outstanding == 0;
        self.in_vain = if is_vain { self.in_vain + 1 } else { 0 };
        if let Some(starts) = &mut self.starts {
            starts.started(now, claimed.claims.len());
        }
        for claim in claimed.claims {
            self.outstanding += 1;
            self.world.start(claim);
        }
        Ok(())
    }

    /// By when an item must be due to be claimed. What would wait longer than any backoff of this run was told to by
    /// another clock, in a run before: it has waited enough.
    fn due(&self, now: Instant) -> DateTime<Utc> {
        let now = self.waiting.at(now);
        let longest = clock::after(now, self.run.options.retry.longest_delay());
        self.next_due.filter(|next| *next > longest).unwrap_or(now)
    }

    /// How long to wait for something to happen.
    fn patience(&self, observer: &dyn Observer) -> Duration {
        let mut patience = self.every(OBEY).saturating_sub(self.since(self.obeyed));
        if let Some(every) = observer.every() {
            patience = patience.min(every.saturating_sub(self.since(self.told)));
        }
        if let Some(since) = self.draining_since.filter(|_| self.run.stop.stopping() == Stopping::Drain) {
            patience = patience.min(self.run.options.drain.saturating_sub(self.since(since)));
        }
        if !matches!(self.run.others, Others::None) {
            patience = patience.min((self.run.options.lease / 3).saturating_sub(self.since(self.renewed)));
        }
        let claims = self.control == Control::Run && self.run.stop.stopping() == Stopping::No;
        if claims && self.outstanding < self.run.options.parallelism.get() {
            let (now, look) = (self.world.instant(), self.every(LOOK));
            let due = self.next_due.map_or(look, |next| (next - self.due(now)).to_std().unwrap_or_default());
            let rate = self.starts.as_ref().map_or(Duration::ZERO, |starts| starts.wait(now));
            let others = if self.passed_over { PASS } else { Duration::ZERO };
            patience = patience.min(look).min(due.max(rate).max(others));
        }
        patience
    }

    /// How often to look, if it is so often where nobody calls.
    fn every(&self, uncalled: Duration) -> Duration {
        if self.is_called { CALLED } else { uncalled }
    }

    /// How long ago that was.
    fn since(&self, then: Instant) -> Duration {
        self.world.instant().saturating_duration_since(then)
    }
}
