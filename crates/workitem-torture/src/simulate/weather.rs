//! What becomes of a call to the store, and who sees what it has done.

use std::time::Duration;

use chrono::{DateTime, Utc};
use workitem_store::{Abandoned, AnyStep, Call, ClaimRequest, Claims, JobCounts, Outcome, StoreError};

use super::sim::Shared;

/// The world around a store.
pub trait Weather: Send + Sync {
    /// Lets a call be made, or not: it may take long, fail before or after it is done, or be the last of its process.
    fn call<T>(&self, name: &str, call: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError>;

    fn now(&self) -> DateTime<Utc>;

    /// The call with which the store will call, as far as it gets through.
    fn through(&self, call: Call) -> Call {
        call
    }

    /// Items are about to be asked for; and when that was.
    fn asked(&self, request: &ClaimRequest<'_>) -> Duration;

    /// The store has done that; whether its caller will know is another matter.
    fn claimed(&self, request: &ClaimRequest<'_>, claims: &Claims, asked_at: Duration);
    fn recorded(&self, steps: &[AnyStep], outcomes: &[Outcome]);
    fn renewed(&self, agent: &str, lease: Duration) {
        let _ = (agent, lease);
    }
    fn counted(&self, counts: &JobCounts) {
        let _ = counts;
    }
    fn looked(&self, abandoned: &[Abandoned]) {
        let _ = abandoned;
    }

    /// The caller knows what was recorded.
    fn known(&self, steps: &[AnyStep], outcomes: &[Outcome]) {
        let _ = (steps, outcomes);
    }
}

impl Weather for Shared {
    fn call<T>(&self, name: &str, call: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        let (before, after) = {
            let mut sim = self.lock();
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
            self.lock().say(format!("{name} has failed"));
            return Err(failed(name, "nothing was done"));
        }
        let done = call();
        let mut sim = self.lock();
        if after {
            sim.say(format!("{name} fails, and is done"));
            return Err(failed(name, "whether it was done is not known"));
        }
        sim.crash_point(&format!("{name}, done"));
        done
    }

    fn now(&self) -> DateTime<Utc> {
        self.lock().now()
    }

    fn asked(&self, request: &ClaimRequest<'_>) -> Duration {
        let sim = &mut *self.lock();
        sim.all_told();
        let asked = sim.checks.asked(&sim.plan, request, sim.at, sim.outstanding(), sim.stop.stopping());
        sim.hold(asked);
        sim.at
    }

    fn claimed(&self, request: &ClaimRequest<'_>, claims: &Claims, asked_at: Duration) {
        let sim = &mut *self.lock();
        let now = sim.waiting(asked_at);
        let held = sim.checks.claimed(&sim.plan, &sim.memory, &claims.claims, now, asked_at);
        sim.hold(held);
        if !claims.claims.is_empty() {
            sim.say(format!(
                "{} of {} claimed, next due: {:?}",
                claims.claims.len(),
                request.limit,
                claims.next_due
            ));
        }
    }

    fn recorded(&self, steps: &[AnyStep], outcomes: &[Outcome]) {
        let sim = &mut *self.lock();
        let now = sim.waiting(sim.at);
        let held = sim.checks.recorded(&sim.plan, steps, outcomes, now);
        sim.hold(held);
        sim.say(format!("{} steps recorded", steps.len()));
    }

    fn counted(&self, counts: &JobCounts) {
        self.lock().checks.counted(counts.is_finished());
    }

    fn known(&self, steps: &[AnyStep], outcomes: &[Outcome]) {
        self.lock().checks.owe(steps, outcomes);
    }
}

pub fn failed(name: &str, what: &str) -> StoreError {
    StoreError::Engine { store: "simulated".to_owned(), what: format!("{name}: {what}"), cause: None }
}
