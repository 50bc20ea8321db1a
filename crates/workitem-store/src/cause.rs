//! Why an event happened: what the error text says to people, as a type.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The cause of a failure or of an interruption. Kept in the history beside the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cause {
    /// The agent's process ended with this exit code, which is not 0.
    Exit(i32),
    /// The agent's process was ended by this signal.
    Signal(i32),
    /// The agent ran longer than it may.
    TimedOut {
        /// How long it may run, in milliseconds.
        limit_ms: u64,
    },
    /// The agent could not be started.
    NotStarted,
    /// A closure agent returned an error.
    Error,
    /// A closure agent panicked.
    Panic,
    /// The orchestrator was told to stop.
    Stopped,
    /// The orchestrator or its host went away while the agent ran.
    Crash,
    /// The item was there at more crashes than it may.
    CrashLimit {
        /// How many it has seen.
        crashes: usize,
    },
    /// A failure that was found without its retry or dead letter.
    Stranded,
}

impl Cause {
    /// A time-out after `limit`.
    pub fn timed_out(limit: Duration) -> Self {
        Self::TimedOut { limit_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX) }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(code) => write!(f, "exit {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
            Self::TimedOut { limit_ms } => write!(f, "timed out after {limit_ms} ms"),
            Self::NotStarted => f.write_str("could not be started"),
            Self::Error => f.write_str("error"),
            Self::Panic => f.write_str("panic"),
            Self::Stopped => f.write_str("stopped"),
            Self::Crash => f.write_str("crash"),
            Self::CrashLimit { crashes } => write!(f, "{crashes} crashes"),
            Self::Stranded => f.write_str("stranded"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_is_told_in_its_own_words() {
        let told = [
            (Cause::Exit(7), "exit 7"),
            (Cause::Signal(9), "signal 9"),
            (Cause::timed_out(Duration::from_secs(2)), "timed out after 2000 ms"),
            (Cause::timed_out(Duration::MAX), "timed out after 18446744073709551615 ms"),
            (Cause::NotStarted, "could not be started"),
            (Cause::Error, "error"),
            (Cause::Panic, "panic"),
            (Cause::Stopped, "stopped"),
            (Cause::Crash, "crash"),
            (Cause::CrashLimit { crashes: 3 }, "3 crashes"),
            (Cause::Stranded, "stranded"),
        ];
        for (cause, words) in told {
            assert_eq!(cause.to_string(), words);
        }
    }
}
