//! Dead letters.

use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};
use workitem_store::{Job, LetterRow, Store, StoreError, engine};
use workitem_types::{ItemId, WorkItemStatus};

use super::map::run_job;
use super::{Place, output, print_line, print_lines};
use crate::args::{DlqCommand, RunArgs};
use crate::error::Error;
use crate::exit::Exit;
use crate::text::{one_line, plural};

/// How often, and how many times, to look whether the process that runs a job takes up its new items.
const LOOK: Duration = Duration::from_millis(200);
const LOOKS: usize = 25;
/// Letters read at a time.
const PAGE: usize = 1_000;

pub fn dlq(place: &Place, command: DlqCommand) -> Result<Exit, Error> {
    let store = place.open()?;
    match command {
        DlqCommand::List { job, json } => list(&*store, &job, json),
        DlqCommand::Show { job, item } => show(&*store, &job, &item.into()),
        DlqCommand::Retry { job, items, no_run, run } => {
            let items: Vec<ItemId> = items.into_iter().map(ItemId::from).collect();
            retry(place, &job, &items, no_run, &run)
        }
    }
}

fn list(store: &dyn Store, name: &str, as_json: bool) -> Result<Exit, Error> {
    let job = store.job(name)?;
    let show =
        |letter: LetterRow| if as_json { letter_json(&letter).to_string() } else { letter_line(&letter) };
    print_lines(Letters::new(store, &job).map(|letter| letter.map(show)))?;
    Ok(Exit::Ok)
}

/// The error a letter died of last: its own, or that of its last successor.
fn error_of(letter: &LetterRow) -> &str {
    let last = letter.successors.iter().rev().chain(std::iter::once(&letter.item));
    let mut errors = last.filter_map(|row| match &row.record.status {
        WorkItemStatus::DeadLettered { error, .. } => Some(error.as_str()),
        WorkItemStatus::Pending
        | WorkItemStatus::InProgress { .. }
        | WorkItemStatus::Completed { .. }
        | WorkItemStatus::Failed { .. } => None,
    });
    errors.next().unwrap_or_default()
}

fn letter_line(letter: &LetterRow) -> String {
    let record = &letter.item.record;
    let attempts = plural(record.attempts, "attempt", "attempts");
    let retried = match (letter.successors.len(), letter.is_alive()) {
        (0, _) => String::new(),
        (_, true) => "\tbeing retried".to_owned(),
        (n, false) => format!("\tretried {n}x"),
    };
    format!("{}\t{attempts}\t{}{retried}", one_line(record.id.as_str(), 100), one_line(error_of(letter), 200))
}

fn letter_json(letter: &LetterRow) -> Value {
    let record = &letter.item.record;
    let successors: Vec<&ItemId> = letter.successors.iter().map(|row| &row.record.id).collect();
    json!({
        "id": record.id,
        "attempts": record.attempts,
        "failures": record.failures,
        "error": error_of(letter),
        "status": record.status,
        "successors": successors,
        "being_retried": letter.is_alive(),
    })
}

fn show(store: &dyn Store, name: &str, id: &ItemId) -> Result<Exit, Error> {
    let job = store.job(name)?;
    let item = store.item(&job, id)?;
    let WorkItemStatus::DeadLettered { .. } = item.record.status else {
        let kind = item.record.status.kind();
        return Err(Error::usage(format!("item `{id}` is no dead letter, it is `{kind}`"))
            .next(format!("`workitem logs {name} {id}` shows any item")));
    };
    print_line(format!("input: {}", store.payload(job.id, item.seq)?.as_json()))?;
    for id in std::iter::once(id.clone()).chain(successors(store, &job, id)?) {
        print_line(format!("item {id}"))?;
        output::logs(store, name, &id)?;
    }
    Ok(Exit::Ok)
}

/// Every item that was submitted anew for a letter, in order.
fn successors(store: &dyn Store, job: &Job, letter: &ItemId) -> Result<Vec<ItemId>, StoreError> {
    let mut successors = Vec::new();
    for n in 1.. {
        match store.item(job, &engine::successor_id(letter, n)) {
            Ok(row) if row.origin.as_ref() == Some(letter) => successors.push(row.record.id),
            // An item of the input has that id.
            Ok(_) => {}
            Err(StoreError::NoItem { .. }) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(successors)
}

fn retry(place: &Place, name: &str, ids: &[ItemId], no_run: bool, run: &RunArgs) -> Result<Exit, Error> {
    let store = place.open()?;
    let job = store.job(name)?;
    let seqs = if ids.is_empty() {
        Letters::new(&*store, &job).map(|letter| Ok(letter?.item.seq)).collect::<Result<Vec<_>, Error>>()?
    } else {
        ids.iter().map(|id| Ok(store.item(&job, id)?.seq)).collect::<Result<Vec<_>, StoreError>>()?
    };
    let made = store.retry_letters(job.id, &seqs)?;
    let others = ids.len().saturating_sub(made.len());
    if run.json {
        tell!("{}", json!({ "event": "retried", "job": name, "items": made, "passed_over": others }));
    } else if !run.quiet {
        if others > 0 {
            let items = plural(others, "item is", "items are");
            tell!("{name}: {items} no open dead letter, or being retried already");
        }
        tell!("{name}: submitted {} anew", plural(made.len(), "dead letter", "dead letters"));
    }
    if no_run {
        return Ok(Exit::Ok);
    }
    // A process that runs the job takes the new items up, unless it is just ending and looks no more.
    for _ in 0..LOOKS {
        match run_job(place, &store, &job, run) {
            Err(error) if error.exit == Exit::Busy => {}
            ran => return ran,
        }
        if taken_up(&*store, &job, &made)? {
            break;
        }
        sleep(LOOK);
    }
    if !run.quiet && !run.json {
        tell!("{name}: the process that runs it takes them up");
    }
    Ok(Exit::Ok)
}

/// Whether somebody has started on one of these items.
fn taken_up(store: &dyn Store, job: &Job, items: &[ItemId]) -> Result<bool, StoreError> {
    let Some(first) = items.first() else { return Ok(true) };
    Ok(store.item(job, first)?.version > 0)
}

/// The open letters of a job, in input order, read in pages.
struct Letters<'a> {
    store: &'a dyn Store,
    job: &'a Job,
    after: u64,
    page: std::vec::IntoIter<LetterRow>,
}

impl<'a> Letters<'a> {
    fn new(store: &'a dyn Store, job: &'a Job) -> Self {
        Self { store, job, after: 0, page: Vec::new().into_iter() }
    }
}

impl Iterator for Letters<'_> {
    type Item = Result<LetterRow, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.len() == 0 {
            match self.store.letters(self.job.id, self.after, PAGE) {
                Ok(page) => self.page = page.into_iter(),
                Err(error) => return Some(Err(error.into())),
            }
        }
        let letter = self.page.next()?;
        self.after = letter.item.seq;
        Some(Ok(letter))
    }
}
