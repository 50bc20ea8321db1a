//! The commands, a file for each family.

mod config;
mod dlq;
mod doctor;
mod gc;
mod inspect;
mod map;
mod meta;
mod output;
mod watch;
mod worker;

use std::io::Write;

use workitem_store::{Control, Job, Store};

use crate::args::{Cli, Command};
use crate::config::Config;
use crate::error::Error;
use crate::exit::Exit;
pub use crate::place::{Place, SaidBy};

/// Carries out a command line.
///
/// Whether store and config file were named by flags, and not by the environment, says what a suggested command has to
/// name.
pub fn execute(cli: Cli, store_by_flag: bool, config_by_flag: bool) -> Result<Exit, Error> {
    let Cli { mut command, store, config, verbose: _ } = cli;
    let config = if command.is_about_itself() { Config::default() } else { Config::load(config.as_deref())? };
    if config.run.quiet {
        command.hush();
    }
    let (by_flag, by_env) = if store_by_flag { (store, None) } else { (None, store) };
    let place = Place::new(by_flag, by_env, &config, config_by_flag);
    match command {
        Command::Map(args) => map::map(&place, &args, &config.run),
        Command::Resume { job, run } => map::resume(&place, job.as_deref(), &run),
        Command::Worker(args) => worker::worker(&place, &args),
        Command::Add { job, from, quiet } => map::add(&place, &job, &from, quiet),
        Command::Pause { job } => map::control(&place, &job, Control::Pause),
        Command::Unpause { job } => map::control(&place, &job, Control::Run),
        Command::Cancel { job } => map::control(&place, &job, Control::Cancel),
        Command::Watch { job, json } => watch::watch(&*place.open()?, job.as_deref(), json),
        Command::Status { job, json } => inspect::status(&*place.open()?, job.as_deref(), json),
        Command::Jobs { json } => inspect::jobs(&*place.open()?, json),
        Command::Items { job, state, skipped, json } => {
            inspect::items(&*place.open()?, &job, state, skipped, json)
        }
        Command::History { job, item, json } => inspect::history(&*place.open()?, &job, &item.into(), json),
        Command::Output { job } => output::output(&*place.open()?, &job),
        Command::Logs { job, item } => output::logs(&*place.open()?, &job, &item.into()),
        Command::Dlq(command) => dlq::dlq(&place, command),
        Command::Gc(args) => gc::gc(&place, &args),
        Command::Doctor { json } => doctor::doctor(&*place.open()?, json),
        Command::Config { json } => config::config(&place, &config, json),
        Command::Verify { job, json } => inspect::verify(&*place.open()?, &job, json),
        Command::Machine { format } => meta::machine(format),
        Command::Completions { shell } => meta::completions(shell),
        Command::Man => meta::man(),
    }
}

/// The job of that name, or the last one.
fn job_or_last(store: &dyn Store, name: Option<&str>) -> Result<Job, Error> {
    match name {
        Some(name) => Ok(store.job(name)?),
        None => store.jobs()?.pop().ok_or_else(|| {
            Error::usage(format!("there is no job in store {}", store.name()))
                .next("`workitem map` makes one")
        }),
    }
}

/// Writes lines to standard output.
fn print_lines(lines: impl IntoIterator<Item = Result<String, Error>>) -> Result<(), Error> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for line in lines {
        written(writeln!(out, "{}", line?))?;
    }
    written(out.flush())
}

fn written(written: std::io::Result<()>) -> Result<(), Error> {
    written.map_err(|error| Error::output(&error))
}

fn print_line(line: impl Into<String>) -> Result<(), Error> {
    print_lines([Ok(line.into())])
}
