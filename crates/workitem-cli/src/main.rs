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
        let _ = writeln!(std::io::stderr(), $($what)*);
    }};
}

mod args;
mod commands;
mod durations;
mod error;
mod exit;
mod input;
mod letters;
mod log;
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

use clap::Parser;

fn main() -> ExitCode {
    let cli = args::Cli::parse();
    let json = cli.command.tells_json();
    match log::start(cli.verbose, json).and_then(|()| commands::execute(cli)) {
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
