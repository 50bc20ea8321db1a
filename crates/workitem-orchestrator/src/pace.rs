//! How many items to claim ahead of the slots: enough to keep them busy while a claim is written, and no
//! more than about 50 ms of work, because what is claimed ahead has to be put back when the run stops.

use std::time::Duration;

/// How much work to hold beyond what runs.
const AHEAD: Duration = Duration::from_millis(50);
/// Most items to hold beyond what runs.
const MOST_AHEAD: usize = 4_096;

/// Knows how long an attempt takes, lately.
pub struct Pace {
    slots: usize,
    attempt: Option<Duration>,
}

impl Pace {
    pub const fn new(slots: usize) -> Self {
        Self { slots, attempt: None }
    }

    /// An attempt took so long. A slow one weighs more than a quick one: it is better to hold too little.
    pub fn took(&mut self, took: Duration) {
        self.attempt = Some(match self.attempt {
            None => took,
            Some(before) if took > before => (before + took) / 2,
            Some(before) => (before * 9 + took) / 10,
        });
    }

    /// How many items to hold beyond what runs. None until the first attempt is over.
    pub fn ahead(&self) -> usize {
        let Some(attempt) = self.attempt else { return 0 };
        let per_slot = AHEAD.as_nanos() / attempt.as_nanos().max(1);
        usize::try_from(per_slot).unwrap_or(usize::MAX).saturating_mul(self.slots).min(MOST_AHEAD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ahead_after(took: &[u64]) -> usize {
        let mut pace = Pace::new(2);
        for micros in took {
            pace.took(Duration::from_micros(*micros));
        }
        pace.ahead()
    }

    #[test]
    fn nothing_is_held_until_something_is_known() {
        assert_eq!(ahead_after(&[]), 0);
    }

    #[test]
    fn about_fifty_milliseconds_of_work_are_held() {
        assert_eq!(ahead_after(&[1_000]), 100);
        assert_eq!(ahead_after(&[0; 3]), MOST_AHEAD);
        assert_eq!(ahead_after(&[60_000]), 0);
    }

    #[test]
    fn one_slow_attempt_is_enough_to_hold_nothing() {
        assert_eq!(ahead_after(&[1_000, 1_000, 600_000_000]), 0);
    }
}
