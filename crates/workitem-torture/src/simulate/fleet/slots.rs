//! What a member's orchestrator knows of time, and its slots.

use std::panic::resume_unwind;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use workitem_orchestrator::{Finished, How, Running, Stopping, World};
use workitem_store::{Claim, whole_micros};

use super::member::{Member, key};
use super::turns::State;
use crate::simulate::attempts::{self, Attempt};
use crate::simulate::sim::Crash;

/// More looks without anything happening, or at one moment, than any sound run takes.
const MOST_TURNS: u32 = 200_000;
const MOST_SPINS: u32 = 1_000;

impl World for Member {
    fn instant(&self) -> Instant {
        self.zero + self.turns.lock().at
    }

    fn now(&self) -> DateTime<Utc> {
        now_of(&self.turns.lock(), self.me)
    }

    fn told(&mut self, now: DateTime<Utc>) {
        let state = &mut *self.turns.lock();
        state.seats[self.me].told = (now, state.at);
    }

    fn start(&mut self, claim: Claim) {
        self.crash_point("a claim that is handed over");
        let state = &mut *self.turns.lock();
        state.seats[self.me].queue.push_back(claim);
        self.settle(state);
    }

    fn wait(&mut self, patience: Duration) -> Option<Finished> {
        self.crash_point("waiting");
        let until = self.turns.lock().at + patience;
        loop {
            let next = {
                let state = &mut *self.turns.lock();
                self.settle(state);
                let seat = &mut state.seats[self.me];
                let is_woken = seat.woken.load(Ordering::Relaxed);
                // Whoever waits for two things that are both there is given either.
                if is_woken && (seat.finished.is_empty() || state.rng.bool()) {
                    seat.woken.store(false, Ordering::Relaxed);
                    return None;
                }
                if let Some(finished) = seat.finished.pop_front() {
                    (seat.turns, seat.spins) = (0, 0);
                    return Some(finished);
                }
                if state.at >= until {
                    seat.turns += 1;
                    seat.spins = if patience.is_zero() { seat.spins + 1 } else { 0 };
                    if seat.spins <= MOST_SPINS && seat.turns <= MOST_TURNS {
                        return None;
                    }
                    state.hold(Err(format!("member {} does nothing but look", self.me)));
                    resume_unwind(Box::new(Crash));
                }
                seat.running.iter().map(|attempt| attempt.ends).min().map_or(until, |ends| ends.min(until))
            };
            self.turns.listen(self.me, next);
        }
    }

    fn ready(&mut self) -> Option<Finished> {
        let state = &mut *self.turns.lock();
        self.settle(state);
        state.seats[self.me].finished.pop_front()
    }

    fn outlast(&mut self) -> Option<Finished> {
        self.crash_point("the end of what runs");
        loop {
            let next = {
                let state = &mut *self.turns.lock();
                self.settle(state);
                let seat = &mut state.seats[self.me];
                if let Some(finished) = seat.finished.pop_front() {
                    return Some(finished);
                }
                seat.running.iter().map(|attempt| attempt.ends).min()?
            };
            self.rest(next);
        }
    }

    fn sleep(&mut self, time: Duration) {
        self.crash_point("asleep");
        let until = self.turns.lock().at + time;
        self.rest(until);
    }

    fn running(&self) -> Vec<Running> {
        let state = self.turns.lock();
        attempts::running(&state.seats[self.me].running, self.zero)
    }
}

impl Member {
    /// What is due at its slots by now.
    fn settle(&self, state: &mut State) {
        obey(state, self.me);
        let (at, slots) = (state.at, state.plan.options.parallelism.get());
        while let Some(attempt) = attempts::next_over(&mut state.seats[self.me].running, at) {
            let took = attempt.ends.saturating_sub(attempt.since);
            state.holds.ended(key(&attempt.claim));
            finish(state, self.me, attempt.claim, attempt.how, took);
        }
        while state.seats[self.me].running.len() < slots {
            let Some(claim) = state.seats[self.me].queue.pop_front() else { break };
            start(state, self.me, claim);
        }
    }
}

/// Running agents do as they are told.
fn obey(state: &mut State, me: usize) {
    let seat = &mut state.seats[me];
    let stopping = seat.stopping();
    if stopping == seat.seen {
        return;
    }
    seat.seen = stopping;
    attempts::obey(&mut seat.running, stopping, state.at, &mut state.rng);
    state.say(me, format!("stopping: {stopping:?}"));
}

/// As a slot does: once the orchestrator stops, nothing is started any more.
fn start(state: &mut State, me: usize, claim: Claim) {
    if state.seats[me].stopping() > Stopping::No {
        finish(state, me, claim, Some(How::Interrupted), Duration::ZERO);
        return;
    }
    let started = state.holds.started(&state.memory, claim.leased.item().id().as_str(), key(&claim));
    state.hold(started);
    let calm = state.seats[me].calm;
    let (takes, how) = state.plan.attempt(&mut state.rng, calm);
    state.seats[me].faulted |= how.is_none();
    state.say(me, format!("attempt {:?} starts, {takes:?}", key(&claim)));
    let since = state.at;
    state.seats[me].running.push(Attempt { claim, since, ends: since + takes, how });
}

fn finish(state: &mut State, me: usize, claim: Claim, how: Option<How>, took: Duration) {
    let at = now_of(state, me);
    state.seats[me].finished.push_back(attempts::finished(claim, how, at, took));
}

/// What time a member thinks it is for all.
fn now_of(state: &State, me: usize) -> DateTime<Utc> {
    let (told, at) = state.seats[me].told;
    whole_micros(told + TimeDelta::from_std(state.at.saturating_sub(at)).unwrap_or_default())
}
