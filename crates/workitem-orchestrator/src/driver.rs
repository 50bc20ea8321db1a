//! The loop of a run: claim, let the slots work, record what is over, report what is durable.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tracing::{debug, info, trace, warn};
use workitem_store::{
    AnyStep, Cause, ClaimRequest, Control, JobId, Outcome as Written, SettledLease, Store, StoreError,
};
use workitem_types::{WorkItemEvent, WorkItemStatus};
use workitem_typestate::{AgentComplete, AgentFailed, Interrupt};

use crate::agent::{Fault, How};
use crate::clock::{self, Waiting};
use crate::observer::{Event, Observer, Outcome, Progress};
use crate::orchestrator::{Options, RunError, Slowest, Summary};
use crate::pace::Pace;
use crate::rate::Starts;
use crate::rules::Rule;
use crate::stop::{Stop, Stopping};
use crate::world::{Finished, World};

/// How long outcomes may wait for others to be recorded with, while no slot waits.
const GROUP: Duration = Duration::from_millis(5);
/// Most outcomes recorded at a time.
const GROUP_SIZE: usize = 4_096;
/// How often to look for new items while a slot is free: others may add them.
const LOOK: Duration = Duration::from_millis(200);
/// How often to look what is wanted of the job: others may pause or cancel it.
const OBEY: Duration = Duration::from_millis(100);
/// When an item that is tried again without backoff is due: after what was never tried, and whatever the
/// clock does meanwhile.
const AT_ONCE: DateTime<Utc> = DateTime::<Utc>::from_timestamp_micros(1).expect("it is a time");
/// How long a claim holds without being renewed.
const LEASE: Duration = Duration::from_mins(1);

pub struct Driver<'a, W> {
    store: &'a dyn Store,
    job: JobId,
    /// The name under which items are claimed.
    run: &'a str,
    options: &'a Options,
    stop: &'a Stop,
    world: W,
    pace: Pace,
    starts: Option<Starts>,
    /// Claimed and not back yet.
    outstanding: usize,
    /// By which items wait.
    waiting: Waiting,
    /// When the next item that nobody has claimed is due.
    next_due: Option<DateTime<Utc>>,
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

/// A step to be recorded, and what is told about it afterwards.
struct Done {
    step: AnyStep,
    took: Duration,
}

