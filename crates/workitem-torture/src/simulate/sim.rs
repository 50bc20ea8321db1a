//! The simulated world: time that is a number, slots without threads, agents that are drawn from a seed, and other
//! terminals. Everything random comes from one generator, so that a seed is a life.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use fastrand::Rng;
use workitem_orchestrator::{Finished, How, Running, Stop, Stopping, World};
use workitem_store::{Claim, MemoryStore, whole_micros};

use super::attempts::{self, Attempt};
use super::checks::Checks;
use super::happenings::Happening;
use super::plan::Plan;

/// When every life begins.
const BEGINNING: DateTime<Utc> =
    DateTime::<Utc>::from_timestamp_micros(1_700_000_000_000_000).expect("it is a time");
/// More looks without anything happening, or without time passing, than any sound run takes.
const MOST_TURNS: u32 = 1_000_000;
const MOST_SPINS: u32 = 1_000;

/// What unwinds through the orchestrator instead of a signal that no process survives: nothing of it runs any more.
pub struct Crash;

/// A world, shared by the run's clock and slots, its store, and who watches it.
#[derive(Clone)]
pub struct Shared(Arc<Mutex<Sim>>);

impl Shared {
    pub fn new(sim: Sim) -> Self {
        Self(Arc::new(Mutex::new(sim)))
    }

    /// A crash unwinds through here, and leaves nothing half done.
    pub fn lock(&self) -> MutexGuard<'_, Sim> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All that there is beside the orchestrator.
pub struct Sim {
    pub rng: Rng,
    pub plan: Plan,
    /// What the store really holds.
    pub memory: MemoryStore,
    pub checks: Checks,
    pub log: Vec<String>,
    /// Since the beginning, by the clock that only goes forward.
    pub at: Duration,
    zero: Instant,
    /// When the run's loop began, by both clocks: items wait from then on by the one that only goes forward.
    waits_from: Option<(DateTime<Utc>, Duration)>,
    /// By how much the time of day is off.
    pub jumped: TimeDelta,
    /// Nothing terrible happens any more.
    pub calm: bool,
    /// Something was made to fail in this run, so that it may end with an error.
    pub faulted: bool,
    pub stop: Stop,
    seen: Stopping,
    woken: bool,
    /// What others will do, by when.
    pub happenings: BTreeMap<(Duration, u32), Happening>,
    queue: VecDeque<Claim>,
    running: Vec<Attempt>,
    finished: VecDeque<Finished>,
    /// Agents whose orchestrator is gone: the item, and its attempt.
    pub orphans: BTreeSet<(String, usize)>,
    turns: u32,
    spins: u32,
}

impl Sim {
    pub fn new(rng: Rng, plan: Plan, memory: MemoryStore, checks: Checks, stop: Stop) -> Self {
        Self {
            rng,
            plan,
            memory,
            checks,
            log: Vec::new(),
            at: Duration::ZERO,
            zero: Instant::now(),
            waits_from: None,
            jumped: TimeDelta::zero(),
            calm: false,
            faulted: false,
            stop,
            seen: Stopping::No,
            woken: false,
            happenings: BTreeMap::new(),
            queue: VecDeque::new(),
            running: Vec::new(),
            finished: VecDeque::new(),
            orphans: BTreeSet::new(),
            turns: 0,
            spins: 0,
        }
    }

    /// A run begins, which is stopped by `stop`.
    pub fn begin(&mut self, stop: Stop, calm: bool) {
        (self.stop, self.calm, self.faulted) = (stop, calm, false);
        (self.seen, self.woken, self.turns, self.spins) = (Stopping::No, false, 0, 0);
        self.happenings.clear();
        self.waits_from = None;
        self.checks.begin();
    }

    /// A run has ended by itself: it has left no agent behind.
    pub fn end(&mut self) {
        let out = self.outstanding();
        if out > 0 {
            self.wrong(format!("the run has ended, and {out} of its claims have not come back"));
        }
    }

