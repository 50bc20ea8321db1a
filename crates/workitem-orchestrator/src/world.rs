//! All that a run knows of the world beside its store: what time it is, and what the slots do.
//!
//! The driver asks for nothing else. So it runs as well where time is a number and no thread is started, and there
//! the same run can be had again from its seed.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use workitem_store::{Claim, Leased};
use workitem_typestate::InProgress;

use crate::agent::{Ended, Fault};
use crate::observer::Running;

/// The time, and slots that work on what is claimed.
pub trait World {
    /// The time that only goes forward: what is waited by.
    fn instant(&self) -> Instant;

    /// The time of day, in whole microseconds: what is written down. It may jump.
    fn now(&self) -> DateTime<Utc>;

    /// What time of day it is for all who use the store, as the store says.
    fn told(&mut self, now: DateTime<Utc>) {
        let _ = now;
    }

    /// Hands an item to the first slot that is free, now or later.
    fn start(&mut self, claim: Claim);

    /// The next outcome. Waits for it no longer than `patience`, and not when somebody asks the run to stop.
    fn wait(&mut self, patience: Duration) -> Option<Finished>;

    /// An outcome that is there already.
    fn ready(&mut self) -> Option<Finished>;

    /// The next outcome, however long it takes; `None` if there is no slot left to have one.
    fn outlast(&mut self) -> Option<Finished>;

    /// Waits, and listens to nothing meanwhile.
    fn sleep(&mut self, time: Duration);

    /// What runs right now, longest-running first.
    fn running(&self) -> Vec<Running>;
}

/// An attempt that is over.
#[derive(Debug)]
pub struct Finished {
    /// The item, as it was claimed.
    pub leased: Leased<InProgress>,
    /// How the attempt ended; an error if it could not be made, or its output not be kept.
    pub ended: Result<Ended, Fault>,
    /// When it ended.
    pub at: DateTime<Utc>,
    /// How long it took.
    pub took: Duration,
}
