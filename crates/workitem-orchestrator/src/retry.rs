//! Whether a failed item is tried again, and when.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use workitem_store::Cause;
use workitem_typestate::{Failed, WorkItem};

/// How often an item may fail, and how long to wait in between.
///
/// ```
/// use std::time::Duration;
/// use workitem_orchestrator::{Backoff, Retry};
///
/// let backoff = Some(Backoff::new(Duration::from_secs(1)));
/// let retry = Retry { max_attempts: 3, backoff, ..Retry::default() };
/// assert!(retry.delay(1) <= Duration::from_secs(1));
/// assert!(retry.delay(3) <= Duration::from_secs(4));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// Failed runs at most; 1 is no second attempt.
    pub max_attempts: usize,
    /// How long to wait before the next attempt; `None` is not at all.
    pub backoff: Option<Backoff>,
    /// Which failures are worth another attempt; `None` is all.
    pub on: Option<Vec<Worth>>,
}

impl Default for Retry {
    /// One attempt.
    fn default() -> Self {
        Self { max_attempts: 1, backoff: None, on: None }
    }
}

/// Failures that are worth another attempt.
///
/// Written as on the command line, and read from there:
///
/// ```
/// use workitem_orchestrator::Worth;
///
/// let worth: Worth = "exit:75".parse()?;
/// assert_eq!(worth, Worth::Exit(Some(75)));
/// assert_eq!(worth.to_string(), "exit:75");
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worth {
    /// The attempt took too long: `timeout`.
    Timeout,
    /// The command exited with this code, or with any but 0: `exit:75`, `exit`.
    Exit(Option<i32>),
    /// The command was ended by this signal, or by any: `signal:9`, `signal`.
    Signal(Option<i32>),
    /// The command could not be started: `start`.
    Start,
    /// The closure returned an error: `error`.
    Error,
    /// The closure panicked: `panic`.
    Panic,
}

impl Worth {
    /// Whether a failure with this cause is one of these.
    pub fn covers(self, cause: Cause) -> bool {
        let is = |wanted: Option<i32>, found: i32| wanted.is_none_or(|wanted| wanted == found);
        match (self, cause) {
            (Self::Timeout, Cause::TimedOut { .. })
            | (Self::Start, Cause::NotStarted)
            | (Self::Error, Cause::Error)
            | (Self::Panic, Cause::Panic) => true,
            (Self::Exit(code), Cause::Exit(found)) => is(code, found),
            (Self::Signal(signal), Cause::Signal(found)) => is(signal, found),
            _ => false,
        }
    }
}

impl fmt::Display for Worth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("timeout"),
            Self::Exit(None) => f.write_str("exit"),
            Self::Exit(Some(code)) => write!(f, "exit:{code}"),
            Self::Signal(None) => f.write_str("signal"),
            Self::Signal(Some(signal)) => write!(f, "signal:{signal}"),
            Self::Start => f.write_str("start"),
            Self::Error => f.write_str("error"),
            Self::Panic => f.write_str("panic"),
        }
    }
}

impl FromStr for Worth {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |digits: &str, most: i32| match digits.parse::<i32>() {
            Ok(number) if (1..=most).contains(&number) => Ok(Some(number)),
            _ => Err(format!("`{digits}` is no number from 1 to {most}")),
        };
        match text.split_once(':') {
            None => match text {
                "timeout" => Ok(Self::Timeout),
                "exit" => Ok(Self::Exit(None)),
                "signal" => Ok(Self::Signal(None)),
                "start" => Ok(Self::Start),
                "error" => Ok(Self::Error),
                "panic" => Ok(Self::Panic),
                _ => Err("is one of timeout, exit, exit:CODE, signal, signal:NUMBER, start".to_owned()),
            },
            Some(("exit", code)) => Ok(Self::Exit(number(code, 255)?)),
            Some(("signal", signal)) => Ok(Self::Signal(number(signal, 64)?)),
            Some(_) => Err("only exit and signal are followed by a number".to_owned()),
        }
    }
}

/// Exponential backoff with full jitter: before the attempt that follows the `n`-th failure, a random
/// time between 0 and `base * 2^(n - 1)`, and no more than `max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Longest wait after the first failure.
    pub base: Duration,
    /// Longest wait at all.
    pub max: Duration,
}

impl Backoff {
    /// Backs off from `base` up to an hour.
    pub const fn new(base: Duration) -> Self {
        Self { base, max: Duration::from_hours(1) }
    }
}

