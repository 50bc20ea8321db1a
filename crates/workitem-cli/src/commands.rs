//! The commands, a file for each family.

mod config;
mod dlq;
mod gc;
mod inspect;
mod map;
mod meta;
mod output;
mod watch;

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use workitem_sqlite::SqliteStore;
use workitem_store::{Control, Job, Store};

use crate::args::{Cli, Command};
use crate::config::Config;
use crate::error::Error;
use crate::exit::Exit;
use crate::text::quoted;

/// Where a store is unless said otherwise.
const DEFAULT_STORE: &str = ".workitem/workitem.db";

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
        Command::Config { json } => config::config(&place, &config, json),
        Command::Verify { job, json } => inspect::verify(&*place.open()?, &job, json),
        Command::Machine { format } => meta::machine(format),
        Command::Completions { shell } => meta::completions(shell),
        Command::Man => meta::man(),
    }
}

/// Where the store is.
pub struct Place {
    path: PathBuf,
    /// Who says so.
    said_by: SaidBy,
    /// Where it would be if no flag said so.
    implied: PathBuf,
}

/// Who says something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaidBy {
    Flag,
    Environment,
    File,
    Nobody,
}

impl Place {
    fn new(by_flag: Option<PathBuf>, by_env: Option<PathBuf>, config: &Config, config_by_flag: bool) -> Self {
        let by_env = by_env.or_else(|| std::env::var_os("WORKITEM_STORE").map(PathBuf::from));
        let by_file = config.store.clone();
        let said =
            [(by_flag, SaidBy::Flag), (by_env.clone(), SaidBy::Environment), (by_file.clone(), SaidBy::File)];
        let said = said.into_iter().find_map(|(path, said_by)| Some((path?, said_by)));
        let (path, said_by) = said.unwrap_or_else(|| (DEFAULT_STORE.into(), SaidBy::Nobody));
        // A file that a flag has named is not named by the next command.
        let implied = by_env.or(by_file.filter(|_| !config_by_flag)).unwrap_or_else(|| DEFAULT_STORE.into());
        Self { path, said_by, implied }
    }

    /// The store, which must be there.
    fn open(&self) -> Result<Arc<dyn Store>, Error> {
        Ok(Arc::new(SqliteStore::open(&self.path)?))
    }

    /// The store, made if it is not there.
    fn create(&self) -> Result<Arc<dyn Store>, Error> {
        Ok(Arc::new(SqliteStore::create(&self.path)?))
    }

    /// What a suggested command needs to find the same store.
    fn flag(&self) -> String {
        if self.path == self.implied {
            String::new()
        } else {
            format!(" --store {}", quoted(&self.path.to_string_lossy()))
        }
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
