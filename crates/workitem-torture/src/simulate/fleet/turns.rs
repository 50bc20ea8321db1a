//! Members of a fleet take turns: each is a thread, and of these one moves at a time, until it waits for something. Time
//! passes when all wait. Who of two that could move does, the seed decides; so it decides the whole life.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use fastrand::Rng;
use workitem_orchestrator::{Finished, Stop, Stopping};
use workitem_store::{Claim, MemoryStore};

use super::happenings::Happening;
use super::holds::{Holds, Key};
use crate::simulate::attempts::Attempt;
use crate::simulate::plan::Plan;

/// The world of a fleet, shared by its members.
#[derive(Clone)]
pub struct Turns(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    turn: Condvar,
}

/// The store's clock, in microseconds: what is asked within the store, and must not wait for anybody.
#[derive(Clone, Default)]
pub struct Clock(Arc<AtomicI64>);

/// All that there is beside the orchestrators.
pub struct State {
    pub rng: Rng,
    pub plan: Plan,
    pub memory: MemoryStore,
    pub holds: Holds,
    pub log: Vec<String>,
    /// Since the beginning, by the clock that only goes forward.
    pub at: Duration,
    pub clock: Clock,
    /// By how much the store's clock is off.
    jumped: i64,
    pub seats: Vec<Seat>,
    /// What others will do, by when.
    pub happenings: BTreeMap<(Duration, u64), Happening>,
    /// Agents whose orchestrator died.
    pub ghosts: Vec<Ghost>,
    /// Something has happened after which others may take up what a run has.
    pub disturbed: bool,
    moving: Option<usize>,
}

/// A member: one process at a time, and its slots.
pub struct Seat {
    pub stop: Option<Stop>,
    pub seen: Stopping,
    pub woken: Arc<AtomicBool>,
    /// Nothing terrible happens to it any more.
    pub calm: bool,
    /// Something was made to fail, so that its run may end with an error.
    pub faulted: bool,
    /// The name of its run, once it has told the store.
    pub run: Option<String>,
    /// What the store has said the time is, and when.
    pub told: (DateTime<Utc>, Duration),
    pub queue: VecDeque<Claim>,
    pub running: Vec<Attempt>,
    pub finished: VecDeque<Finished>,
    /// So often nothing had happened when its run looked, and how often of late at one moment.
    pub turns: u32,
    pub spins: u32,
    /// When it moves again; never, if it is gone.
    goes_on: Option<Duration>,
    /// It can be woken before.
    listens: bool,
    /// Until then it is stopped, as by SIGSTOP; its agents are not.
    pub stopped_until: Duration,
}

/// An agent that has outlived its orchestrator.
pub struct Ghost {
    pub seat: usize,
    pub item: String,
    pub key: Key,
    pub ends: Duration,
}

impl Clock {
    pub fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.0.load(Ordering::Relaxed)).expect("it is a time")
    }
}

impl Turns {
    pub fn new(state: State) -> Self {
        Self(Arc::new(Inner { state: Mutex::new(state), turn: Condvar::new() }))
    }

    /// Who moves may look, and change things.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The members are there: one of them begins.
    pub fn begin(&self) {
        self.lock().next_turn();
        self.0.turn.notify_all();
    }

    /// Waits for the first turn.
    pub fn enter(&self, me: usize) {
        self.wait_for_turn(self.lock(), me);
    }

    /// Waits, and lets the others move.
    pub fn rest(&self, me: usize, until: Duration) {
        self.let_others(me, until, false);
    }

    /// As [`rest`](Self::rest), unless it is woken.
    pub fn listen(&self, me: usize, until: Duration) {
        self.let_others(me, until, true);
    }

    fn let_others(&self, me: usize, until: Duration, listens: bool) {
        let mut state = self.lock();
        let seat = &mut state.seats[me];
        (seat.goes_on, seat.listens) = (Some(until), listens);
        state.next_turn();
        self.0.turn.notify_all();
        self.wait_for_turn(state, me);
    }

