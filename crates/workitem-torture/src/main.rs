//! `workitem-torture NAME`: one torture, with progress on standard error and its report as the last line it prints.
//! It exits with 1 if it found something. `cargo xtask torture NAME` builds it, beside the program that it drives.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use workitem_torture::Report;
use workitem_torture::checker::{Moment, check};

#[derive(Parser)]
enum Torture {
    /// Only ask the checker about a store, such as one that a torture has left behind.
    Check {
        /// The store's file. Nobody may be using it.
        store: PathBuf,
    },
}

fn main() -> Result<ExitCode> {
    let report = match Torture::parse() {
        Torture::Check { store } => look(&store)?,
    };
    println!("{report}");
    Ok(if report.found == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn look(store: &std::path::Path) -> Result<Report> {
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
