//! The time, in whole microseconds, so that every store keeps exactly what it was told.

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