    /// The orchestrator is gone, its agents are not.
    pub fn crashed(&mut self) {
        self.queue.clear();
        self.finished.clear();
        for Attempt { claim, .. } in self.running.drain(..) {
            // What was taken over is its new owner's to end.
            if !self.checks.is_taken_over(claim.leased.token().seq()) {
                let item = claim.leased.item();
                self.orphans.insert((item.id().to_string(), item.attempts()));
            }
        }
    }

    /// Ends agents of these attempts that have outlived their orchestrator.
    pub fn end_orphans(&mut self, attempts: &HashSet<(String, usize)>) -> usize {
        let before = self.orphans.len();
        self.orphans.retain(|orphan| !attempts.contains(orphan));
        let ended = before - self.orphans.len();
        self.say(format!("{ended} orphans ended"));
        ended
    }

    /// The time by which items wait, so long after the beginning.
    pub fn waiting(&self, at: Duration) -> DateTime<Utc> {
        let Some((began, since)) = self.waits_from else { return self.now() };
        whole_micros(began + TimeDelta::from_std(at.saturating_sub(since)).unwrap_or(TimeDelta::MAX))
    }

    pub fn now(&self) -> DateTime<Utc> {
        let since = TimeDelta::from_std(self.at).unwrap_or(TimeDelta::MAX);
        whole_micros(BEGINNING + since + self.jumped)
    }

    /// Claimed, and not handed back to the run.
    pub fn outstanding(&self) -> usize {
        self.queue.len() + self.running.len() + self.finished.len()
    }

    pub fn say(&mut self, what: impl AsRef<str>) {
        self.log.push(format!("{:>14.6} {}", self.at.as_secs_f64(), what.as_ref()));
    }

    pub fn wrong(&mut self, what: String) {
        self.say(format!("WRONG: {what}"));
        self.checks.wrong.push(what);
    }

    pub fn chance(&mut self, probability: f64) -> bool {
        !self.calm && self.rng.f64() < probability
    }

    /// Here the orchestrator may die.
    pub fn crash_point(&mut self, place: &str) {
        let crash = self.plan.crash;
        if self.chance(crash) {
            self.crash(place);
        }
    }

    pub fn crash(&mut self, place: &str) -> ! {
        self.say(format!("crash, at {place}"));
        resume_unwind(Box::new(Crash));
    }

    /// Lets time pass, and everything happen that happens meanwhile.
    pub fn pass(&mut self, time: Duration) {
        let until = self.at + time;
        while let Some(next) = self.next().filter(|next| *next <= until) {
            self.at = self.at.max(next);
            self.settle();
        }
        self.at = until;
        self.settle();
    }

    /// When something happens next.
    fn next(&self) -> Option<Duration> {
        let happening = self.happenings.first_key_value().map(|((at, _), _)| *at);
        self.running.iter().map(|attempt| attempt.ends).chain(happening).min()
    }

    /// Everything happens that is due by now.
    fn settle(&mut self) {
        while let Some(entry) = self.happenings.first_entry().filter(|entry| entry.key().0 <= self.at) {
            entry.remove().happen(self);
        }
        self.obey();
        while let Some(attempt) = attempts::next_over(&mut self.running, self.at) {
            let took = attempt.ends.saturating_sub(attempt.since);
            self.finish(attempt.claim, attempt.how, took);
        }
        while self.running.len() < self.plan.options.parallelism.get() {
            let Some(claim) = self.queue.pop_front() else { break };
            self.start(claim);
        }
    }

    /// Running agents do as they are told.
    fn obey(&mut self) {
        let stopping = self.stop.stopping();
        if stopping == self.seen {
            return;
        }
        (self.seen, self.woken) = (stopping, true);
        self.say(format!("stopping: {stopping:?}"));
        attempts::obey(&mut self.running, stopping, self.at, &mut self.rng);
    }

