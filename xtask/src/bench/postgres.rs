//! `cargo xtask bench postgres`: what a job costs on PostgreSQL, beside the bare statements and other people's queues, in
//! one run.
//!
//! - `contest` — 100,000 closures that do nothing, by one worker and by four, in a small job and ahead of a million items;
//! - `fleet` — what workers cost that have nothing to do;
//! - `page` — the tables and the targets, as `docs/postgres-benchmarks.md` has them.
//!
//! Each contender has a new server in each round, and the contenders take turns; what is compared is the median of the
//! rounds, as a ratio.

mod contest;
mod fleet;
mod page;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::Value;
use workitem_pgtest::Server;

use crate::cargo;
use crate::tools::{Package, debian, target};

/// Where the page is, below the workspace.
const PAGE: &str = "docs/postgres-benchmarks.md";

const BUILDERS: &[Package] = &[Package { program: "cc", names: &["gcc", "libc6-dev"] }];

#[derive(Args)]
pub struct Options {
    /// Items that are done.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1_000..))]
    items: u32,
    /// Items more that are pending behind them, where there is a backlog.
    #[arg(long, default_value_t = 1_000_000)]
    backlog: u32,
    /// How often each contender has its turn.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Workers that have nothing to do.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    idle: u32,
    /// Leave out other people's queues, which take minutes to build; the page says so.
    #[arg(long)]
    no_peers: bool,
}

/// The programs that are measured, and how much they are given to do.
struct Bench {
    workitem: PathBuf,
    load: PathBuf,
    /// Or why it could not be built.
    apalis: Result<PathBuf, String>,
    graphile: Result<PathBuf, String>,
    items: usize,
    backlog: usize,
    rounds: usize,
    idle: usize,
}

/// Everything that was measured.
struct Report {
    rounds: usize,
    items: usize,
    backlog: usize,
    contest: contest::Contest,
    idle: fleet::Idle,
    /// Seconds from a cancellation to the end of a run on other connections: the median, and the most.
    cancel: (f64, f64),
    /// How the server calls itself.
    server: String,
    /// How many programs wanted a core when the run ended, over a quarter of an hour.
    load: f64,
}

pub fn run(root: &Path, options: &Options) -> Result<()> {
    let bench = Bench::build(root, options)?;
    let contest = contest::measure(&bench)?;
    let idle = fleet::measure(&bench)?;
    let cancel = fleet::cancel(&bench)?;
    let Bench { rounds, items, backlog, .. } = bench;
    let server = version()?;
    let page =
        page::markdown(&Report { rounds, items, backlog, contest, idle, cancel, server, load: load()? })?;
    print!("{page}");
    fs::write(root.join(PAGE), page).with_context(|| format!("cannot write {PAGE}"))
}

impl Bench {
    fn build(root: &Path, options: &Options) -> Result<Self> {
        debian(BUILDERS)?;
        let ours = ["build", "--release", "--package", "workitem-cli", "--package", "workitem-pgload"];
        ensure!(cargo(root).args(ours).status()?.success(), "the release build failed");
        let built = target(root).join("release");
        let peer = |name| {
            if options.no_peers {
                Err("it was left out of this run".to_owned())
            } else {
                build_peer(root, name)
            }
        };
        Ok(Self {
            workitem: built.join("workitem"),
            load: built.join("workitem-pgload"),
            apalis: peer("workitem-peer-apalis-postgres"),
            graphile: peer("workitem-peer-graphile"),
            items: options.items as usize,
            backlog: options.backlog as usize,
            rounds: options.rounds as usize,
            idle: options.idle as usize,
        })
    }

    /// What the program says that measures.
    fn load(&self, arguments: &[&str]) -> Result<Value> {
        said(Command::new(&self.load).args(arguments))
    }
}

/// The program of a peer, or the error with which its build ended.
fn build_peer(root: &Path, name: &str) -> Result<PathBuf, String> {
    let peers = target(root).join("peers");
    let mut build = cargo(root);
    build.args(["build", "--release", "--locked", "--manifest-path", "peers/Cargo.toml", "--package", name]);
    let output = build.env("CARGO_TARGET_DIR", &peers).output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(peers.join("release").join(name));
    }
    let told = String::from_utf8_lossy(&output.stderr);
    let error = told.lines().find(|line| line.starts_with("error"));
    Err(error.unwrap_or("its build failed").to_owned())
}

/// The line of JSON that a program prints, which must end well.
fn said(command: &mut Command) -> Result<Value> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} ended with {}: {told}", output.status);
    serde_json::from_slice(&output.stdout).with_context(|| format!("{command:?} does not print JSON"))
}

/// A server of its own, with its defaults.
fn server(settings: &[&str]) -> Result<Server> {
    Server::start(settings).context("cannot start PostgreSQL")
}

fn version() -> Result<String> {
    let server = server(&[])?;
    let data = server.folder().context("it is ours")?.join("data/PG_VERSION");
    Ok(format!("PostgreSQL {}", fs::read_to_string(data)?.trim()))
}

/// The third of the system's load averages.
fn load() -> Result<f64> {
    let text = fs::read_to_string("/proc/loadavg")?;
    text.split(' ').nth(2).and_then(|load| load.parse().ok()).context("/proc/loadavg is not as it should be")
}

fn number(said: &Value, name: &str) -> Result<f64> {
    said[name].as_f64().with_context(|| format!("it does not say {name}: {said}"))
}

fn median(mut found: Vec<f64>) -> f64 {
    found.sort_by(f64::total_cmp);
    found.get(found.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_program_says_is_read_and_what_it_does_not_say_is_an_error() {
        let echo = said(Command::new("echo").arg(r#"{"seconds":0.5}"#)).unwrap();
        assert!((number(&echo, "seconds").unwrap() - 0.5).abs() < 1e-9);
        assert!(number(&json!({}), "seconds").is_err());
        assert!(said(&mut Command::new("false")).is_err() && said(Command::new("echo").arg("-")).is_err());
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
    }
}
