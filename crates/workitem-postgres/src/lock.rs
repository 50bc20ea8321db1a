//! One orchestrator per job: an advisory lock of the server, on a connection of its own. The server lets it go when that
//! ends, however it ends; a row says who has it and since when, and counts only together with the lock.

use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use postgres::Client;
use workitem_store::{JobId, JobLock, Runner};

use crate::error::Failure;
use crate::pool::Tx;
use crate::rows::Fields;
use crate::{PostgresStore, counts, read};

/// How long to wait for a lock: the server may not have heard yet that its holder is gone.
const PATIENCE: Duration = Duration::from_millis(250);
/// How long the holder of a lock may take to say who it is. That is one write; a busy machine may come in between.
const SPEECH: Duration = Duration::from_secs(2);
/// How often to look again.
const TICK: Duration = Duration::from_millis(5);

/// Held while this process runs the job.
pub struct AdvisoryLock {
    client: Mutex<Client>,
    job: i64,
    key: String,
}

impl JobLock for AdvisoryLock {}

impl Drop for AdvisoryLock {
    fn drop(&mut self) {
        let client = self.client.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Said, so that it is over when this returns. If it cannot be said, the connection has ended, or ends now.
        let _ =
            client.execute("DELETE FROM runners WHERE job = $1 AND backend = pg_backend_pid()", &[&self.job]);
        let _ = client.query("SELECT pg_advisory_unlock(hashtextextended($1, 0))", &[&self.key]);
    }
}

/// Takes the lock, or says who has it.
pub fn take(
    store: &PostgresStore,
    job: JobId,
    runner: &Runner,
) -> Result<Result<AdvisoryLock, Runner>, Failure> {
    let (mut client, key) = (store.pool.connect()?, key(store, job));
    let started = Instant::now();
    loop {
        let taken = client.query_one("SELECT pg_try_advisory_lock(hashtextextended($1, 0))", &[&key])?;
        if taken.try_get(0)? {
            break;
        }
        if started.elapsed() < PATIENCE {
            sleep(TICK);
        } else if let Some(runner) = look(store, job)? {
            return Ok(Err(runner));
        }
    }
    let said = serde_json::to_string(runner).expect("numbers and times are JSON");
    client.execute(
        "INSERT INTO runners (job, backend, runner) VALUES ($1, pg_backend_pid(), $2)
         ON CONFLICT (job) DO UPDATE SET backend = excluded.backend, runner = excluded.runner",
        &[&job.0, &said],
    )?;
    Ok(Ok(AdvisoryLock { client: Mutex::new(client), job: job.0, key }))
}

/// Who runs the job, if anybody does: who has its lock, or else a worker that is there.
pub fn running(store: &PostgresStore, job: JobId) -> Result<Option<Runner>, Failure> {
    match look(store, job)? {
        None => store.pool.snapshot(|tx| worker(tx, job)),
        holder => Ok(holder),
    }
}

/// One of those who work on the job without its lock. What was done before they came is not known: it is as if they came
/// just now.
fn worker(tx: &mut Tx<'_>, job: JobId) -> Result<Option<Runner>, Failure> {
    let found = tx.query_opt(
        "SELECT job, name FROM workers WHERE job = $1 AND expires_at > clock_timestamp() ORDER BY job, name LIMIT 1",
        &[&job.0],
    )?;
    let Some(row) = found else { return Ok(None) };
    let name = String::from_utf8_lossy(Fields::of("job", "workers", &row).get(1)?).into_owned();
    // As an orchestrator calls itself: ..., process, time, a number.
    let process = name.rsplit('-').nth(2).and_then(|process| process.parse().ok()).unwrap_or(0);
    let settled_before = counts::read(tx, job)?.settled();
    Ok(Some(Runner { process, since: read::now(tx)?, settled_before }))
}

/// Who has the lock, if anybody does.
pub fn look(store: &PostgresStore, job: JobId) -> Result<Option<Runner>, Failure> {
    let key = key(store, job);
    let started = Instant::now();
    loop {
        // Asked again each time: it may have died before it could say anything.
        match store.pool.snapshot(|tx| holder(tx, job, &key))? {
            Holder::Nobody => return Ok(None),
            Holder::Known(runner) => return Ok(Some(runner)),
            Holder::Silent if started.elapsed() >= SPEECH => {
                return Err(Failure::Misfit(
                    "the holder of the job's lock does not say who it is".to_owned(),
                ));
            }
            Holder::Silent => sleep(TICK),
        }
    }
}

enum Holder {
    Nobody,
    /// For a moment after it took the lock.
    Silent,
    Known(Runner),
}

fn holder(tx: &mut Tx<'_>, job: JobId, key: &str) -> Result<Holder, Failure> {
    let row = tx.query_opt(
        "SELECT $1::bigint, r.runner FROM pg_locks l LEFT JOIN runners r ON r.job = $1 AND r.backend = l.pid
         WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
         AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
         AND (l.classid::bigint << 32 | l.objid::bigint) = hashtextextended($2, 0)",
        &[&job.0, &key],
    )?;
    let Some(row) = row else { return Ok(Holder::Nobody) };
    let fields = Fields::of("job", "runners", &row);
    match fields.get::<Option<&str>>(1)? {
        None => Ok(Holder::Silent),
        Some(json) => Ok(Holder::Known(fields.json(1, json)?)),
    }
}

/// Locks are the database's, so the name of one says whose it is.
fn key(store: &PostgresStore, job: JobId) -> String {
    format!("workitem job {}-{job}", store.identity)
}
