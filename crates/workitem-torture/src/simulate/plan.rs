//! What a life is made of: options, and how agents, the store and the host behave. Drawn from the seed.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use fastrand::Rng;
use workitem_orchestrator::{Backoff, How, Options, Rate, Retry, StopRules, Worth};
use workitem_store::Cause;
use workitem_types::AgentResult;

/// A life, before it begins.
#[derive(Debug, Clone)]
pub struct Plan {
    pub options: Options,
    /// What `options.rate` holds, which keeps it to itself.
    pub rate: Option<(u32, Duration)>,
    /// Items that are there at the beginning.
    pub items: usize,
    /// Runs in which terrible things happen, before the one in which none does.
    pub rounds: usize,
    /// How long an attempt takes, at least and at most.
    takes: (Duration, Duration),
    /// How probable it is that an attempt fails, ...
    fails: f64,
    /// ... that the orchestrator dies, at each place where it may, ...
    pub crash: f64,
    /// ... and that a call of the store fails, or takes long.
    pub fault: f64,
    pub slow: f64,
    /// Things that others do in a run, at most.
    pub happenings: u32,
}

impl Plan {
    pub fn draw(rng: &mut Rng) -> Self {
        let backoff = rng.bool().then(|| {
            let base = between(rng, Duration::from_millis(1), Duration::from_secs(30));
            Backoff { base, max: base * rng.u32(1..20) }
        });
        let on = rng.bool().then(|| vec![Worth::Exit(None), Worth::Timeout]);
        let retry = Retry { max_attempts: rng.usize(1..=4), backoff, on };
        let max_failures = if rng.u8(..4) == 0 { NonZeroUsize::new(rng.usize(1..6)) } else { None };
        let rate = (rng.u8(..3) == 0).then(|| (rng.u32(1..=60), Duration::from_millis(rng.u64(100..3_000))));
        let options = Options {
            parallelism: NonZeroUsize::MIN.saturating_add(rng.usize(0..8)),
            retry,
            max_crashes: rng.usize(0..6),
            rules: StopRules { max_failures, ..StopRules::default() },
            rate: rate.and_then(|(items, per)| Some(Rate::new(NonZeroU32::new(items)?, per))),
            timeout: None,
            drain: between(rng, Duration::from_millis(1), Duration::from_mins(1)),
            ..Options::default()
        };
        let takes = [(0, 3), (0, 200), (60, 60_000)][rng.usize(..3)];
        Self {
            options,
            rate,
            items: rng.usize(1..=40),
            rounds: rng.usize(0..=6),
            takes: (Duration::from_millis(takes.0), Duration::from_millis(takes.1)),
            fails: [0.0, 0.1, 0.5, 1.0][rng.usize(..4)],
            crash: [0.0, 0.001, 0.02][rng.usize(..3)],
            fault: [0.0, 0.003, 0.03][rng.usize(..3)],
            slow: [0.0, 0.1][rng.usize(..2)],
            happenings: [0, 2, 6][rng.usize(..3)],
        }
    }

    /// Whether nothing is claimed ahead of the slots: attempts take too long, or their starts are counted.
    pub fn is_exact(&self) -> bool {
        self.rate.is_some() || self.takes.0 >= Duration::from_millis(50)
    }

    /// Whether an item gets another attempt after so many failures, the last of which was for this.
    pub fn tries_again(&self, failures: usize, cause: Cause) -> bool {
        let is_worth_it = match cause {
            Cause::CrashLimit { .. } => false,
            Cause::Exit(_) | Cause::TimedOut { .. } => true,
            _ => self.options.retry.on.is_none(),
        };
        is_worth_it && failures < self.options.retry.max_attempts
    }

    /// How long an attempt will take, and how it will end; `None` if it cannot be made.
    pub fn attempt(&self, rng: &mut Rng, calm: bool) -> (Duration, Option<How>) {
        let takes = between(rng, self.takes.0, self.takes.1);
        let failed = |cause: Cause| How::Failed { error: cause.to_string(), cause };
        let how = if !calm && rng.f64() < self.fault / 10.0 {
            None
        } else if rng.f64() < self.fails {
            Some(failed(match rng.u8(..6) {
                0 => Cause::Exit(rng.i32(1..=255)),
                1 => Cause::Signal(9),
                2 => Cause::timed_out(takes),
                3 => Cause::NotStarted,
                4 => Cause::Panic,
                _ => Cause::Error,
            }))
        } else {
            Some(How::Completed(Box::new(AgentResult::success(String::new(), None, takes))))
        };
        (takes, how)
    }
}

/// Short times are as probable as long ones: each order of magnitude is.
pub fn between(rng: &mut Rng, least: Duration, most: Duration) -> Duration {
    let (least, most) = (least.as_secs_f64().max(1e-6), most.as_secs_f64());
    let drawn = (least.ln() + rng.f64() * (most.ln() - least.ln())).exp();
    Duration::from_micros(Duration::from_secs_f64(drawn).as_micros().try_into().unwrap_or(u64::MAX))
}