    /// Does not move any more.
    pub fn leave(&self, me: usize) {
        let mut state = self.lock();
        state.seats[me].goes_on = None;
        state.next_turn();
        self.0.turn.notify_all();
    }

    fn wait_for_turn(&self, mut state: MutexGuard<'_, State>, me: usize) {
        while state.moving != Some(me) {
            state = self.0.turn.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Seat {
    fn new() -> Self {
        Self {
            stop: None,
            seen: Stopping::No,
            woken: Arc::default(),
            calm: false,
            faulted: false,
            run: None,
            told: (DateTime::UNIX_EPOCH, Duration::ZERO),
            queue: VecDeque::new(),
            running: Vec::new(),
            finished: VecDeque::new(),
            turns: 0,
            spins: 0,
            goes_on: Some(Duration::ZERO),
            listens: false,
            stopped_until: Duration::ZERO,
        }
    }

    /// When it can move, `now` or later.
    fn next(&self, now: Duration) -> Option<Duration> {
        let is_woken = self.listens && self.woken.load(Ordering::Relaxed);
        self.goes_on.map(|at| if is_woken { now } else { at }.max(self.stopped_until).max(now))
    }

    /// Claimed, and not handed back to the run.
    pub fn outstanding(&self) -> usize {
        self.queue.len() + self.running.len() + self.finished.len()
    }

    pub fn stopping(&self) -> Stopping {
        self.stop.as_ref().map_or(Stopping::No, Stop::stopping)
    }
}

impl State {
    pub fn new(
        rng: Rng,
        plan: Plan,
        memory: MemoryStore,
        holds: Holds,
        clock: Clock,
        members: usize,
    ) -> Self {
        let mut state = Self {
            rng,
            plan,
            memory,
            holds,
            log: Vec::new(),
            at: Duration::ZERO,
            clock,
            jumped: 0,
            seats: (0..members).map(|_| Seat::new()).collect(),
            happenings: BTreeMap::new(),
            ghosts: Vec::new(),
            disturbed: false,
            moving: None,
        };
        state.set_time(Duration::ZERO);
        state
    }

    /// Lets time pass until somebody can move, and everything happen that happens meanwhile.
    fn next_turn(&mut self) {
        self.moving = loop {
            let times: Vec<Option<Duration>> = self.seats.iter().map(|seat| seat.next(self.at)).collect();
            let Some(first) = times.iter().flatten().min().copied() else { break None };
            if let Some(entry) = self.happenings.first_entry().filter(|entry| entry.key().0 <= first) {
                let ((at, _), happening) = entry.remove_entry();
                self.set_time(at.max(self.at));
                happening.happen(self);
                continue;
            }
            self.set_time(first);
            let able: Vec<usize> = (0..times.len()).filter(|seat| times[*seat] == Some(first)).collect();
            break Some(able[self.rng.usize(..able.len())]);
        };
    }

    fn set_time(&mut self, at: Duration) {
        self.at = at;
        let now = i64::try_from(at.as_micros()).unwrap_or(i64::MAX);
        self.clock.0.store(1_700_000_000_000_000 + now + self.jumped, Ordering::Relaxed);
        self.ghosts.retain(|ghost| {
            let lives = ghost.ends > at;
            if !lives {
                self.holds.ended(ghost.key);
            }
            lives
        });
    }

    /// The store's clock is set.
    pub fn jump(&mut self, by: Duration, back: bool) {
        self.disturbed = true;
        let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        self.jumped += if back { -by } else { by };
        self.set_time(self.at);
    }

    pub fn say(&mut self, who: impl std::fmt::Display, what: impl AsRef<str>) {
        self.log.push(format!("{:>14.6} {who}: {}", self.at.as_secs_f64(), what.as_ref()));
    }

    /// Something must hold.
    pub fn hold(&mut self, checked: Result<(), String>) {
        if let Err(wrong) = checked {
            self.say("WRONG", &wrong);
            self.holds.wrong.push(wrong);
        }
    }
}
