//! What `cargo xtask bench orchestrator` starts and times beside `workitem`, as a program of its own, so that what it
//! takes of the processor and of memory can be told. Each command prints one line of JSON.
//!
//! - `spawn`: the least that any tool must do to run a command many times;
//! - `closures`: a job with a closure that does nothing;
//! - `rows`: what that job wrote, written again by bare SQLite, in the same groups;
//! - `groups`: in how many groups a job's items were claimed.

mod closures;
mod rows;
mod spawn;

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;

#[derive(Parser)]
enum Load {
    /// Run `/bin/true` over and over in two threads.
    Spawn {
        /// How many times.
        items: usize,
    },
    /// Make a job in a new store and run it with a closure that does nothing, two at a time.
    Closures {
        /// Items of the job.
        items: usize,
        /// Where the store is made.
        store: PathBuf,
    },
    /// Write the rows that a job of `closures` wrote into another store, by SQLite alone, and compare the two.
    Rows {
        /// The store of `closures`.
        from: PathBuf,
        /// Where another store is made.
        to: PathBuf,
    },
    /// Count the groups in which a store's items were claimed.
    Groups {
        /// The store.
        store: PathBuf,
    },
}

fn main() -> Result<()> {
    let said = match Load::parse() {
        Load::Spawn { items } => spawn::spawn(items)?,
        Load::Closures { items, store } => closures::closures(items, &store)?,
        Load::Rows { from, to } => rows::rows(&from, &to)?,
        Load::Groups { store } => rows::groups(&store)?,
    };
    println!("{said}");
    Ok(())
}
