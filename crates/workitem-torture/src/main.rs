//! `workitem-torture NAME`: one torture, with progress on standard error and its report as the last line it prints.
//! It exits with 1 if it found something. `cargo xtask torture NAME` builds it, beside the program that it drives.

mod schedules;
mod simulate;

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Parser};
use workitem_model::Bounds;
use workitem_torture::checker::{Moment, check};
use workitem_torture::scene::Act;
use workitem_torture::{
    Report, agents, damage, errors, fleet, fuzz, kills, model, points, power, soak, stage, time,
};

/// Short jobs that are tried at the same time: they mostly wait.
const AT_ONCE: usize = 4;

#[derive(Parser)]
enum Torture {
    /// Only ask the checker about a store, such as one that a torture has left behind.
    Check {
        /// The store's file. Nobody may be using it.
        store: PathBuf,
    },
    /// `kill -9` at random moments.
    Kills {
        /// Kills, at least.
        #[arg(long, default_value_t = 10_000)]
        kills: u64,
        /// Stores that are in use at the same time; in each are two jobs.
        #[arg(long, default_value_t = 3)]
        stores: u64,
        #[command(flatten)]
        common: Common,
    },
    /// Death at every system call that changes a file.
    Points {
        /// Different jobs.
        #[arg(long, default_value_t = 4)]
        rounds: u64,
        /// Only every so manieth call.
        #[arg(long, default_value_t = 1)]
        every: u64,
        #[command(flatten)]
        common: Common,
    },
    /// Calls that fail, full disks, limits.
    Errors {
        /// Only every so manieth call fails.
        #[arg(long, default_value_t = 1)]
        every: u64,
        #[command(flatten)]
        scenes: Scenes,
    },
    /// Power lost at random moments, and with it what was not synced.
    PowerLoss {
        /// How often it is lost.
        #[arg(long, default_value_t = 10_000)]
        losses: u64,
        /// Lose it in what was recorded before, and was left behind when something was found.
        #[arg(long, value_name = "FOLDER")]
        recording: Option<PathBuf>,
        #[command(flatten)]
        common: Common,
    },
    /// Bytes that look for a way in where data is read; `cargo xtask torture fuzz` builds what tries them.
    Fuzz {
        /// How long, all in all.
        #[arg(long, default_value_t = 600)]
        seconds: u64,
        /// Where random choices begin.
        #[arg(long)]
        seed: Option<u64>,
        /// What to begin with, a folder for each door.
        #[arg(long, default_value = "fuzz/corpus")]
        corpus: PathBuf,
        /// The program that tries them.
        #[arg(long)]
        fuzzer: PathBuf,
    },
    /// Files with bits flipped, sectors wiped, ends cut off.
    Damage {
        /// Stores that are damaged.
        #[arg(long, default_value_t = 5_000)]
        stores: u64,
        #[command(flatten)]
        common: Common,
    },
    /// The orchestrator on virtual time, in a world where everything fails.
    Simulate(simulate::Simulate),
    /// The orchestrator's threads, in any order in which they may take turns.
    Schedules(schedules::Schedules),
    /// Every order of everything that can go wrong, on a model of the store protocol.
    Model {
        /// Only within these bounds: items, attempts, worker crashes, store crashes, leases that run out, doubled
        /// requests, interruptions. `2,2,1,1,1,1,1` takes long.
        #[arg(long)]
        only: Option<Bounds>,
        /// Taken as by every torture; nothing here is random.
        #[arg(long, hide = true)]
        seed: Option<u64>,
    },
    /// The clock is set; the program and its agents are stopped for a while.
    Time(Scenes),
    /// Hostile agents, and hostile items.
    Agents(Scenes),
    /// Many workers on one PostgreSQL: they die and stop, the server does, the network between them is cut.
    Fleet(Scenes),
    /// A long life of one store.
    Soak {
        /// How long.
        #[arg(long, default_value_t = 60.0)]
        minutes: f64,
        #[command(flatten)]
        common: Common,
    },
}

