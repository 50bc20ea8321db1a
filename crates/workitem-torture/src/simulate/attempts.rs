//! Agents at work, in a world where time is a number.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use fastrand::Rng;
use workitem_orchestrator::{Ended, Fault, Finished, How, Running, Stopping};
use workitem_store::{AttemptOutput, Claim};

/// An agent at work.
pub struct Attempt {
    pub claim: Claim,
    pub since: Duration,
    pub ends: Duration,
    /// `None` if it cannot be made, through no fault of the item.
    pub how: Option<How>,
}

/// Takes the first of those that are over by now.
pub fn next_over(attempts: &mut Vec<Attempt>, now: Duration) -> Option<Attempt> {
    let over = attempts.iter().enumerate().filter(|(_, attempt)| attempt.ends <= now);
    let (nth, _) = over.min_by_key(|(_, attempt)| attempt.ends)?;
    Some(attempts.remove(nth))
}

/// Running agents do as they are told.
pub fn obey(attempts: &mut [Attempt], stopping: Stopping, now: Duration, rng: &mut Rng) {
    for attempt in attempts {
        let patience = match stopping {
            Stopping::No | Stopping::Drain => continue,
            Stopping::Interrupt => Duration::from_micros(rng.u64(0..=5_000_000)),
            Stopping::Kill => Duration::ZERO,
        };
        if now + patience < attempt.ends {
            (attempt.ends, attempt.how) = (now + patience, Some(How::Interrupted));
        }
    }
}

/// What comes back of an attempt.
pub fn finished(claim: Claim, how: Option<How>, at: DateTime<Utc>, took: Duration) -> Finished {
    let ended = match how {
        Some(how) => Ok(Ended { how, output: AttemptOutput::default() }),
        None => Err(Fault::System("there is no room".to_owned())),
    };
    Finished { leased: claim.leased, ended, at, took }
}

/// What runs, longest-running first, by a clock that was at `zero` when time began.
pub fn running(attempts: &[Attempt], zero: Instant) -> Vec<Running> {
    let item = |attempt: &Attempt| attempt.claim.leased.item().id().clone();
    let mut running: Vec<Running> =
        attempts.iter().map(|attempt| Running { item: item(attempt), since: zero + attempt.since }).collect();
    running.sort_by_key(|running| running.since);
    running
}
