//! What `cargo xtask bench postgres` starts and times: workers of a job on PostgreSQL, each a program of its own, and
//! beside them programs that send the same statements without them. Each command prints one line of JSON. An address is a
//! server's, without options of ours: the store is in the schema `workitem`.
//!
//! - `submit`: a job of so many items;
//! - `work`: one worker, whose agent is a closure that does nothing;
//! - `plan`: in which transactions workers have done a job;
//! - `bare`: what one of them sent, sent again by the driver alone;
//! - `audit`: whether every item is what it should be;
//! - `counts`, `cancel`, `stats`: how long the first two take, and what the server says of itself.
//!
//! `work` and `bare` say `ready` and wait for a line, so that several begin together.

mod bare;
mod job;
mod plan;
#[cfg(test)]
mod rights;
mod server;

use std::io::{self, BufRead, Write};
use std::time::{Duration, SystemTime};

use anyhow::{Result, ensure};
use clap::Parser;

#[derive(Parser)]
enum Load {
    /// Make a job of so many items, and the store if there is none.
    Submit {
        /// The server.
        url: String,
        /// The job's name.
        job: String,
        /// Its items.
        items: usize,
    },
    /// Work on a job beside others, with a closure that does nothing.
    Work {
        /// The server.
        url: String,
        /// The job's name.
        job: String,
        /// Stop once so many items of the job are completed; without it, when nothing is left.
        #[arg(long)]
        until: Option<usize>,
    },
    /// Say in which transactions each worker claimed and recorded the items of a job.
    Plan {
        /// The server.
        url: String,
        /// The job's name.
        job: String,
    },
    /// Do what one worker of a plan did, by the driver alone. The plan is the first line of the input.
    Bare {
        /// The server.
        url: String,
        /// The job's name.
        job: String,
        /// Which worker of the plan.
        worker: usize,
    },
    /// See that so many items are completed and all others pending, and replay the history.
    Audit {
        /// The server.
        url: String,
        /// The job's name.
        job: String,
        /// Items that must be completed.
        completed: usize,
    },
    /// Time how long the counts of a job take.
    Counts {
        /// The server.
        url: String,
        /// The job's name.
        job: String,
    },
    /// Time how long it takes from a cancellation on one connection to the end of a run on others.
    Cancel {
        /// The server.
        url: String,
    },
    /// Say what the server has counted so far.
    Stats {
        /// The server.
        url: String,
    },
}

fn main() -> Result<()> {
    let said = match Load::parse() {
        Load::Submit { url, job, items } => job::submit(&url, &job, items)?,
        Load::Work { url, job, until } => job::work(&url, &job, until, barrier)?,
        Load::Plan { url, job } => plan::plan(&url, &job)?,
        Load::Bare { url, job, worker } => bare::bare(&url, &job, &line()?, worker, barrier)?,
        Load::Audit { url, job, completed } => job::audit(&url, &job, completed)?,
        Load::Counts { url, job } => server::counts(&url, &job)?,
        Load::Cancel { url } => server::cancel(&url)?,
        Load::Stats { url } => server::stats(&url)?,
    };
    println!("{said}");
    Ok(())
}

/// Says that this could begin, and waits until it may.
fn barrier() -> Result<()> {
    println!("ready");
    io::stdout().flush()?;
    line().map(drop)
}

fn line() -> Result<String> {
    let mut line = String::new();
    ensure!(io::stdin().lock().read_line(&mut line)? > 0, "the input has ended");
    Ok(line)
}

/// Seconds since 1970: processes of one machine have the same.
fn clock() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64()
}
