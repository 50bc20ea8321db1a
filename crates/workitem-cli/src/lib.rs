//! `workitem`: run a command over thousands of items; never lose one, never record one twice.
//!
//! ```text
//! find src -name '*.rs' | workitem map --job census -j 8 -- wc -l {}
//! workitem resume census
//! ```
//!
//! `workitem --help` lists the commands. Exit codes, JSON and limits are in docs/cli.md, and docs/first-job.md is a way in.
//!
//! This crate parses, prints and chooses exit codes. It holds no rule of when an item may change and none
//! of how it is run: those are the machine's and the orchestrator's.

/// Says something on standard error. Nobody needs to listen: the work goes on when the listener is gone.
macro_rules! tell {
    ($($what:tt)*) => {{
        use std::io::Write as _;
        // In one piece: standard error is not buffered, so that a line in several could be cut off within, or be mixed
        // with those of others.
        let mut line = format!($($what)*);
        line.push('\n');
        let _ = std::io::stderr().write_all(line.as_bytes());
    }};
}

mod args;
mod commands;
mod config;
#[cfg(any(test, fuzzing))]
pub mod doors;
mod durations;
mod error;
mod exit;
mod input;
mod letters;
mod log;
mod metrics;
mod place;
mod printer;
mod report;
mod signals;
mod signature;
mod spec;
mod submit;
mod text;
mod values;
mod views;

use std::process::ExitCode;

use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches};

/// The program: reads the arguments of its process, does what they say, and has the exit code.
pub fn main() -> ExitCode {
    signals::outlive_file_limits();
    let matches = args::Cli::command().get_matches();
    let cli = args::Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let (json, verbose) = (cli.command.tells_json(), cli.verbose);
    let by_flag = |option: &str| matches.value_source(option) == Some(ValueSource::CommandLine);
    let execute = |()| commands::execute(cli, by_flag("store"), by_flag("config"));
    match log::start(verbose, json).and_then(execute) {
        Ok(exit) => exit.into(),
        // A reader that has seen enough, such as `head`, ends the program without a word.
        Err(error) if error.is_unread() => exit::Exit::Ok.into(),
        Err(error) => {
            if json {
                tell!("{}", error.to_json());
            } else {
                tell!("workitem: {error}");
            }
            error.exit.into()
        }
    }
}
