//! Dead letters.

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};
use workitem_store::{Job, LetterRow, Store, StoreError, engine};
use workitem_types::{ItemId, WorkItemStatus};

use super::map::run_job;
use super::{Place, output, print_line, print_lines};
use crate::args::{DlqCommand, LettersArgs, RunArgs};
use crate::error::Error;
use crate::exit::Exit;
use crate::letters::{Letters, error_of, group_json, grouped};
use crate::signature::Group;
use crate::text::{one_line, plural, quoted};

/// How often, and how many times, to look whether the process that runs a job takes up its new items.
const LOOK: Duration = Duration::from_millis(200);
const LOOKS: usize = 25;

pub fn dlq(place: &Place, command: DlqCommand) -> Result<Exit, Error> {
    let store = place.open()?;
    match command {
        DlqCommand::List { job, groups, json } => list(&*store, &job, &groups, json),
        DlqCommand::Groups { job, json } => groups(&*store, &job, json),
        DlqCommand::Show { job, item } => show(&*store, &job, &item.into()),
        DlqCommand::Retry { job, letters, no_run, run } => retry(place, &job, &letters, no_run, &run),
        DlqCommand::Export { job, letters } => export(&*store, &job, &letters),
        DlqCommand::Drop { job, letters, all } => {
            if !all && letters.items.is_empty() && letters.groups.is_empty() {
                return Err(
                    Error::usage("say which dead letters to drop").next("items, --group GROUP, or --all")
                );
            }
            dismiss(&*store, &job, &letters)
        }
    }
}

fn list(store: &dyn Store, name: &str, groups: &[String], as_json: bool) -> Result<Exit, Error> {
    let job = store.job(name)?;
    let wanted = if groups.is_empty() { None } else { Some(of_groups(store, &job, groups)?) };
    let is_wanted = |letter: &Result<LetterRow, Error>| match (letter, &wanted) {
        (Ok(letter), Some(seqs)) => seqs.contains(&letter.item.seq),
        (Ok(_), None) | (Err(_), _) => true,
    };
    let show =
        |letter: LetterRow| if as_json { letter_json(&letter).to_string() } else { letter_line(&letter) };
    print_lines(Letters::new(store, &job).filter(is_wanted).map(|letter| letter.map(show)))?;
    Ok(Exit::Ok)
}

fn groups(store: &dyn Store, name: &str, as_json: bool) -> Result<Exit, Error> {
    let job = store.job(name)?;
    let show = |group: Group| {
        if as_json {
            return group_json(&group).to_string();
        }
        let Group { name, signature, letters, first: (id, _) } = group;
        let letters = plural(letters.len(), "letter", "letters");
        format!("{name}\t{letters}\t{}\tfirst: {}", one_line(&signature, 120), one_line(id.as_str(), 60))
    };
    print_lines(grouped(store, &job, usize::MAX)?.into_iter().map(|group| Ok(show(group))))?;
    Ok(Exit::Ok)
}

/// The letters of these groups, in input order.
fn of_groups(store: &dyn Store, job: &Job, wanted: &[String]) -> Result<BTreeSet<u64>, Error> {
    let groups = grouped(store, job, usize::MAX)?;
    let mut seqs = BTreeSet::new();
    for name in wanted {
        let found = groups.iter().find(|group| group.name == *name).ok_or_else(|| {
            Error::usage(format!("job `{}` has no open dead letters in a group `{name}`", job.name))
                .next(format!("`workitem dlq groups {}` lists the groups", quoted(&job.name)))
        })?;
        seqs.extend(&found.letters);
    }
    Ok(seqs)
}

/// The letters that are meant, by their positions in input order.
fn selected(store: &dyn Store, job: &Job, which: &LettersArgs) -> Result<BTreeSet<u64>, Error> {
    if which.items.is_empty() && which.groups.is_empty() {
        return Letters::new(store, job).map(|letter| Ok(letter?.item.seq)).collect();
    }
    let mut seqs = of_groups(store, job, &which.groups)?;
    for id in &which.items {
        seqs.insert(store.item(job, &id.as_str().into())?.seq);
    }
    Ok(seqs)
}

fn export(store: &dyn Store, name: &str, which: &LettersArgs) -> Result<Exit, Error> {
    let job = store.job(name)?;
    let seqs = selected(store, &job, which)?;
    let open = Letters::new(store, &job)
        .filter(|letter| letter.as_ref().map_or(true, |letter| seqs.contains(&letter.item.seq)));
    print_lines(open.map(|letter| Ok(store.payload(job.id, letter?.item.seq)?.as_json().to_owned())))?;
    Ok(Exit::Ok)
}

fn dismiss(store: &dyn Store, name: &str, which: &LettersArgs) -> Result<Exit, Error> {
    let job = store.job(name)?;
    let seqs: Vec<u64> = selected(store, &job, which)?.into_iter().collect();
    let dropped = store.drop_letters(job.id, &seqs)?;
    let others = seqs.len() - dropped;
    if others > 0 {
        tell!("{name}: {}", passed_over(others));
    }
    tell!("{name}: dropped {}", plural(dropped, "dead letter", "dead letters"));
    Ok(Exit::Ok)
}

fn passed_over(items: usize) -> String {
    format!("{} no open dead letter, or being retried already", plural(items, "item is", "items are"))
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

fn retry(place: &Place, name: &str, which: &LettersArgs, no_run: bool, run: &RunArgs) -> Result<Exit, Error> {
    let store = place.open()?;
    let job = store.job(name)?;
    let seqs: Vec<u64> = selected(&*store, &job, which)?.into_iter().collect();
    let made = store.retry_letters(job.id, &seqs)?;
    let named = !which.items.is_empty() || !which.groups.is_empty();
    let others = if named { seqs.len() - made.len() } else { 0 };
    if run.json {
        tell!("{}", json!({ "event": "retried", "job": name, "items": made, "passed_over": others }));
    } else if !run.quiet {
        if others > 0 {
            tell!("{name}: {}", passed_over(others));
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
