//! Looking on while another process runs a job.

use std::io::{IsTerminal, stderr};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use workitem_store::{ItemQuery, Job, JobCounts, Store};
use workitem_types::{ItemId, StatusKind, WorkItemStatus};

use super::inspect::{pace, status_json};
use super::{job_or_last, print_line};
use crate::error::Error;
use crate::exit::Exit;
use crate::report::{Meter, Reading};
use crate::views::job_state;

/// How often to look.
const LOOK: Duration = Duration::from_millis(250);
/// How often to tell it without a terminal, and as JSON.
const EVERY: Duration = Duration::from_secs(10);
const EVERY_JSON: Duration = Duration::from_secs(1);
/// Running items that are looked up, for people and as JSON.
const NAMED: usize = 3;
const NAMED_JSON: usize = 100;

/// Shows how far a job is until nobody runs it any more; its exit code is that of the run.
pub fn watch(store: &dyn Store, name: Option<&str>, as_json: bool) -> Result<Exit, Error> {
    let job = job_or_last(store, name)?;
    if as_json {
        follow(store, &job)?;
    } else {
        look_on(store, &job)?;
    }
    let counts = store.counts(job.id)?;
    let state = job_state(store, &job, &counts)?;
    let exit = match &counts {
        counts if !counts.is_finished() && state == "cancelled" => Exit::DeadLetters,
        counts if !counts.is_finished() => Exit::Interrupted,
        counts if counts.open_letters > 0 => Exit::DeadLetters,
        _ => Exit::Ok,
    };
    if as_json {
        print_line(event("ended", status_json(store, &job)?, json!({ "exit": exit as u8 })))?;
    } else {
        let (by, left) = (&counts.by_status, counts.by_status.total() - counts.settled());
        tell!("{}: {state}, {} of {} items completed, {left} left", job.name, by.completed, by.total());
    }
    Ok(exit)
}

/// Shows it to people: a bar on a terminal, a line now and then elsewhere.
fn look_on(store: &dyn Store, job: &Job) -> Result<(), Error> {
    let meter = stderr().is_terminal().then(|| Meter::new(job));
    let mut told: Option<Instant> = None;
    while let Some(reading) = read(store, job, &store.counts(job.id)?)? {
        match &meter {
            Some(meter) => meter.show(&reading),
            None if told.is_none_or(|told| told.elapsed() >= EVERY) => {
                tell!("{}: {reading}", job.name);
                told = Some(Instant::now());
            }
            None => {}
        }
        sleep(LOOK);
    }
    Ok(())
}

/// Prints it as JSON.
fn follow(store: &dyn Store, job: &Job) -> Result<(), Error> {
    let mut told: Option<(Instant, Value)> = None;
    while store.running(job)?.is_some() {
        let status = status_json(store, job)?;
        let is_news =
            |(at, state): &(Instant, Value)| at.elapsed() >= EVERY_JSON || *state != status["state"];
        if told.as_ref().is_none_or(is_news) {
            told = Some((Instant::now(), status["state"].clone()));
            let running = running(store, job, NAMED_JSON)?;
            let running =
                running.iter().map(|(id, since)| json!({ "id": id, "seconds": since.as_secs_f64() }));
            print_line(event("progress", status, json!({ "running": running.collect::<Vec<_>>() })))?;
        }
        sleep(LOOK);
    }
    Ok(())
}

/// The status of a job, and what an event says beyond it.
fn event(name: &str, status: Value, more: Value) -> String {
    let mut event = json!({ "event": name });
    if let (Value::Object(event), Value::Object(status), Value::Object(more)) = (&mut event, status, more) {
        event.extend(status);
        event.extend(more);
    }
    event.to_string()
}

/// How far the job is; nothing if nobody runs it.
fn read(store: &dyn Store, job: &Job, counts: &JobCounts) -> Result<Option<Reading>, Error> {
    let Some(runner) = store.running(job)? else { return Ok(None) };
    let (settled, total) = (counts.settled(), counts.by_status.total());
    let (rate, eta) = pace(&runner, store.now()?, settled, total - settled);
    let state = job_state(store, job, counts)?;
    Ok(Some(Reading {
        settled,
        total,
        dead: counts.by_status.dead_lettered,
        running: counts.by_status.in_progress,
        rate,
        eta,
        longest: running(store, job, NAMED)?,
        state: (state != "running").then_some(state),
    }))
}

/// The first items that are in progress, and since when.
fn running(store: &dyn Store, job: &Job, most: usize) -> Result<Vec<(ItemId, Duration)>, Error> {
    let now = store.now()?;
    let query = ItemQuery { status: Some(StatusKind::InProgress), after: 0, limit: most };
    let rows = store.items(job.id, &query)?.into_iter();
    let running = rows.filter_map(|row| match row.record.status {
        WorkItemStatus::InProgress { started_at, .. } => {
            Some((row.record.id, (now - started_at).to_std().unwrap_or_default()))
        }
        WorkItemStatus::Pending
        | WorkItemStatus::Completed { .. }
        | WorkItemStatus::Failed { .. }
        | WorkItemStatus::DeadLettered { .. } => None,
    });
    Ok(running.collect())
}