impl<'a, W: World> Driver<'a, W> {
    pub fn new(
        store: &'a dyn Store,
        job: JobId,
        run: &'a str,
        options: &'a Options,
        stop: &'a Stop,
        world: W,
    ) -> Self {
        let now = world.instant();
        let waiting = Waiting::new(world.now(), now);
        Self {
            store,
            job,
            run,
            options,
            stop,
            world,
            pace: Pace::new(now),
            starts: options.rate.map(|rate| Starts::new(rate, now)),
            outstanding: 0,
            waiting,
            next_due: None,
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
        let mut done = Vec::new();
        self.obey(observer)?;
        let driven = loop {
            match self.turn(&mut done, observer) {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        if let Err(error) = driven {
            self.give_up(done, observer);
            return Err(error);
        }
        let took = self.since(self.started);
        Ok(Summary {
            counts: self.store.counts(self.job)?,
            completed: self.completed,
            failures: self.failures,
            interrupted: self.interrupted,
            stopping: self.stop.stopping(),
            rule: self.rule,
            cancelled: self.control == Control::Cancel,
            slowest: self.slowest.into_vec(),
            worked: self.worked,
            took,
        })
    }

    /// One turn of the loop; `false` when the run is over. On an error, `done` holds what is not recorded.
    fn turn(&mut self, done: &mut Vec<Done>, observer: &mut dyn Observer) -> Result<bool, RunError> {
        let stopping = self.stop.stopping() > Stopping::No;
        if !stopping && self.control == Control::Run {
            self.claim()?;
        }
        if self.outstanding == 0 && (stopping || self.is_finished()?) {
            return Ok(false);
        }
        let broken = self.collect(done, self.patience(observer));
        self.record(done, observer)?;
        broken?;
        self.housekeeping(observer)?;
        Ok(true)
    }

    /// Whether no item will change any more. The last claim may have been long ago: what is paused does not claim, nor
    /// what has to wait for its rate, and others add items.
    fn is_finished(&self) -> Result<bool, StoreError> {
        Ok(self.next_due.is_none() && self.store.counts(self.job)?.is_finished())
    }

    /// Does what is wanted of the job by now.
    fn obey(&mut self, observer: &mut dyn Observer) -> Result<(), StoreError> {
        self.obeyed = self.world.instant();
        let control = self.store.control(self.job)?;
        if control == self.control {
            return Ok(());
        }
        self.control = control;
        info!(?control, "something else is wanted of the job");
        observer.event(&Event::Controlled { control });
        match control {
            Control::Run | Control::Pause => {}
            Control::Cancel => self.stop.interrupt(),
        }
        Ok(())
    }

    /// Claims what the slots need next, if they need anything soon.
    fn claim(&mut self) -> Result<(), StoreError> {
        let (slots, now) = (self.options.parallelism.get(), self.world.instant());
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
        let claimed = self.store.claim(&ClaimRequest {
            job: self.job,
            agent: self.run,
            limit,
            spawning: slots.saturating_sub(self.outstanding),
            lease: LEASE,
            now: self.world.now(),
            due: self.due(now),
        })?;
        trace!(claims = claimed.claims.len(), limit, next_due = ?claimed.next_due, "claimed");
        self.next_due = claimed.next_due;
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
        let longest = clock::after(now, self.options.retry.longest_delay());
        self.next_due.filter(|next| *next > longest).unwrap_or(now)
    }

    /// How long to wait for something to happen.
    fn patience(&self, observer: &dyn Observer) -> Duration {
        let mut patience = OBEY.saturating_sub(self.since(self.obeyed));
        if let Some(every) = observer.every() {
            patience = patience.min(every.saturating_sub(self.since(self.told)));
        }
        if let Some(since) = self.draining_since.filter(|_| self.stop.stopping() == Stopping::Drain) {
            patience = patience.min(self.options.drain.saturating_sub(self.since(since)));
        }
        let claims = self.control == Control::Run && self.stop.stopping() == Stopping::No;
        if claims && self.outstanding < self.options.parallelism.get() {
            let now = self.world.instant();
            let due = self.next_due.map_or(LOOK, |next| (next - self.due(now)).to_std().unwrap_or_default());
            let rate = self.starts.as_ref().map_or(Duration::ZERO, |starts| starts.wait(now));
            patience = patience.min(LOOK).min(due.max(rate));
        }
        patience
    }

    /// Waits for the first outcome, and a moment for more as long as every slot has something to do.
    /// An error is that of an attempt that could not be made or kept; its item is put back.
    fn collect(&mut self, done: &mut Vec<Done>, patience: Duration) -> Result<(), Fault> {
        let mut broken = Ok(());
        let Some(first) = self.world.wait(patience) else { return broken };
        let grouped_at = self.world.instant() + GROUP;
        let mut next = Some(first);
        loop {
            while let Some(finished) = next.take().or_else(|| self.world.ready()) {
                self.outstanding -= 1;
                self.pace.ended(self.world.instant(), finished.took);
                let (finished, kept) = self.step_of(finished);
                done.push(finished);
                if let Err(error) = kept {
                    broken = Err(error);
                }
            }
            let queued = self.outstanding > self.options.parallelism.get();
            if !queued || done.len() >= GROUP_SIZE || self.world.instant() >= grouped_at {
                return broken;
            }
            // Asleep and not listening: to be woken for every outcome costs more than to look twice.
            self.world.sleep(GROUP / 2);
        }
    }

    /// What an attempt does to its item: the only place where a run changes one.
    fn step_of(&mut self, finished: Finished) -> (Done, Result<(), Fault>) {
        let Finished { leased, ended, at, took } = finished;
        let (ended, kept) = match ended {
            Ok(ended) => (Some(ended), Ok(())),
            Err(error) => (None, Err(error)),
        };
        let step = match ended.map(|ended| (ended.how, ended.output)) {
            None => leased.step(Interrupt, at).because(Cause::Stopped).seal(),
            Some((How::Interrupted, output)) => {
                leased.step(Interrupt, at).because(Cause::Stopped).with_output(output).seal()
            }
            Some((How::Completed(result), output)) => {
                leased.step(AgentComplete { result }, at).with_output(output).seal()
            }
            Some((How::Failed { error, cause }, output)) => {
                let failed = leased.step(AgentFailed { error }, at).because(cause).with_output(output);
                let retry = &self.options.retry;
                match failed.settle(&|item: &_| retry.should_retry(item, cause), at) {
                    SettledLease::DeadLetter(step) => step.seal(),
                    SettledLease::Retry(step) => {
                        let delay = retry.delay(step.item().failures());
                        let due = clock::after(self.waiting.at(self.world.instant()), delay);
                        let due = if delay.is_zero() { AT_ONCE } else { due };
                        // Else it would be claimed with what another clock has put off for longer.
                        self.next_due = self.next_due.map(|next| next.min(due));
                        step.run_at(due).seal()
                    }
                }
            }
        };
        (Done { step, took }, kept)
    }

    /// Records what is over, and reports it. On an error nothing was recorded and `done` stays full.
    fn record(&mut self, done: &mut Vec<Done>, observer: &mut dyn Observer) -> Result<(), StoreError> {
        if done.is_empty() {
            return Ok(());
        }
        let (steps, took): (Vec<AnyStep>, Vec<Duration>) =
            done.drain(..).map(|done| (done.step, done.took)).unzip();
        let begun = self.world.instant();
        let written = match self.store.record(&steps) {
            Ok(written) => written,
            Err(error) => {
                done.extend(steps.into_iter().zip(took).map(|(step, took)| Done { step, took }));
                return Err(error);
            }
        };
        trace!(steps = steps.len(), took = ?self.since(begun), "recorded");
        for ((step, took), written) in steps.iter().zip(took).zip(written) {
            match written {
                Written::Recorded => self.report(step, took, observer),
                Written::Fenced => {
                    warn!(item = %step.record().id, "taken over by somebody else; nothing was recorded");
                    observer.event(&Event::Fenced { item: &step.record().id, seq: step.token().seq() });
                }
            }
        }
        if self.rule.is_none() {
            self.rule = self.options.rules.fired(self.given_up, self.completed);
            if let Some(rule) = self.rule {
                warn!(%rule, "a rule stops the run");
                self.stop.drain();
            }
        }
        Ok(())
    }

    fn report(&mut self, step: &AnyStep, took: Duration, observer: &mut dyn Observer) {
        let record = step.record();
        let failure = step.events().iter().find_map(|happened| {
            if let WorkItemEvent::AgentFailed { error } = happened.event() {
                Some(error.as_str())
            } else {
                None
            }
        });
        let cause = step.cause();
        let outcome = match &record.status {
            WorkItemStatus::Completed { .. } => Outcome::Completed,
            WorkItemStatus::DeadLettered { error, .. } => Outcome::DeadLettered { error, cause },
            WorkItemStatus::Pending | WorkItemStatus::InProgress { .. } | WorkItemStatus::Failed { .. } => {
                match failure {
                    Some(error) => {
                        Outcome::Retrying { error, cause, run_at: step.run_at().filter(|due| *due > AT_ONCE) }
                    }
                    None => Outcome::Interrupted,
                }
            }
        };
        match outcome {
            Outcome::Completed => self.completed += 1,
            Outcome::Interrupted => self.interrupted += 1,
            Outcome::Retrying { .. } => self.failures += 1,
            Outcome::DeadLettered { .. } => {
                self.failures += 1;
                self.given_up += 1;
            }
        }
        // Its error is not told: it may quote what the agent printed, and that its input.
        let (word, cause) = (outcome.word(), cause.map(tracing::field::display));
        debug!(item = %record.id, attempt = record.attempts, ?took, outcome = word, cause, "attempt ended");
        self.recorded += 1;
        self.worked += took;
        self.slowest.saw(&record.id, took);
        let (item, seq, attempt, output) = (&record.id, step.token().seq(), record.attempts, step.output());
        observer.event(&Event::Ended { item, seq, attempt, took, output, outcome });
    }

    fn housekeeping(&mut self, observer: &mut dyn Observer) -> Result<(), StoreError> {
        if self.since(self.obeyed) >= OBEY {
            self.obey(observer)?;
        }
        if self.since(self.renewed) >= LEASE / 3 {
            self.store.renew(self.job, self.run, LEASE, self.world.now())?;
            self.renewed = self.world.instant();
        }
        if self.stop.stopping() == Stopping::Drain {
            let since = *self.draining_since.get_or_insert_with(|| self.world.instant());
            if self.since(since) >= self.options.drain {
                self.stop.interrupt();
            }
        }
        if observer.every().is_some_and(|every| self.since(self.told) >= every) {
            self.told = self.world.instant();
            observer.progress(&Progress {
                counts: &self.store.counts(self.job)?,
                running: &self.world.running(),
                recorded: self.recorded,
                since: self.started,
            });
        }
        Ok(())
    }

    /// How long ago that was.
    fn since(&self, then: Instant) -> Duration {
        self.world.instant().saturating_duration_since(then)
    }

    /// The store has failed: ends all agents and tries once more to record what is over. What cannot be
    /// recorded is still in progress on disk, where recovery finds it.
    fn give_up(&mut self, mut done: Vec<Done>, observer: &mut dyn Observer) {
        self.stop.kill();
        while self.outstanding > 0 {
            let Some(finished) = self.world.outlast() else { break };
            self.outstanding -= 1;
            done.push(self.step_of(finished).0);
        }
        // The first error is the one to tell; this one only says that it has not passed.
        let _ = self.record(&mut done, observer);
    }
}