    /// As a slot does: once the orchestrator stops, nothing is started any more.
    fn start(&mut self, claim: Claim) {
        if self.stop.stopping() > Stopping::No {
            self.finish(claim, Some(How::Interrupted), Duration::ZERO);
            return;
        }
        let item = claim.leased.item();
        let (id, attempt, seq) = (item.id().to_string(), item.attempts(), claim.leased.token().seq());
        let twin = self.orphans.iter().any(|(orphan, _)| *orphan == id)
            || self.running.iter().any(|other| other.claim.leased.token().seq() == seq);
        let started = self.checks.started(&self.memory, &id, seq, attempt, twin);
        self.hold(started);
        let (takes, how) = self.plan.attempt(&mut self.rng, self.calm);
        self.faulted |= how.is_none();
        self.say(format!("item {id}, attempt {attempt}: starts, {takes:?}"));
        self.running.push(Attempt { claim, since: self.at, ends: self.at + takes, how });
    }

    fn finish(&mut self, claim: Claim, how: Option<How>, took: Duration) {
        self.finished.push_back(attempts::finished(claim, how, self.now(), took));
    }

    /// Whatever the store has recorded by now must have been told.
    pub fn all_told(&mut self) {
        let told = self.checks.all_told();
        self.hold(told);
    }

    /// Something must hold.
    pub fn hold(&mut self, checked: Result<(), String>) {
        if let Err(wrong) = checked {
            self.wrong(wrong);
        }
    }

    /// Something was waited for, and did not come.
    fn nothing(&mut self, patience: Duration) -> Option<Finished> {
        self.turns += 1;
        self.spins = if patience.is_zero() { self.spins + 1 } else { 0 };
        if self.spins > MOST_SPINS || self.turns > MOST_TURNS {
            self.wrong(format!("the run does nothing but look, {} times by now", self.turns));
            self.crash("a look too many");
        }
        None
    }
}

impl World for Shared {
    fn instant(&self) -> Instant {
        let sim = &mut *self.lock();
        // The loop asks for the first time when it begins.
        let began = (sim.now(), sim.at);
        sim.waits_from.get_or_insert(began);
        sim.zero + sim.at
    }

    fn now(&self) -> DateTime<Utc> {
        self.lock().now()
    }

    fn start(&mut self, claim: Claim) {
        let mut sim = self.lock();
        sim.crash_point("a claim that is handed over");
        sim.queue.push_back(claim);
        sim.settle();
    }

    fn wait(&mut self, patience: Duration) -> Option<Finished> {
        let mut sim = self.lock();
        sim.crash_point("waiting");
        sim.all_told();
        let until = sim.at + patience;
        loop {
            sim.settle();
            let is_woken = sim.woken;
            // Whoever waits for two things that are both there is given either.
            if is_woken && (sim.finished.is_empty() || sim.rng.bool()) {
                sim.woken = false;
                return None;
            }
            if let Some(finished) = sim.finished.pop_front() {
                (sim.turns, sim.spins) = (0, 0);
                return Some(finished);
            }
            let Some(next) = sim.next().filter(|next| *next <= until) else {
                sim.at = until;
                return sim.nothing(patience);
            };
            sim.at = sim.at.max(next);
        }
    }

    fn ready(&mut self) -> Option<Finished> {
        let mut sim = self.lock();
        sim.settle();
        sim.finished.pop_front()
    }

    fn outlast(&mut self) -> Option<Finished> {
        let mut sim = self.lock();
        sim.crash_point("the end of what runs");
        loop {
            sim.settle();
            if let Some(finished) = sim.finished.pop_front() {
                return Some(finished);
            }
            if sim.running.is_empty() {
                return None;
            }
            let next = sim.next()?;
            sim.at = sim.at.max(next);
        }
    }

    fn sleep(&mut self, time: Duration) {
        let mut sim = self.lock();
        sim.crash_point("asleep");
        sim.pass(time);
    }

    fn running(&self) -> Vec<Running> {
        let sim = self.lock();
        attempts::running(&sim.running, sim.zero)
    }
}
