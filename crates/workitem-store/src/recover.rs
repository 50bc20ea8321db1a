//! What becomes of items whose orchestrator went away.

use chrono::{DateTime, Utc};
use workitem_typestate::{AgentFailed, Failed, Interrupt, MoveToDeadLetter, RetryPolicy, WorkItem};

use crate::{Abandoned, AnyStep, Cause, JobId, Leased, SettledLease, Store, StoreError};

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

/// Gives every abandoned item of a job its due: back to pending, and given up when its agents have seen
/// more than `max_crashes` crashes. A crash is no failure of the item, but an item that takes its host
/// down with it must not do so for ever.
///
/// The agents of these items must be gone: for an embedded store the caller holds the job's lock and has
/// ended what outlived its orchestrator.
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
    loop {
        let page = store.abandoned(job, PAGE, now)?;
        if page.is_empty() {
            return Ok(recovered);
        }
        let steps: Vec<AnyStep> = page
            .into_iter()
            .map(|abandoned| match abandoned {
                Abandoned::Running { leased, spawned: true, crashes } if crashes >= max_crashes => {
                    recovered.given_up += 1;
                    let crashes = crashes + 1;
                    let error = format!("its orchestrator or host went away {crashes} times while it ran");
                    leased
                        .step(AgentFailed { error }, now)
                        .because(Cause::CrashLimit { crashes })
                        .crashed()
                        .then(MoveToDeadLetter, now)
                        .seal()
                }
                Abandoned::Running { leased, spawned, crashes: _ } => {
                    recovered.interrupted += 1;
                    let step = leased.step(Interrupt, now).because(Cause::Crash);
                    if spawned { step.crashed().seal() } else { step.seal() }
                }
                Abandoned::Stranded(leased) => {
                    recovered.settled += 1;
                    settle_stranded(leased, &retry, now)
                }
            })
            .collect();
        store.record(&steps)?;
    }
}

fn settle_stranded(leased: Leased<Failed>, retry: &impl RetryPolicy, now: DateTime<Utc>) -> AnyStep {
    match leased.settle(retry, now) {
        SettledLease::Retry(step) => step.because(Cause::Stranded).run_at(now).seal(),
        SettledLease::DeadLetter(step) => step.because(Cause::Stranded).seal(),
    }
}
