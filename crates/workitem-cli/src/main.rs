//! `workitem`: run a command over thousands of items; never lose one, never record one twice.
//!
//! This crate parses, prints and chooses exit codes. It holds no rule of when an item may change and none
//! of how it is run: those are the machine's and the orchestrator's.

mod args;
mod commands;
mod durations;
mod error;
mod exit;
mod input;
mod printer;
mod report;
mod signals;
mod spec;
mod submit;
mod text;
mod views;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match commands::execute(args::Cli::parse()) {
        Ok(exit) => exit.into(),
        Err(error) => {
            eprintln!("workitem: {error}");
            error.exit.into()
        }
    }
}
