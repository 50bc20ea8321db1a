//! The time, in whole microseconds, so that every store keeps exactly what it was told.

use std::sync::PoisonError;
use std::time::Instant;

use chrono::{DateTime, Utc};
use workitem_store::{Store, StoreError, whole_micros};

use crate::sync::{Mutex, instant};

/// The time now.
pub fn now() -> DateTime<Utc> {
    whole_micros(Utc::now())
}

/// The time `delay` after `time`, or as late as there is.
pub fn after(time: DateTime<Utc>, delay: std::time::Duration) -> DateTime<Utc> {
    let delay = chrono::TimeDelta::from_std(delay).unwrap_or(chrono::TimeDelta::MAX);
    time.checked_add_signed(delay).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// The time by which items wait for their next attempt: that of day when a run began, and from then on by the clock that
/// only goes forward. So an item waits as long as it was told to, whatever is done to the time of day meanwhile.
pub struct Waiting {
    began: DateTime<Utc>,
    since: Instant,
}

impl Waiting {
    /// Begins now: by both clocks.
    pub const fn new(began: DateTime<Utc>, since: Instant) -> Self {
        Self { began, since }
    }

    /// The time at an instant.
    pub fn at(&self, instant: Instant) -> DateTime<Utc> {
        whole_micros(after(self.began, instant.saturating_duration_since(self.since)))
    }
}

/// What time of day it is for a run.
pub enum TimeOfDay {
    /// What the system says, whatever is done to it meanwhile.
    System,
    /// What the store said last, and how long ago that is: on many machines no two systems agree.
    Store(Box<Mutex<Waiting>>),
}

impl TimeOfDay {
    /// That of the store, if it has one for all who use it.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store cannot tell.
    pub fn of(store: &dyn Store) -> Result<Self, StoreError> {
        if !store.is_shared() {
            return Ok(Self::System);
        }
        Ok(Self::Store(Box::new(Mutex::new(Waiting::new(store.now()?, instant())))))
    }

    /// The time now.
    pub fn now(&self) -> DateTime<Utc> {
        match self {
            Self::System => now(),
            Self::Store(told) => told.lock().unwrap_or_else(PoisonError::into_inner).at(instant()),
        }
    }

    /// The store has said what time it is; only one that tells the time does.
    pub fn told(&self, now: DateTime<Utc>) {
        match self {
            Self::System => {}
            Self::Store(told) => {
                *told.lock().unwrap_or_else(PoisonError::into_inner) = Waiting::new(now, instant());
            }
        }
    }
}
