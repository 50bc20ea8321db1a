//! What the server says of itself, and how long it takes to be told something.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use postgres::Client;
use serde_json::{Value, json};
use workitem_orchestrator::{FnAgent, Options, Orchestrator, Stop, Task, now};
use workitem_postgres::PostgresStore;
use workitem_store::{Control, Job, NewItem, NewJob, Store};

use crate::job::PARALLELISM;
use crate::plan::connect;

/// How often something is timed.
const ROUNDS: usize = 101;
/// How often a run is cancelled.
const CANCELLATIONS: usize = 11;
/// Longer than it takes to be told to stop.
const LONG: Duration = Duration::from_mins(1);

/// The median of how long the counts of a job take, in seconds.
pub fn counts(url: &str, name: &str) -> Result<Value> {
    let store = PostgresStore::open(url)?;
    let job = store.job(name)?;
    let mut found = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let started = Instant::now();
        store.counts(job.id)?;
        found.push(started.elapsed());
    }
    Ok(json!({ "seconds": median(found)?.as_secs_f64() }))
}

/// The median and the longest time from a cancellation in one store to the end of the run in another, in seconds. The agents
/// end as soon as they are told to.
pub fn cancel(url: &str) -> Result<Value> {
    let (here, there) = (PostgresStore::create(url)?, Arc::new(PostgresStore::create(url)?));
    let mut found = Vec::with_capacity(CANCELLATIONS);
    for _ in 0..CANCELLATIONS {
        let job = here.create_job(&NewJob { name: None, spec: Value::Null, now: now() })?;
        here.submit(job.id, &["1", "2", "3"].map(|id| NewItem { id: id.into(), payload: id.into() }))?;
        here.seal(job.id, "three")?;
        found.push(cancelled(&here, there.clone(), &here.job(&job.name)?)?);
    }
    let longest = found.iter().max().copied().unwrap_or_default().as_secs_f64();
    Ok(json!({ "seconds": median(found)?.as_secs_f64(), "longest": longest }))
}

fn cancelled(here: &PostgresStore, there: Arc<PostgresStore>, job: &Job) -> Result<Duration> {
    let mut orchestrator = Orchestrator::join(there, job.clone())?;
    let run = move || -> Result<Instant> {
        let agent =
            FnAgent::new(|task: &Task<'_>| if task.sleep(LONG) { Err("told to stop") } else { Ok(()) });
        let options = Options { parallelism: PARALLELISM, ..Options::default() };
        let summary = orchestrator.run(&agent, &options, &Stop::new()?, &mut ())?;
        ensure!(summary.cancelled, "it has ended without being cancelled");
        Ok(Instant::now())
    };
    let running = thread::spawn(run);
    while here.counts(job.id)?.by_status.in_progress < PARALLELISM.get() {
        ensure!(!running.is_finished(), "the run has ended before it was cancelled");
        thread::sleep(Duration::from_millis(10));
    }
    // Between two looks of whoever is not called.
    thread::sleep(Duration::from_millis(300));
    let asked = Instant::now();
    here.set_control(job.id, Control::Cancel)?;
    let ended = running.join().ok().context("the run has panicked")??;
    Ok(ended.saturating_duration_since(asked))
}

fn median(mut found: Vec<Duration>) -> Result<Duration> {
    found.sort();
    found.get(found.len() / 2).copied().context("nothing was timed")
}

/// What the server has counted since it was started: transactions, statements (0 if it does not count them), bytes of WAL
/// and of the database, whole pages in the WAL, and rows that are dead.
pub fn stats(url: &str) -> Result<Value> {
    let mut client = connect(url)?;
    let wal =
        client.query_one("SELECT wal_records, wal_fpi, wal_bytes::bigint, wal_sync FROM pg_stat_wal", &[])?;
    let database = client.query_one(
        "SELECT (SELECT sum(xact_commit + xact_rollback)::bigint FROM pg_stat_database), pg_database_size(current_database()),
         coalesce((SELECT sum(n_dead_tup)::bigint FROM pg_stat_user_tables), 0),
         coalesce((SELECT sum(autovacuum_count)::bigint FROM pg_stat_user_tables), 0),
         (SELECT checkpoints_timed + checkpoints_req FROM pg_stat_bgwriter)",
        &[],
    )?;
    Ok(json!({
        "wal_records": wal.try_get::<_, i64>(0)?,
        "wal_pages": wal.try_get::<_, i64>(1)?,
        "wal_bytes": wal.try_get::<_, i64>(2)?,
        "wal_syncs": wal.try_get::<_, i64>(3)?,
        "transactions": database.try_get::<_, i64>(0)?,
        "bytes": database.try_get::<_, i64>(1)?,
        "dead_rows": database.try_get::<_, i64>(2)?,
        "vacuums": database.try_get::<_, i64>(3)?,
        "checkpoints": database.try_get::<_, i64>(4)?,
        "statements": statements(&mut client)?,
    }))
}

/// How many statements were sent; 0 where the server does not count them.
fn statements(client: &mut Client) -> Result<i64> {
    let loaded: String =
        client.query_one("SELECT current_setting('shared_preload_libraries')", &[])?.try_get(0)?;
    if !loaded.contains("pg_stat_statements") {
        return Ok(0);
    }
    client.batch_execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements SCHEMA public")?;
    Ok(client.query_one("SELECT sum(calls)::bigint FROM public.pg_stat_statements", &[])?.try_get(0)?)
}

#[cfg(test)]
mod tests {
    use workitem_pgtest::Server;

    use super::*;

    #[test]
    fn a_run_elsewhere_ends_when_it_is_cancelled_and_the_server_has_counted() {
        let server = Server::start(&["shared_preload_libraries=pg_stat_statements"]).unwrap();
        let said = cancel(server.url()).unwrap();
        assert!(said["seconds"].as_f64() <= said["longest"].as_f64(), "{said}");
        crate::job::submit(server.url(), "job", 10).unwrap();
        let (before, job) = (stats(server.url()).unwrap(), counts(server.url(), "job").unwrap());
        assert!(job["seconds"].as_f64() > Some(0.0), "{job}");
        let after = stats(server.url()).unwrap();
        let more = after["statements"].as_i64().unwrap() - before["statements"].as_i64().unwrap();
        assert!(more >= i64::try_from(ROUNDS).unwrap(), "{more}");
    }
}
