//! One member: its machine, its way to the store, and what it tells.

use std::collections::HashSet;
use std::panic::resume_unwind;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use workitem_orchestrator::{Event, Observer};
use workitem_store::{Abandoned, AnyStep, Call, Claim, ClaimRequest, Claims, Outcome, StoreError};

use super::turns::{Ghost, Turns};
use crate::simulate::attempts::Attempt;
use crate::simulate::sim::Crash;
use crate::simulate::weather::{Weather, failed};

/// A member of a fleet, by its place.
#[derive(Clone)]
pub struct Member {
    pub turns: Turns,
    pub me: usize,
    /// What `Instant` was when the life began.
    pub zero: Instant,
}

impl Member {
    pub fn rest(&self, until: Duration) {
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

    pub fn crash_point(&self, place: &str) {
        let state = &mut *self.turns.lock();
        if !state.seats[self.me].calm && state.rng.f64() < state.plan.crash {
            state.disturbed = true;
            state.say(self.me, format!("crash, at {place}"));
            resume_unwind(Box::new(Crash));
        }
    }
}

pub fn key(claim: &Claim) -> (u64, usize) {
    (claim.leased.token().seq(), claim.leased.item().attempts())
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

    fn looked(&self, abandoned: &[Abandoned]) {
        let state = &mut *self.turns.lock();
        let now = state.clock.now();
        let held = state.holds.looked(abandoned, now);
        state.hold(held);
    }

    fn recorded(&self, steps: &[AnyStep], outcomes: &[Outcome]) {
        let state = &mut *self.turns.lock();
        let held = state.holds.recorded(state.seats[self.me].run.as_deref(), steps, outcomes);
        state.hold(held);
        state.say(self.me, format!("{} steps recorded: {outcomes:?}", steps.len()));
    }
}

impl Observer for Member {
    fn event(&mut self, event: &Event<'_>) {
        let state = &mut *self.turns.lock();
        match event {
            Event::Recovered { orphans, items } => {
                state.say(self.me, format!("{orphans} orphans, {items:?}"));
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