/// A torture that is a list of scenes.
#[derive(Args)]
struct Scenes {
    /// Only what a run of the tests can afford.
    #[arg(long)]
    share: bool,
    /// How often all scenes are played.
    #[arg(long, default_value_t = 3)]
    rounds: u64,
    /// Only the scene of this name.
    #[arg(long)]
    only: Option<String>,
    #[command(flatten)]
    common: Common,
}

impl Scenes {
    fn options(self) -> Result<stage::Options> {
        let Self { share, rounds, only, common } = self;
        let (program, seed) = (common.program()?, common.seed());
        Ok(stage::Options { program, seed, rounds, is_full: !share, only, folder: common.folder })
    }
}

#[derive(Args)]
struct Common {
    /// Where random choices begin: makes the same plan again.
    #[arg(long)]
    seed: Option<u64>,
    /// Where stores are made; where temporary files are, if nothing is said.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// The program; the one beside this one, if nothing is said.
    #[arg(long)]
    program: Option<PathBuf>,
}

impl Common {
    fn seed(&self) -> u64 {
        // Short enough to be typed.
        self.seed.unwrap_or_else(|| fastrand::u64(..1_000_000))
    }

    fn program(&self) -> Result<PathBuf> {
        match &self.program {
            Some(program) => Ok(program.canonicalize()?),
            None => Ok(env::current_exe()?.with_file_name("workitem")),
        }
    }
}

fn main() -> Result<ExitCode> {
    let report = match Torture::parse() {
        Torture::Check { store } => look(&store)?,
        Torture::Kills { kills, stores, common } => {
            let (program, seed) = (common.program()?, common.seed());
            kills::run(&kills::Options { program, kills, seed, stores, folder: common.folder })?
        }
        Torture::Points { rounds, every, common } => {
            let (program, seed) = (common.program()?, common.seed());
            let (acts, at_once, folder) = (Act::ALL.to_vec(), AT_ONCE, common.folder);
            points::run(&points::Options { program, rounds, every, seed, acts, at_once, folder })?
        }
        Torture::Errors { every, scenes } => {
            let scenes = scenes.options()?;
            errors::run(&errors::Options { scenes, every, at_once: AT_ONCE })?
        }
        Torture::PowerLoss { losses, recording, common } => {
            let (program, seed) = (common.program()?, common.seed());
            let (life, folder) = (power::LIFE, common.folder);
            power::run(&power::Options { program, life, losses, seed, recording, folder })?
        }
        Torture::Fuzz { seconds, seed, corpus, fuzzer } => {
            let seed = seed.unwrap_or_else(|| fastrand::u64(1..1_000_000));
            let found = fuzzer.with_file_name("found");
            fuzz::run(&fuzz::Options { fuzzer, seed, seconds, corpus, found })?
        }
        Torture::Damage { stores, common } => {
            let (program, seed) = (common.program()?, common.seed());
            damage::run(&damage::Options { program, stores, seed, folder: common.folder })?
        }
        Torture::Simulate(arguments) => simulate::run(&arguments)?,
        Torture::Schedules(arguments) => schedules::run(&arguments),
        Torture::Model { only, seed: _ } => {
            model::run(&only.map_or(Bounds::FULL.to_vec(), |only| vec![only]))
        }
        Torture::Time(scenes) => time::run(&scenes.options()?)?,
        Torture::Agents(scenes) => agents::run(&scenes.options()?)?,
        Torture::Fleet(scenes) => fleet::run(&scenes.options()?)?,
        Torture::Soak { minutes, common } => {
            let (program, seed) = (common.program()?, common.seed());
            soak::run(&soak::Options { program, seed, minutes, folder: common.folder })?
        }
    };
    println!("{report}");
    Ok(if report.found == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn look(store: &Path) -> Result<Report> {
    let found = check(store, &BTreeMap::new(), Moment::Cut).context("the store cannot be checked")?;
    for violation in &found {
        eprintln!("{violation}");
    }
    Ok(Report {
        torture: "check".to_owned(),
        ran: 1,
        found: found.len() as u64,
        seed: 0,
        seconds: 0.0,
        text: String::new(),
    })
}
