//! Many workers on one PostgreSQL, and what can happen to them: they die, they are stopped, their network is cut; the
//! server dies and comes back, or its standby takes its place, or it gets a schema that they do not know.
//!
//! Whatever it was, in the end every item is settled, nothing that was acknowledged is lost, and nothing is recorded twice.
//! Workers run in processes of their own with a lease of two seconds, and say in their logs what they believe to be
//! durable. `audit` has the server itself watch over leases: an item is taken over only from who has none.

mod audit;
mod crew;
mod deaths;
mod link;
mod network;
mod stops;

use anyhow::Result;

use crate::Report;
use crate::stage::{self, Options, Scene};

const WHAT: &str = "Several workers with a lease of two seconds work on two jobs, whose items fail once, always or never; in \
                    some rounds `map` works with them. What a worker logs as ended, and what `map` prints, counts as \
                    acknowledged, with the attempt that it was. Every start of an agent is compared with the history: the \
                    attempt was that worker's, and durable. A trigger of the server notes each item that is taken over, and \
                    from whom.";

const SCENES: &[Scene] = &[
    Scene {
        name: "workers",
        what: "`kill -9` of workers, and of `map`; new ones come",
        play: deaths::workers,
    },
    Scene {
        name: "postmaster",
        what: "`kill -9` of the server with all of its processes; it comes back after a moment. It was told not to wait for its disk",
        play: deaths::postmaster,
    },
    Scene {
        name: "failover",
        what: "`kill -9` of a primary, whose folder is gone for good; its synchronous standby is promoted",
        play: deaths::failover,
    },
    Scene {
        name: "stopped",
        what: "SIGSTOP of a worker for longer than its lease, while its agents go on, then SIGCONT",
        play: stops::stopped,
    },
    Scene {
        name: "cut",
        what: "workers in network namespaces of their own: the link is down, or packets are lost one way; for ever, until it is noticed, for longer than a lease",
        play: network::cut,
    },
    Scene {
        name: "skew",
        what: "the server gets a schema that is newer than the program, under workers that have it open",
        play: stops::skew,
    },
];

/// What a run of the tests can afford.
const SHARE: [&str; 2] = ["workers", "stopped"];

/// Plays all scenes.
///
/// # Errors
///
/// If something cannot be started or looked at. What is found is no error but a part of the report.
pub fn run(options: &Options) -> Result<Report> {
    let is_wanted = |scene: &&Scene| options.is_full || options.only.is_some() || SHARE.contains(&scene.name);
    let scenes: Vec<Scene> = SCENES.iter().filter(is_wanted).copied().collect();
    stage::run("fleet", WHAT, &scenes, options)
}
