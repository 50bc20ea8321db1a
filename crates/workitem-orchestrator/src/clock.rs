//! The time, in whole microseconds, so that every store keeps exactly what it was told.

use std::time::Instant;

use chrono::{DateTime, Utc};
use workitem_store::whole_micros;

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
