//! One member: what its orchestrator knows of the world.

use std::collections::HashSet;
use std::panic::resume_unwind;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use workitem_orchestrator::{Ended, Event, Fault, Finished, How, Observer, Running, Stopping, World};
use workitem_store::{
    AnyStep, AttemptOutput, Call, Claim, ClaimRequest, Claims, Outcome, StoreError, whole_micros,
};

use super::turns::{Attempt, Ghost, State, Turns};
use crate::simulate::sim::Crash;
use crate::simulate::weather::{Weather, failed};

/// More looks without anything happening, or at one moment, than any sound run takes.
const MOST_TURNS: u32 = 200_000;
const MOST_SPINS: u32 = 1_000;

/// A member of a fleet, by its place.
#[derive(Clone)]
pub struct Member {
    pub turns: Turns,
    pub me: usize,
    /// What `Instant` was when the life began.
    pub zero: Instant,
}

impl Member {
    fn rest(&self, until: Duration) {
        self.turns.rest(self.me, until);
    }

    /// The agents of an orchestrator that died, or was killed, live on.
    pub fn crashed(&self) {
        let state = &mut *self.turns.lock();
        let seat = &mut state.seats[self.me];
        seat.queue.clear();
        seat.finished.clear();
        for Attempt { claim, ends, .. } in seat.running.drain(..) {
            let (item, key) = (claim.leased.item(), key(&claim));
            state.ghosts.push(Ghost { seat: self.me, item: item.id().to_string(), key, ends });
        }
    }

    /// Ends agents of these attempts on this machine that have outlived their orchestrator.
    pub fn end_orphans(&self, attempts: &HashSet<(String, usize)>) -> usize {
        let state = &mut *self.turns.lock();
        let (before, holds) = (state.ghosts.len(), &mut state.holds);
        state.ghosts.retain(|ghost| {
            let ends = ghost.seat == self.me && attempts.contains(&(ghost.item.clone(), ghost.key.1));
            if ends {
                holds.ended(ghost.key);
            }
            !ends
        });
        before - state.ghosts.len()
    }

    fn crash_point(&self, place: &str) {
        let state = &mut *self.turns.lock();
        if !state.seats[self.me].calm && state.rng.f64() < state.plan.crash {
            state.disturbed = true;
            state.say(self.me, format!("crash, at {place}"));
            resume_unwind(Box::new(Crash));
        }
    }

