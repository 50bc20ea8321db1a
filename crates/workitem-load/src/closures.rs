//! A job whose agent is a closure that does nothing: what is left is the orchestrator and the store.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use workitem_orchestrator::{FnAgent, Options, Orchestrator, Stop, Task, now};
use workitem_sqlite::SqliteStore;
use workitem_store::{Job, NewItem, NewJob, Store, verify};

/// Items submitted in one transaction.
const BATCH: usize = 5_000;
/// Items that run at a time.
const PARALLELISM: NonZeroUsize = NonZeroUsize::new(2).expect("it is not zero");

/// Runs the job; only that is timed. Then everything must be completed, and the history must replay.
pub fn closures(items: usize, path: &Path) -> Result<Value> {
    let store = Arc::new(SqliteStore::create(path)?);
    let job = submit(&*store, items)?;
    let agent = FnAgent::new(|_: &Task<'_>| Ok::<_, String>(()));
    let options = Options { parallelism: PARALLELISM, ..Options::default() };
    let mut orchestrator = Orchestrator::new(store.clone(), job.clone())?;
    let started = Instant::now();
    let summary = orchestrator.run(&agent, &options, &Stop::new()?, &mut ())?;
    let seconds = started.elapsed().as_secs_f64();
    let completed = summary.counts.by_status.completed;
    ensure!(completed == items, "only {completed} of {items} items were completed");
    // What verifying takes is no part of what the run took.
    let peak = peak_memory()?;
    let audit = verify(&*store, &job)?;
    ensure!(audit.passed() && audit.events == 2 * items, "the store does not verify: {audit:?}");
    Ok(json!({ "items": items, "seconds": seconds, "peak_bytes": peak }))
}

/// A sealed job of so many items.
pub fn submit(store: &dyn Store, items: usize) -> Result<Job> {
    let job = store.create_job(&NewJob { name: None, spec: Value::Null, now: now() })?;
    let mut next = 1;
    while next <= items {
        let batch: Vec<NewItem> = (next..=items).take(BATCH).map(item).collect();
        store.submit(job.id, &batch)?;
        next += batch.len();
    }
    store.seal(job.id, "numbers from 1")?;
    Ok(store.job(&job.name)?)
}

fn item(number: usize) -> NewItem {
    let text = number.to_string();
    NewItem { id: text.as_str().into(), payload: text.as_str().into() }
}

/// Most memory this process had at any time, in bytes.
fn peak_memory() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    Ok(kib.map_or(0, |kib| kib * 1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_run_and_said() {
        let folder = tempfile::tempdir().unwrap();
        let said = closures(BATCH + 1, &folder.path().join("a.db")).unwrap();
        assert_eq!(said["items"], BATCH + 1);
        assert!(said["peak_bytes"].as_u64() > Some(0), "{said}");
    }
}
