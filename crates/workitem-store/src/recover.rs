//! What becomes of items whose orchestrator went away.

use std::ops::AddAssign;

use chrono::{DateTime, Utc};
use workitem_typestate::{AgentFailed, Failed, Interrupt, MoveToDeadLetter, RetryPolicy, WorkItem};

use crate::{Abandoned, AnyStep, Cause, JobId, Leased, Outcome, SettledLease, Store, StoreError};

/// Items recovered in one transaction.
const PAGE: usize = 1_000;

/// What [`recover`] found and did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Items put back to pending.
    pub interrupted: usize,
    /// Items given up for having been there at too many crashes.
    pub given_up: usize,
    /// Failures that got the retry or dead letter that was missing.
    pub settled: usize,
}

impl AddAssign for Recovered {
    fn add_assign(&mut self, other: Self) {
        self.interrupted += other.interrupted;
        self.given_up += other.given_up;
        self.settled += other.settled;
    }
}

/// Gives every abandoned item of a job its due: back to pending, and given up when its agents have seen
/// more than `max_crashes` crashes. A crash is no failure of the item, but an item that takes its host
/// down with it must not do so for ever.
///
/// The agents of these items must be gone: for an embedded store the caller holds the job's lock and has
/// ended what outlived its orchestrator. For a shared one their leases have run out; several may recover at
/// the same time, and each item is recovered and counted by one of them.
///
/// # Errors
///
/// [`StoreError`]; what was recovered until then stays so, and the rest is found by the next call.
pub fn recover(
    store: &dyn Store,
    job: JobId,
    max_crashes: usize,
    retry: &dyn Fn(&WorkItem<Failed>) -> bool,
    now: DateTime<Utc>,
) -> Result<Recovered, StoreError> {
    let mut recovered = Recovered::default();
    let mut was_beaten = false;
    loop {
        let page = store.abandoned(job, PAGE, now)?;
        if page.is_empty() {
            return Ok(recovered);
        }
        let found = recover_found(store, page, max_crashes, retry, now)?;
        recovered += found;
        // Somebody else was quicker with all of them, twice: the rest is in good hands.
        let is_beaten = found == Recovered::default();
        if is_beaten && was_beaten {
            return Ok(recovered);
        }
        was_beaten = is_beaten;
    }
}

/// Gives these items of [`Store::abandoned`] their due, as [`recover`] does to all, and no others. What somebody else has
/// taken up meanwhile is left alone, and not counted.
///
/// # Errors
///
/// [`StoreError`]; what was recovered until then stays so.
pub fn recover_found(
    store: &dyn Store,
    found: Vec<Abandoned>,
    max_crashes: usize,
    retry: &dyn Fn(&WorkItem<Failed>) -> bool,
    now: DateTime<Utc>,
) -> Result<Recovered, StoreError> {
    let mut recovered = Recovered::default();
    let mut found = found.into_iter().map(|abandoned| due(abandoned, max_crashes, retry, now)).peekable();
    while found.peek().is_some() {
        let (steps, tallies): (Vec<AnyStep>, Vec<Tally>) = found.by_ref().take(PAGE).unzip();
        for (tally, outcome) in tallies.into_iter().zip(store.record(&steps)?) {
            if outcome == Outcome::Recorded {
                *tally(&mut recovered) += 1;
            }
        }
    }
    Ok(recovered)
}

/// Under what a step is counted.
type Tally = fn(&mut Recovered) -> &mut usize;

/// What becomes of an abandoned item.
fn due(
    abandoned: Abandoned,
    max_crashes: usize,
    retry: &dyn Fn(&WorkItem<Failed>) -> bool,
    now: DateTime<Utc>,
) -> (AnyStep, Tally) {
    match abandoned {
        Abandoned::Running { leased, spawned: true, crashes } if crashes >= max_crashes => {
            let crashes = crashes + 1;
            let error = format!("its orchestrator or host went away {crashes} times while it ran");
            let failed =
                leased.step(AgentFailed { error }, now).because(Cause::CrashLimit { crashes }).crashed();
            (failed.then(MoveToDeadLetter, now).seal(), |recovered| &mut recovered.given_up)
        }
        Abandoned::Running { leased, spawned, crashes: _ } => {
            let step = leased.step(Interrupt, now).because(Cause::Crash);
            let step = if spawned { step.crashed().seal() } else { step.seal() };
            (step, |recovered| &mut recovered.interrupted)
        }
        Abandoned::Stranded(leased) => {
            (settle_stranded(leased, &retry, now), |recovered| &mut recovered.settled)
        }
    }
}

fn settle_stranded(leased: Leased<Failed>, retry: &impl RetryPolicy, now: DateTime<Utc>) -> AnyStep {
    match leased.settle(retry, now) {
        SettledLease::Retry(step) => step.because(Cause::Stranded).run_at(now).seal(),
        SettledLease::DeadLetter(step) => step.because(Cause::Stranded).seal(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ClaimRequest, MemoryStore, NewItem, NewJob};

    #[test]
    fn all_is_recovered_however_many_pages_that_is() {
        let (store, items) = (MemoryStore::new(), 3 * PAGE + 1);
        let now = DateTime::UNIX_EPOCH;
        let job = store.create_job(&NewJob { name: None, spec: serde_json::Value::Null, now }).unwrap().id;
        let new: Vec<NewItem> =
            (0..items).map(|n| NewItem { id: n.to_string().into(), payload: "".into() }).collect();
        store.submit(job, &new).unwrap();
        store.seal(job, "so many").unwrap();
        assert_eq!(store.claim(&ClaimRequest::new(job, "agent-1", items, now)).unwrap().claims.len(), items);
        let recovered = recover(&store, job, 10, &|_| true, now).unwrap();
        assert_eq!(recovered, Recovered { interrupted: items, ..Recovered::default() });
        assert_eq!(store.counts(job).unwrap().by_status.pending, items);
    }
}
