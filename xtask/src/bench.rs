//! `cargo xtask bench`: what the machines cost, and what a job costs.
//!
//! - `machine` — instructions, allocations, time and size of every machine, ours, by hand and other people's;
//! - `measure` — runs the benchmarks and reads what they say;
//! - `cold` — what a first `cargo check` costs;
//! - `page` — the tables and the targets, as `docs/benchmarks.md` has them;
//! - `baseline` — the instructions of our own rows, held against those that were written down;
//! - `orchestrator` — a job, beside `xargs`, GNU `parallel`, bare SQLite and apalis-sqlite;
//! - `postgres` — a job on PostgreSQL, beside bare statements, apalis-postgres and `graphile_worker`.

pub mod baseline;
mod cold;
mod machine;
mod measure;
mod orchestrator;
pub mod page;
mod postgres;

use std::path::Path;

use anyhow::Result;
use clap::{Args, Subcommand};

/// What to measure; the machines, if nothing is said.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Bench {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    machine: Machine,
}

#[derive(Subcommand)]
enum What {
    /// Measure every machine, ours beside those of others, and write docs/benchmarks.md.
    Machine(Machine),
    /// Measure what a job costs, beside what people use now, and write docs/job-benchmarks.md.
    Orchestrator(orchestrator::Options),
    /// Measure what a job costs on PostgreSQL, beside bare statements and other queues, and write
    /// docs/postgres-benchmarks.md.
    Postgres(postgres::Options),
}

#[derive(Args)]
struct Machine {
    /// Leave out other people's machines, which take minutes to build; print, and write nothing.
    #[arg(long)]
    no_peers: bool,
    /// Only hold the instructions of our own rows against the baseline; fail if one has become dearer.
    #[arg(long, conflicts_with = "no_peers")]
    check: bool,
    /// Only write down the instructions of our own rows as the new baseline.
    #[arg(long, conflicts_with_all = ["no_peers", "check"])]
    bless: bool,
}

pub fn run(root: &Path, bench: &Bench) -> Result<()> {
    match &bench.what {
        Some(What::Orchestrator(options)) => orchestrator::run(root, options),
        Some(What::Postgres(options)) => postgres::run(root, options),
        Some(What::Machine(machine)) => run_machine(root, machine),
        None => run_machine(root, &bench.machine),
    }
}

fn run_machine(root: &Path, machine: &Machine) -> Result<()> {
    match machine {
        Machine { check: true, .. } => baseline::check(root),
        Machine { bless: true, .. } => baseline::bless(root),
        Machine { no_peers, .. } => machine::run(root, !no_peers),
    }
}
