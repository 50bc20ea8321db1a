//! Stores keep whole microseconds, so that every engine holds exactly what it was told.

use chrono::{DateTime, SubsecRound, Utc};

/// The time without what is finer than a microsecond.
///
/// ```
/// # use chrono::{DateTime, Utc};
/// let fine: DateTime<Utc> = "2026-11-23T03:00:00.123456789Z".parse()?;
/// assert_eq!(workitem_store::whole_micros(fine).to_rfc3339(), "2026-11-23T03:00:00.123456+00:00");
/// # Ok::<(), chrono::ParseError>(())
/// ```
pub fn whole_micros(time: DateTime<Utc>) -> DateTime<Utc> {
    time.trunc_subsecs(6)
}
