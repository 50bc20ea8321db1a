//! How many agents are started in a time, at most.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::{Duration, Instant};

/// So many attempts are started in such a time, at most: for a service that counts, or a disk that is shared.
///
/// They are spread evenly, not started together at the beginning of each time.
///
/// ```
/// use std::time::Duration;
/// use workitem_orchestrator::Rate;
///
/// let rate: Rate = "30/m".parse()?;
/// assert_eq!(rate, Rate::new(30.try_into()?, Duration::from_mins(1)));
/// assert_eq!("1/250ms".parse::<Rate>()?.to_string(), "1/250ms");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    items: NonZeroU32,
    per: Duration,
}

impl Rate {
    /// `items` in every `per`.
    pub const fn new(items: NonZeroU32, per: Duration) -> Self {
        Self { items, per }
    }

    /// The time from one start to the next.
    fn interval(self) -> Duration {
        (self.per / self.items.get()).max(Duration::from_nanos(1))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let times = |unit: Duration| self.per.as_nanos() / unit.as_nanos();
        let whole =
            |unit: Duration| !self.per.is_zero() && self.per.as_nanos().is_multiple_of(unit.as_nanos());
        match UNITS.into_iter().find(|(_, unit)| whole(*unit)) {
            Some((name, unit)) if times(unit) == 1 => write!(f, "{}/{name}", self.items),
            Some((name, unit)) => write!(f, "{}/{}{name}", self.items, times(unit)),
            None => write!(f, "{}/{:?}", self.items, self.per),
        }
    }
}

/// The largest first.
const UNITS: [(&str, Duration); 4] = [
    ("h", Duration::from_hours(1)),
    ("m", Duration::from_mins(1)),
    ("s", Duration::from_secs(1)),
    ("ms", Duration::from_millis(1)),
];

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let example = || "is no rate such as 10/s, 30/m or 1/250ms".to_owned();
        let (items, per) = text.split_once('/').ok_or_else(example)?;
        let items = items.trim().parse::<NonZeroU32>().map_err(|_| example())?;
        let per = per.trim();
        let digits = per.find(|c: char| !c.is_ascii_digit()).unwrap_or(per.len());
        let (number, unit) = per.split_at(digits);
        let (_, unit) = UNITS.into_iter().find(|(name, _)| *name == unit).ok_or_else(example)?;
        let times = if number.is_empty() { 1 } else { number.parse::<u32>().map_err(|_| example())? };
        match unit.checked_mul(times) {
            Some(per) if !per.is_zero() => Ok(Self { items, per }),
            _ => Err(example()),
        }
    }
}

/// What may be started by now.
pub(crate) struct Starts {
    interval: Duration,
    /// How many may be made up for at once: starts that are due within a tenth of a second go together, so that a high
    /// rate does not mean a claim for each.
    most: u32,
    /// When the next one is due.
    next: Instant,
}

impl Starts {
    /// The first is due at once.
    pub(crate) fn new(rate: Rate, now: Instant) -> Self {
        let interval = rate.interval();
        let most = Duration::from_millis(100).as_nanos() / interval.as_nanos();
        Self { interval, most: u32::try_from(most).unwrap_or(u32::MAX).max(1), next: now }
    }

    /// How many may be started.
    pub(crate) fn ready(&self, now: Instant) -> usize {
        let Some(late) = now.checked_duration_since(self.next) else { return 0 };
        let due = 1 + late.as_nanos() / self.interval.as_nanos();
        usize::try_from(due.min(u128::from(self.most))).unwrap_or(usize::MAX)
    }

    /// So many are started.
    pub(crate) fn started(&mut self, now: Instant, items: usize) {
        // What nobody wanted in time is not made up for later. Half an interval is: being looked at a little late, each
        // time, would add up.
        let made_up = self.interval.saturating_mul(self.most - 1) + self.interval / 2;
        let oldest = now.checked_sub(made_up).unwrap_or(now);
        let items = u32::try_from(items).unwrap_or(u32::MAX);
        self.next = self.next.max(oldest) + self.interval.saturating_mul(items);
    }

    /// How long until one may be started.
    pub(crate) fn wait(&self, now: Instant) -> Duration {
        self.next.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_as_they_are_written() {
        for text in ["10/s", "30/m", "1/h", "1/250ms", "7/2s", "1/1500ms", "2/90m"] {
            assert_eq!(text.parse::<Rate>().map(|rate| rate.to_string()).as_deref(), Ok(text));
        }
        assert_eq!("5/1000ms".parse::<Rate>().unwrap(), "5/s".parse().unwrap());
        for text in ["", "10", "/s", "0/s", "-1/s", "1/0s", "1/d", "1/s/s", "1.5/s", "1/99999999999s"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }

    /// Takes whatever may be started, every `step`, for `time`; says how many there were.
    fn greedy(rate: &str, step: Duration, time: Duration) -> usize {
        let start = Instant::now();
        let mut starts = Starts::new(rate.parse().unwrap(), start);
        let (mut now, mut items) = (start, 0);
        while now < start + time {
            let ready = starts.ready(now);
            starts.started(now, ready);
            items += ready;
            now += step;
        }
        items
    }

    #[test]
    fn no_more_are_started_than_the_rate_allows_and_no_fewer() {
        let (step, ten_seconds) = (Duration::from_millis(7), Duration::from_secs(10));
        for (rate, expected) in [("1/s", 10), ("10/s", 100), ("1000/s", 10_000), ("60/m", 10), ("1/h", 1)] {
            let items = greedy(rate, step, ten_seconds);
            assert!(
                (expected - expected / 50..=expected + expected / 50 + 1).contains(&items),
                "{rate}: {items}"
            );
        }
    }

    #[test]
    fn what_nobody_wanted_is_not_made_up_for() {
        let start = Instant::now();
        let mut starts = Starts::new("100/s".parse().unwrap(), start);
        starts.started(start, 1);
        assert_eq!((starts.ready(start), starts.wait(start)), (0, Duration::from_millis(10)));
        let later = start + Duration::from_mins(1);
        assert_eq!(starts.ready(later), 10, "a tenth of a second's, not a minute's");
        starts.started(later, 10);
        assert_eq!(starts.ready(later), 0);
        assert!(starts.wait(later) <= Duration::from_millis(10));
    }

    #[test]
    fn of_a_high_rate_what_is_due_by_now_is_ready() {
        let now = Instant::now();
        let starts = Starts::new("100/s".parse().unwrap(), now);
        let ready = [0, 9, 35, 99, 1_000].map(|late| starts.ready(now + Duration::from_millis(late)));
        assert_eq!(ready, [1, 1, 4, 10, 10]);
    }
}