    /// What is due at its slots by now.
    fn settle(&self, state: &mut State) {
        obey(state, self.me);
        let (at, slots) = (state.at, state.plan.options.parallelism.get());
        loop {
            let running = &state.seats[self.me].running;
            let over = running.iter().enumerate().filter(|(_, attempt)| attempt.ends <= at);
            let Some((slot, _)) = over.min_by_key(|(_, attempt)| attempt.ends) else { break };
            let attempt = state.seats[self.me].running.remove(slot);
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

fn key(claim: &Claim) -> (u64, usize) {
    (claim.leased.token().seq(), claim.leased.item().attempts())
}

/// Running agents do as they are told.
fn obey(state: &mut State, me: usize) {
    let seat = &mut state.seats[me];
    let stopping = seat.stopping();
    if stopping == seat.seen {
        return;
    }
    seat.seen = stopping;
    for attempt in &mut seat.running {
        let patience = match stopping {
            Stopping::No | Stopping::Drain => continue,
            Stopping::Interrupt => Duration::from_micros(state.rng.u64(0..=5_000_000)),
            Stopping::Kill => Duration::ZERO,
        };
        if state.at + patience < attempt.ends {
            (attempt.ends, attempt.how) = (state.at + patience, Some(How::Interrupted));
        }
    }
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
    let ended = match how {
        Some(how) => Ok(Ended { how, output: AttemptOutput::default() }),
        None => Err(Fault::System("there is no room".to_owned())),
    };
    let at = now_of(state, me);
    state.seats[me].finished.push_back(Finished { leased: claim.leased, ended, at, took });
}

/// What time a member thinks it is for all.
fn now_of(state: &State, me: usize) -> DateTime<Utc> {
    let (told, at) = state.seats[me].told;
    whole_micros(told + TimeDelta::from_std(state.at.saturating_sub(at)).unwrap_or_default())
}

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
        let running = state.seats[self.me].running.iter();
        let mut running: Vec<Running> = running
            .map(|attempt| Running {
                item: attempt.claim.leased.item().id().clone(),
                since: self.zero + attempt.since,
            })
            .collect();
        running.sort_by_key(|running| running.since);
        running
    }
}

impl Weather for Member {
    fn call<T>(&self, name: &str, call: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.crash_point(name);
        let (arrives, returns, before, after) = {
            let state = &mut *self.turns.lock();
            let (slow, fault, lease) = (state.plan.slow, state.plan.fault, state.plan.options.lease);
            let calm = state.seats[self.me].calm;
            let rng = &mut state.rng;
            let mut takes = || match rng.f64() {
                // A network that is cut for a while, or a server that is restarted.
                chance if !calm && chance < slow / 50.0 => rng.u64(0..micros(lease * 3)),
                chance if !calm && chance < slow => rng.u64(0..300_000),
                _ => rng.u64(50..2_000),
            };
            let (there, back) = (Duration::from_micros(takes()), Duration::from_micros(takes()));
            let fails = !calm && rng.f64() < fault;
            let before = fails && rng.bool();
            state.seats[self.me].faulted |= fails;
            // Quick calls keep nobody from renewing a lease in time.
            state.disturbed |= fails || there + back > lease / 20;
            (there, back, before, fails && !before)
        };
        let at = |after: Duration| self.turns.lock().at + after;
        self.rest(at(arrives));
        if before {
            self.turns.lock().say(self.me, format!("{name} has failed"));
            return Err(failed(name, "nothing was done"));
        }
        let done = call();
        self.rest(at(returns));
        if after {
            self.turns.lock().say(self.me, format!("{name} fails, and is done"));
            return Err(failed(name, "whether it was done is not known"));
        }
        self.crash_point(&format!("{name}, done"));
        done
    }

    fn now(&self) -> DateTime<Utc> {
        self.turns.lock().clock.now()
    }

    fn through(&self, call: Call) -> Call {
        let (woken, clock) = {
            let state = self.turns.lock();
            (state.seats[self.me].woken.clone(), state.clock.clone())
        };
        // It must not wait for who moves; which calls get lost follows from the time.
        Box::new(move || {
            if clock.now().timestamp_micros() % 10 != 0 {
                call();
                woken.store(true, Ordering::Relaxed);
            }
        })
    }

    fn asked(&self, request: &ClaimRequest<'_>) -> Duration {
        let state = &mut *self.turns.lock();
        state.seats[self.me].run = Some(request.agent.to_owned());
        state.at
    }

    fn claimed(&self, request: &ClaimRequest<'_>, claims: &Claims, _: Duration) {
        let state = &mut *self.turns.lock();
        let now = state.clock.now();
        let held = state.holds.claimed(request.agent, &claims.claims, request.lease, now);
        state.hold(held);
        if !claims.claims.is_empty() {
            state.say(self.me, format!("{} of {} claimed", claims.claims.len(), request.limit));
        }
    }

    fn renewed(&self, agent: &str, lease: Duration) {
        let state = &mut *self.turns.lock();
        let now = state.clock.now();
        state.seats[self.me].run = Some(agent.to_owned());
        state.holds.renewed(agent, lease, now);
    }

    fn recorded(&self, steps: &[AnyStep], outcomes: &[Outcome]) {
        let state = &mut *self.turns.lock();
        let now = state.clock.now();
        let held = state.holds.recorded(state.seats[self.me].run.as_deref(), steps, outcomes, now);
        state.hold(held);
        state.say(self.me, format!("{} steps recorded: {outcomes:?}", steps.len()));
    }
}

impl Observer for Member {
    fn event(&mut self, event: &Event<'_>) {
        let state = &mut *self.turns.lock();
        match event {
            Event::Recovered { orphans, items } => {
                state.say(self.me, format!("{orphans} orphans, {items:?}"))
            }
            Event::Ended { seq, attempt, outcome, .. } => {
                state.say(self.me, format!("told: attempt {:?}: {outcome:?}", (seq, attempt)));
            }
            _ => {}
        }
        let heard = state.holds.heard(&state.memory, self.me, event);
        state.hold(heard);
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