impl Retry {
    /// Whether an item that has just failed for `cause` gets another attempt. An item that took its host
    /// down too often gets none; one whose cause was lost, with the process that knew it, is given the benefit
    /// of the doubt.
    pub fn should_retry(&self, item: &WorkItem<Failed>, cause: Cause) -> bool {
        let is_worth_it = match cause {
            Cause::CrashLimit { .. } => false,
            Cause::Stranded => true,
            cause => self.on.as_ref().is_none_or(|on| on.iter().any(|worth| worth.covers(cause))),
        };
        is_worth_it && item.can_retry(self.max_attempts)
    }

    /// The longest that [`delay`](Self::delay) ever is.
    pub fn longest_delay(&self) -> Duration {
        self.backoff.map_or(Duration::ZERO, |backoff| backoff.max)
    }

    /// How long to wait after the `failures`-th failure; drawn anew at every call.
    pub fn delay(&self, failures: usize) -> Duration {
        let Some(Backoff { base, max }) = self.backoff else { return Duration::ZERO };
        let doublings = u32::try_from(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        let factor = 2_u32.checked_pow(doublings).unwrap_or(u32::MAX);
        base.saturating_mul(factor).min(max).mul_f64(fastrand::f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_limit_and_are_jittered() {
        let (base, max) = (Duration::from_secs(1), Duration::from_secs(5));
        let retry = Retry { max_attempts: 9, backoff: Some(Backoff { base, max }), on: None };
        assert_eq!(retry.longest_delay(), max);
        assert_eq!(Retry::default().longest_delay(), Duration::ZERO);
        for (failures, longest) in [(1, 1), (2, 2), (3, 4), (4, 5), (100, 5), (usize::MAX, 5)] {
            let longest = Duration::from_secs(longest);
            let delays: Vec<Duration> = (0..200).map(|_| retry.delay(failures)).collect();
            assert!(delays.iter().all(|delay| *delay <= longest));
            assert!(delays.iter().any(|delay| *delay > longest / 2), "{failures}");
            assert!(delays.iter().any(|delay| *delay < longest / 2), "{failures}");
        }
    }

    #[test]
    fn the_budget_counts_failures() {
        let at = chrono::DateTime::UNIX_EPOCH;
        let retry = Retry { max_attempts: 2, ..Retry::default() };
        let once = WorkItem::new("1").start("a", at).fail("exit 7");
        assert!(retry.should_retry(&once, Cause::Exit(7)));
        let twice = once.retry().start("a", at).fail("exit 7");
        assert!(!retry.should_retry(&twice, Cause::Exit(7)));
        let hung = |retry: &Retry, cause| {
            retry.should_retry(&WorkItem::new("1").start("a", at).fail("it hung"), cause)
        };
        let timed_out = Cause::timed_out(Duration::from_secs(1));
        let only = Retry { on: Some(vec![Worth::Timeout, Worth::Exit(Some(75))]), ..retry.clone() };
        for (cause, expected) in [
            (timed_out, true),
            (Cause::Exit(75), true),
            (Cause::Exit(7), false),
            (Cause::Signal(9), false),
            (Cause::NotStarted, false),
            (Cause::Stranded, true),
        ] {
            assert_eq!(hung(&only, cause), expected, "{cause}");
            assert!(hung(&retry, cause), "{cause}");
        }

        let crashed = WorkItem::new("1").start("a", at).fail("crashed");
        assert!(!retry.should_retry(&crashed, Cause::CrashLimit { crashes: 11 }));
    }

    #[test]
    fn what_is_worth_another_attempt_is_read_as_it_is_written() {
        for text in ["timeout", "exit", "exit:75", "signal", "signal:9", "start", "error", "panic"] {
            assert_eq!(text.parse::<Worth>().map(|worth| worth.to_string()).as_deref(), Ok(text));
        }
        for text in ["", "exits", "exit:", "exit:0", "exit:256", "signal:-1", "signal:KILL", "timeout:1"] {
            assert!(text.parse::<Worth>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_kind_of_failure_covers_its_own_and_no_other() {
        let causes = [
            Cause::timed_out(Duration::from_secs(1)),
            Cause::Exit(75),
            Cause::Signal(9),
            Cause::NotStarted,
            Cause::Error,
            Cause::Panic,
            Cause::Stopped,
        ];
        let covered = |worth: Worth| causes.iter().filter(|cause| worth.covers(**cause)).count();
        for text in ["timeout", "exit", "exit:75", "signal", "signal:9", "start", "error", "panic"] {
            assert_eq!(covered(text.parse().unwrap()), 1, "{text}");
        }
        assert_eq!([covered(Worth::Exit(Some(7))), covered(Worth::Signal(Some(15)))], [0, 0]);
    }
}
