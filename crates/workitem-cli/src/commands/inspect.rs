//! Looking at jobs and items.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use workitem_store::{ItemQuery, ItemRow, Job, JobId, Runner, Store, StoreError};
use workitem_types::{ItemId, StatusKind};

use super::{job_or_last, print_line, print_lines};
use crate::durations::short;
use crate::error::Error;
use crate::exit::Exit;
use crate::report::rate;
use crate::spec::Spec;
use crate::submit::Submitted;
use crate::text::{one_line, quoted};
use crate::views::{counts_json, event_json, event_line, item_json, item_line, job_state};

/// Items read at a time.
const PAGE: usize = 1_000;

pub fn status(store: &dyn Store, name: Option<&str>, as_json: bool) -> Result<Exit, Error> {
    let job = job_or_last(store, name)?;
    if as_json {
        print_line(status_json(store, &job)?.to_string())?;
        return Ok(Exit::Ok);
    }
    let counts = store.counts(job.id)?;
    let state = job_state(store, &job, &counts)?;
    let runner = store.running(&job)?;
    let now = store.now()?;
    let waiting = store.waiting(job.id, now)?;
    let by = &counts.by_status;
    let left = by.total() - counts.settled();
    let pace = runner.as_ref().map(|runner| pace(runner, now, counts.settled(), left));
    let mut lines = vec![match &runner {
        Some(runner) => format!("{}: {state}, by {runner}", job.name),
        None => format!("{}: {state}", job.name),
    }];
    let mut count = |label: &str, n: usize, remark: String| lines.push(format!("  {n:>9} {label}{remark}"));
    let remark = |n: usize, what: &str| if n > 0 { format!(" ({n} {what})") } else { String::new() };
    count("pending", by.pending, remark(waiting, "waiting for their next attempt"));
    count("in progress", by.in_progress, String::new());
    count("completed", by.completed, String::new());
    if by.failed > 0 {
        count("failed", by.failed, String::new());
    }
    // Letters whose successor completed are dealt with; successors that died stand with their letter.
    let open = if counts.open_letters == by.dead_lettered { 0 } else { counts.open_letters };
    let is_mended = by.dead_lettered > 0 && counts.open_letters == 0;
    let letters = if is_mended { " (all dealt with)".to_owned() } else { remark(open, "still open") };
    count("dead-lettered", by.dead_lettered, letters);
    count("in total", by.total(), remark(counts.skipped, "lines passed over"));
    if let Some((rate, eta)) = pace {
        let left = eta.map_or_else(String::new, |eta| format!(", {} left", short(eta)));
        lines.push(format!("  {rate:.1} items/s{left}"));
    }
    match state {
        "submitting" if runner.is_some() => lines.push("  its input is being stored".into()),
        "submitting" => lines.push("  its input is not complete: run the same `workitem map` again".into()),
        "paused" | "cancelled" => {
            lines.push(format!("  take that back with: workitem unpause {}", quoted(&job.name)));
        }
        "interrupted" => lines.push(format!("  go on with: workitem resume {}", quoted(&job.name))),
        _ => {}
    }
    print_lines(lines.into_iter().map(Ok))?;
    Ok(Exit::Ok)
}

/// How far a job is, as JSON.
pub fn status_json(store: &dyn Store, job: &Job) -> Result<Value, Error> {
    let counts = store.counts(job.id)?;
    let by = &counts.by_status;
    let (runner, now) = (store.running(job)?, store.now()?);
    let left = by.total() - counts.settled();
    let pace = runner.as_ref().map(|runner| pace(runner, now, counts.settled(), left));
    Ok(json!({
        "job": job.name,
        "state": job_state(store, job, &counts)?,
        "counts": counts_json(by),
        "waiting": store.waiting(job.id, now)?,
        "open_letters": counts.open_letters,
        "skipped": counts.skipped,
        "created_at": job.created_at,
        "runner": runner.map(|runner| json!({ "process": runner.process, "since": runner.since })),
        "rate": pace.map(|(rate, _)| rate),
        "eta_seconds": pace.and_then(|(_, eta)| eta).map(|eta| eta.as_secs()),
    }))
}

/// Items per second since the runner began, and how long the rest takes.
pub fn pace(runner: &Runner, now: DateTime<Utc>, settled: usize, left: usize) -> (f64, Option<Duration>) {
    let elapsed = (now - runner.since).to_std().unwrap_or_default();
    rate(settled.saturating_sub(runner.settled_before), left, elapsed)
}

pub fn jobs(store: &dyn Store, as_json: bool) -> Result<Exit, Error> {
    let mut lines = Vec::new();
    for job in store.jobs()? {
        let counts = store.counts(job.id)?;
        let state = job_state(store, &job, &counts)?;
        let by = &counts.by_status;
        let command = Spec::of(&job).map(|spec| spec.command).unwrap_or_default();
        lines.push(Ok(if as_json {
            let (created_at, counts) = (job.created_at, counts_json(by));
            json!({ "job": job.name, "state": state, "counts": counts, "created_at": created_at, "command": command })
                .to_string()
        } else {
            let command: Vec<String> = command.iter().map(|word| quoted(word)).collect();
            let (done, at) = (by.completed, job.created_at.format("%F %T UTC"));
            let command = one_line(&command.join(" "), 60);
            format!("{}\t{state}\t{done}/{} completed\t{at}\t{command}", job.name, by.total())
        }));
    }
    print_lines(lines)?;
    Ok(Exit::Ok)
}

