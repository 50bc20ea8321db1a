//! The clock is set while a job runs, an hour back and a year ahead; and whoever works on it is stopped for a while: the
//! orchestrator, an agent, what an agent has started.
//!
//! Nothing may wait for what a clock says that was set: a backoff stays as long as it was, a timeout is no longer and no
//! shorter, a rate is kept. Agents see the true time.

mod clock;
mod jumps;
mod stops;

use anyhow::Result;

use crate::Report;
use crate::stage::{self, Options, Scene};

const WHAT: &str = "The time of day is set for the program alone, by a library that is preloaded; agents see the true one. \
                    What goes on for more than two minutes counts as waiting for it.";

const SCENES: &[Scene] = &[
    Scene {
        name: "backoff",
        what: "items fail and wait for their next attempts; the clock goes back an hour and ahead a year, again and again",
        play: jumps::backoff,
    },
    Scene {
        name: "left-waiting",
        what: "a run is killed while items wait by a clock that is a year ahead, or was set back since; `resume`",
        play: jumps::left_waiting,
    },
    Scene {
        name: "timeout",
        what: "agents that have time enough when the clock goes ahead, and that hang when it goes back",
        play: jumps::timeout,
    },
    Scene {
        name: "rate",
        what: "a rate is kept, and nothing waits, whatever the clock does",
        play: jumps::rate,
    },
    Scene {
        name: "control",
        what: "`pause`, `unpause`, SIGTERM with `--drain`, with a clock that is set in between",
        play: jumps::control,
    },
    Scene {
        name: "lookers",
        what: "every command that shows a time or counts by it, at a clock before and after all that has happened; `gc`",
        play: jumps::lookers,
    },
    Scene {
        name: "stopped",
        what: "SIGSTOP of the orchestrator while its agents go on and others want to run its job, then SIGCONT",
        play: stops::orchestrator,
    },
    Scene {
        name: "suspended",
        what: "agents, and what they have started, that stop themselves; their time is up all the same",
        play: stops::agents,
    },
];

/// Plays all scenes.
///
/// # Errors
///
/// If something cannot be started or looked at. What is found is no error but a part of the report.
pub fn run(options: &Options) -> Result<Report> {
    stage::run("time", WHAT, SCENES, options)
}
