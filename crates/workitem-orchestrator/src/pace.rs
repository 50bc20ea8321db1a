//! How many items to claim ahead of the slots: enough to keep them busy while a claim is written, and no
//! more than about 50 ms of work, because what is claimed ahead has to be put back when the run stops.

use std::time::{Duration, Instant};

/// How much work to hold beyond what runs.
const AHEAD: Duration = Duration::from_millis(50);
/// Most items to hold beyond what runs.
const MOST_AHEAD: usize = 4_096;
/// How far back the rate looks: an attempt weighs half as much after about 170 ms. Long enough to sit out
/// a hiccup, short enough that quick items followed by slow ones are not claimed for long.
const MEMORY: Duration = Duration::from_millis(250);

/// Knows how many attempts end per second, lately.
pub struct Pace {
    started: Instant,
    seen: Instant,
    /// Attempts that ended, each fading with its age.
    recent: f64,
    /// How long an attempt took, lately, in seconds.
    took: f64,
}

impl Pace {
    pub const fn new(now: Instant) -> Self {
        Self { started: now, seen: now, recent: 0.0, took: 0.0 }
    }

    /// An attempt ended after so long.
    pub fn ended(&mut self, now: Instant, took: Duration) {
        let known = if self.recent == 0.0 { 0.0 } else { 0.9 };
        self.took = self.took * known + took.as_secs_f64() * (1.0 - known);
        self.recent = self.recent * faded(now - self.seen) + 1.0;
        self.seen = now;
    }

    /// How many items to hold beyond what runs. None if an attempt takes longer than what may be held:
    /// then a slot that becomes free can as well wait for its claim.
    pub fn ahead(&self, now: Instant) -> usize {
        if self.took >= AHEAD.as_secs_f64() {
            return 0;
        }
        // Early on less than `MEMORY` was seen, and what was seen stands for less.
        let weight = MEMORY.as_secs_f64() * (1.0 - faded(now - self.started));
        if weight == 0.0 {
            return 0;
        }
        let per_second = self.recent * faded(now - self.seen) / weight;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it saturates, which is right"
        )]
        let ahead = (per_second * AHEAD.as_secs_f64()) as usize;
        ahead.min(MOST_AHEAD)
    }
}

/// What is left of a weight after a while.
fn faded(age: Duration) -> f64 {
    (-age.as_secs_f64() / MEMORY.as_secs_f64()).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What to hold after `ended` attempts, one every `micros`.
    fn steady(ended: u32, micros: u64) -> (Pace, Instant) {
        let mut now = Instant::now();
        let mut pace = Pace::new(now);
        for _ in 0..ended {
            now += Duration::from_micros(micros);
            pace.ended(now, Duration::from_micros(micros));
        }
        (pace, now)
    }

    #[test]
    fn nothing_is_held_until_something_is_known() {
        let now = Instant::now();
        assert_eq!(Pace::new(now).ahead(now), 0);
        assert_eq!(Pace::new(now).ahead(now + Duration::from_secs(1)), 0);
    }

    #[test]
    fn about_fifty_milliseconds_of_work_are_held_from_early_on() {
        for (ended, micros, expected) in
            [(20, 1_000, 50), (5_000, 1_000, 50), (2_000, 500, 100), (1_000, 3_000, 16), (3, 120_000, 0)]
        {
            let (pace, now) = steady(ended, micros);
            let ahead = pace.ahead(now);
            assert!(ahead.abs_diff(expected) <= expected / 10, "{ended} x {micros}: {ahead}");
        }
        let (pace, now) = steady(100_000, 1);
        assert_eq!(pace.ahead(now), MOST_AHEAD);
    }

    #[test]
    fn slow_attempts_that_end_together_are_no_reason_to_hold_anything() {
        let started = Instant::now();
        let mut pace = Pace::new(started);
        for slots in 1..=8 {
            pace.ended(started + Duration::from_millis(120), Duration::from_millis(120));
            assert_eq!(pace.ahead(started + Duration::from_millis(120)), 0, "{slots}");
        }
    }

    #[test]
    fn a_slow_attempt_among_quick_ones_is_remembered_for_a_while() {
        let (mut pace, mut now) = steady(100, 1_000);
        pace.ended(now, Duration::from_secs(10));
        for _ in 0..10 {
            now += Duration::from_millis(1);
            pace.ended(now, Duration::from_millis(1));
        }
        assert_eq!(pace.ahead(now), 0);
    }

    #[test]
    fn when_items_become_slow_nothing_is_held_soon() {
        let (pace, now) = steady(1_000, 1_000);
        assert!(pace.ahead(now + Duration::from_millis(20)) > 40, "a hiccup is sat out");
        assert_eq!(pace.ahead(now + Duration::from_secs(1)), 0);
    }
}