pub fn items(
    store: &dyn Store,
    name: &str,
    status: Option<StatusKind>,
    skipped: bool,
    as_json: bool,
) -> Result<Exit, Error> {
    let job = store.job(name)?;
    if skipped {
        let lines = store.skipped(job.id)?.into_iter().map(|line| {
            Ok(if as_json {
                json!({ "position": line.position, "place": line.place, "reason": line.reason }).to_string()
            } else {
                format!("{}: {}", line.place, line.reason)
            })
        });
        print_lines(lines)?;
        return Ok(Exit::Ok);
    }
    let show = |row: ItemRow| if as_json { item_json(&row).to_string() } else { item_line(&row) };
    print_lines(Items::new(store, job.id, status).map(|row| row.map(show)))?;
    Ok(Exit::Ok)
}

/// Every item of a job in some state, in input order, read in pages.
pub struct Items<'a> {
    store: &'a dyn Store,
    job: JobId,
    query: ItemQuery,
    page: std::vec::IntoIter<ItemRow>,
}

impl<'a> Items<'a> {
    pub fn new(store: &'a dyn Store, job: JobId, status: Option<StatusKind>) -> Self {
        let query = ItemQuery { status, after: 0, limit: PAGE };
        Self { store, job, query, page: Vec::new().into_iter() }
    }
}

impl Iterator for Items<'_> {
    type Item = Result<ItemRow, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.len() == 0 {
            match self.store.items(self.job, &self.query) {
                Ok(page) => self.page = page.into_iter(),
                Err(error) => return Some(Err(error.into())),
            }
        }
        let row = self.page.next()?;
        self.query.after = row.seq;
        Some(Ok(row))
    }
}

pub fn history(store: &dyn Store, name: &str, item: &ItemId, as_json: bool) -> Result<Exit, Error> {
    let job = store.job(name)?;
    let item = store.item(&job, item)?;
    let rows = store.history(job.id, item.seq..=item.seq)?;
    let show = |row| Ok(if as_json { event_json(&row).to_string() } else { event_line(&row) });
    print_lines(rows.into_iter().map(show))?;
    Ok(Exit::Ok)
}

/// Whether the items are those of the input that the job was made from. What seals a job that another program
/// made is that program's affair.
fn check_input(store: &dyn Store, job: &Job) -> Result<Option<String>, Error> {
    let Some(expected) = job.digest.as_ref().filter(|_| Spec::of(job).is_ok()) else { return Ok(None) };
    let mut input = Submitted::default();
    for row in Items::new(store, job.id, None) {
        let row = row?;
        if row.seq <= job.input_items {
            input.add(&row.record.id, &store.payload(job.id, row.seq)?);
        }
    }
    let differs = input.digest() != *expected;
    Ok(differs.then(|| "the items are not those of the input that was submitted".to_owned()))
}

pub fn verify(store: &dyn Store, name: &str, as_json: bool) -> Result<Exit, Error> {
    let job: Job = store.job(name)?;
    // Who works on it without its lock, as others may where a store is shared.
    if let Some(runner) = store.running(&job)? {
        return Err(StoreError::Busy { job: job.name, by: runner.to_string() }.into());
    }
    // Held to the end: what a run changes meanwhile would look like a problem.
    let settled_before = store.counts(job.id).map_or(0, |counts| counts.settled());
    let _lock =
        store.lock_job(&job, &Runner { process: std::process::id(), since: store.now()?, settled_before })?;
    let mut audit = workitem_store::verify(store, &job)?;
    match check_input(store, &job) {
        Ok(None) => {}
        Ok(Some(problem)) => {
            audit.found += 1;
            audit.problems.push(problem);
        }
        // What cannot be read is among the problems already.
        Err(_) if !audit.passed() => {}
        Err(error) => return Err(error),
    }
    let printed = if as_json {
        print_line(
            json!({
                "job": job.name,
                "passed": audit.passed(),
                "items": audit.items,
                "events": audit.events,
                "found": audit.found,
                "problems": audit.problems,
            })
            .to_string(),
        )
    } else {
        let found =
            if audit.passed() { "nothing is wrong".to_owned() } else { format!("{} problems", audit.found) };
        let summary = format!("{name}: {} items, {} events replayed: {found}", audit.items, audit.events);
        print_lines(std::iter::once(summary).chain(audit.problems.iter().cloned()).map(Ok))
    };
    // The verdict stands, whether or not it was read to the end.
    printed.or_else(|error| if error.is_unread() { Ok(()) } else { Err(error) })?;
    Ok(if audit.passed() { Exit::Ok } else { Exit::Store })
}
