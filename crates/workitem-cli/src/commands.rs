//! The commands, a file for each family.

mod dlq;
mod gc;
mod inspect;
mod map;
mod meta;
mod output;
mod watch;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use workitem_sqlite::SqliteStore;
use workitem_store::{Control, Job, Store};

use crate::args::{Cli, Command};
use crate::error::Error;
use crate::exit::Exit;
use crate::text::quoted;

/// Where a store is unless said otherwise.
const DEFAULT_STORE: &str = ".workitem/workitem.db";

/// Carries out a command line.
pub fn execute(cli: Cli) -> Result<Exit, Error> {
    let place = Place(cli.store);
    match cli.command {
        Command::Map(args) => map::map(&place, &args),
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
        Command::Verify { job, json } => inspect::verify(&*place.open()?, &job, json),
        Command::Machine { format } => meta::machine(format),
        Command::Completions { shell } => meta::completions(shell),
        Command::Man => meta::man(),
    }
}

/// Where the store is.
pub struct Place(PathBuf);

impl Place {
    /// The store, which must be there.
    fn open(&self) -> Result<Arc<dyn Store>, Error> {
        Ok(Arc::new(SqliteStore::open(&self.0)?))
    }

    /// The store, made if it is not there.
    fn create(&self) -> Result<Arc<dyn Store>, Error> {
        Ok(Arc::new(SqliteStore::create(&self.0)?))
    }

    /// What a suggested command needs to find the same store.
    fn flag(&self) -> String {
        let named = std::env::var_os("WORKITEM_STORE").is_some_and(|named| Path::new(&named) == self.0);
        if named || self.0 == Path::new(DEFAULT_STORE) {
            String::new()
        } else {
            format!(" --store {}", quoted(&self.0.to_string_lossy()))
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
