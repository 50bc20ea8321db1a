//! `cargo xtask bench orchestrator`: what a job costs, beside what people use now, in one run.
//!
//! - `commands` — a command over and over: `workitem map`, `xargs`, GNU `parallel`, and bare spawning;
//! - `closures` — a closure over and over: ours, the same rows by bare SQLite, and apalis-sqlite;
//! - `million` — a million items: memory, intake, `status`, and `resume` after `kill -9`;
//! - `idle` — what waiting for a slow agent takes;
//! - `audit` — nothing is bought by doing less: what is looked at after each run;
//! - `spent` — what a program took of time, processor and memory;
//! - `page` — the tables and the targets, as `docs/job-benchmarks.md` has them.
//!
//! The tools take turns, so that a machine's mood meets all of them; what is compared is the median of the rounds, as a
//! ratio.

mod audit;
mod closures;
mod commands;
mod idle;
mod million;
mod page;
mod spent;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::cargo;
use crate::tools::{Package, debian, target};

/// Where the page is, below the workspace.
const PAGE: &str = "docs/job-benchmarks.md";

const RIVALS: &[Package] = &[
    Package { program: "xargs", names: &["findutils"] },
    Package { program: "parallel", names: &["parallel"] },
    Package { program: "strace", names: &["strace"] },
];

#[derive(Args)]
pub struct Options {
    /// How many times to run `/bin/true`.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(100..))]
    items: u32,
    /// How often each tool has its turn.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Only the commands; print, and write nothing.
    #[arg(long)]
    only_commands: bool,
}

/// The programs that are measured, and where they may write: on the disk on which builds are.
struct Bench {
    workitem: PathBuf,
    load: PathBuf,
    apalis: PathBuf,
    scratch: tempfile::TempDir,
    items: usize,
    rounds: usize,
}

/// Everything that was measured.
struct Report {
    commands: commands::Commands,
    closures: closures::Closures,
    million: million::Million,
    idle: idle::Idle,
}

pub fn run(root: &Path, options: &Options) -> Result<()> {
    debian(RIVALS)?;
    let bench = Bench::build(root, options)?;
    let commands = commands::measure(&bench)?;
    if options.only_commands {
        print!("{}", page::commands(&commands)?);
        return Ok(());
    }
    let closures = closures::measure(&bench)?;
    let million = million::measure(&bench)?;
    let idle = idle::measure(&bench)?;
    let page = page::markdown(&Report { commands, closures, million, idle })?;
    print!("{page}");
    fs::write(root.join(PAGE), page).with_context(|| format!("cannot write {PAGE}"))
}

impl Bench {
    fn build(root: &Path, options: &Options) -> Result<Self> {
        let ours = ["build", "--release", "--package", "workitem-cli", "--package", "workitem-load"];
        ensure!(cargo(root).args(ours).status()?.success(), "the release build failed");
        let peers = target(root).join("peers");
        if !options.only_commands {
            let mut build = cargo(root);
            build.args(["build", "--release", "--locked", "--manifest-path", "peers/Cargo.toml"]);
            build.args(["--package", "workitem-peer-apalis"]).env("CARGO_TARGET_DIR", &peers);
            ensure!(build.status()?.success(), "building apalis-sqlite failed");
        }
        let built = target(root).join("release");
        Ok(Self {
            workitem: built.join("workitem"),
            load: built.join("workitem-load"),
            apalis: peers.join("release/workitem-peer-apalis"),
            scratch: tempfile::tempdir_in(&built)?,
            items: options.items as usize,
            rounds: options.rounds as usize,
        })
    }

    /// A folder that nobody has used, for one run.
    fn folder(&self) -> Result<tempfile::TempDir> {
        Ok(tempfile::tempdir_in(&self.scratch)?)
    }
}

/// Numbers from 1, a line each.
fn lines(items: usize) -> String {
    (1..=items).map(|n| n.to_string() + "\n").collect()
}

fn median(mut found: Vec<f64>) -> f64 {
    found.sort_by(f64::total_cmp);
    found[found.len() / 2]
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_median_is_in_the_middle() {
        assert!((super::median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert_eq!(super::lines(3), "1\n2\n3\n");
    }
}
