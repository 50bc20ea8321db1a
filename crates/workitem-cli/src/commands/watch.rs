//! Looking on while another process runs a job.

use std::io::{IsTerminal, stderr};
use std::thread::sleep;
use std::time::{Duration, Instant};

use workitem_orchestrator::now;
use workitem_store::{ItemQuery, Job, JobCounts, Store};
use workitem_types::{StatusKind, WorkItemStatus};

use super::inspect::pace;
use super::{Place, job_or_last};
use crate::error::Error;
use crate::exit::Exit;
use crate::report::{Meter, Reading};
use crate::views::job_state;

/// How often to look.
const LOOK: Duration = Duration::from_millis(250);
/// How often to tell it without a terminal.
const EVERY: Duration = Duration::from_secs(10);
/// Running items that are looked up.
const NAMED: usize = 3;

/// Shows how far a job is until nobody runs it any more; its exit code is that of the run.
pub fn watch(place: &Place, name: Option<&str>) -> Result<Exit, Error> {
    let store = place.open()?;
    let job = job_or_last(&*store, name)?;
    let meter = stderr().is_terminal().then(|| Meter::new(&job));
    let mut told: Option<Instant> = None;
    loop {
        let counts = store.counts(job.id)?;
        let Some(reading) = read(&*store, &job, &counts)? else { break };
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
    drop(meter);
    let counts = store.counts(job.id)?;
    let state = job_state(&*store, &job, &counts)?;
    let (by, left) = (&counts.by_status, counts.by_status.total() - counts.settled());
    tell!("{}: {state}, {} of {} items completed, {left} left", job.name, by.completed, by.total());
    Ok(match counts {
        counts if !counts.is_finished() && state == "cancelled" => Exit::DeadLetters,
        counts if !counts.is_finished() => Exit::Interrupted,
        counts if counts.open_letters > 0 => Exit::DeadLetters,
        _ => Exit::Ok,
    })
}

/// How far the job is; nothing if nobody runs it.
fn read(store: &dyn Store, job: &Job, counts: &JobCounts) -> Result<Option<Reading>, Error> {
    let Some(runner) = store.running(job)? else { return Ok(None) };
    let (settled, total) = (counts.settled(), counts.by_status.total());
    let (rate, eta) = pace(&runner, settled, total - settled);
    let query = ItemQuery { status: Some(StatusKind::InProgress), after: 0, limit: NAMED };
    let longest = store.items(job.id, &query)?.into_iter().filter_map(|row| match row.record.status {
        WorkItemStatus::InProgress { started_at, .. } => {
            Some((row.record.id, (now() - started_at).to_std().unwrap_or_default()))
        }
        WorkItemStatus::Pending
        | WorkItemStatus::Completed { .. }
        | WorkItemStatus::Failed { .. }
        | WorkItemStatus::DeadLettered { .. } => None,
    });
    let state = job_state(store, job, counts)?;
    Ok(Some(Reading {
        settled,
        total,
        dead: counts.by_status.dead_lettered,
        running: counts.by_status.in_progress,
        rate,
        eta,
        longest: longest.collect(),
        state: (state != "running").then_some(state),
    }))
}
