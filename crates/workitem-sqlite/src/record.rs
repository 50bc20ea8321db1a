//! Writing steps: compare-and-swap on the version, history, output and counts in one transaction.

use std::collections::BTreeMap;

use rusqlite::{CachedStatement, OptionalExtension, Transaction, params};
use workitem_store::engine::{self, NewEvent};
use workitem_store::{AnyStep, JobCounts, JobId, Outcome};
use workitem_types::ItemId;

use crate::codes::{event_code, status_code};
use crate::error::Failure;
use crate::rows::{self, COUNTS, HISTORY, event_payload, micros, status_columns, stream_columns};
use crate::submit::no_job;

/// Writes steps within one transaction, and the counts of their jobs at the end.
pub struct Recorder<'t> {
    tx: &'t Transaction<'t>,
    store: &'t str,
    swap: CachedStatement<'t>,
    event: CachedStatement<'t>,
    counts: BTreeMap<JobId, JobCounts>,
}

impl<'t> Recorder<'t> {
    pub fn new(tx: &'t Transaction<'t>, store: &'t str) -> Result<Self, Failure> {
        let swap = "UPDATE items SET version = ?, status = ?, attempts = ?, failures = ?, text = ?, at = ?,
             result = ?, crashes = crashes + ?, spawned = ?, run_at = ?
             WHERE job = ? AND seq = ? AND version = ? RETURNING origin";
        let event =
            "INSERT INTO history (job, seq, version, event, payload, at, cause) VALUES (?, ?, ?, ?, ?, ?, ?)";
        let (swap, event) = (tx.prepare_cached(swap)?, tx.prepare_cached(event)?);
        Ok(Self { tx, store, swap, event, counts: BTreeMap::new() })
    }

    /// Writes one step if the item still has the version the step started from.
    pub fn record(&mut self, step: &AnyStep, spawned: bool) -> Result<Outcome, Failure> {
        let (token, record) = (step.token(), step.record());
        let (text, at, result) = status_columns(&record.status);
        let swapped: Option<Option<String>> = self
            .swap
            .query_row(
                params![
                    step.version_after(),
                    status_code(record.status.kind()),
                    record.attempts,
                    record.failures,
                    text,
                    at,
                    result,
                    step.is_crash(),
                    spawned,
                    // Put off until 1970 or before, it comes behind what never was, as if it were until just after.
                    step.run_at().map_or(0, |until| micros(until).max(1)),
                    token.job().0,
                    token.seq(),
                    token.version(),
                ],
                |row| row.get(0),
            )
            .optional()?;
        let Some(origin) = swapped else {
            if self.is_recorded(step)? {
                return Ok(Outcome::Recorded);
            }
            // Of a job that is gone nobody is ahead.
            return self.counts_of(token.job()).map(|_| Outcome::Fenced);
        };
        for NewEvent { version, event, cause } in engine::new_events(step) {
            let cause = cause.map(|cause| serde_json::to_string(&cause).expect("a cause is JSON"));
            let (at, event) = (micros(event.at()), event.event());
            let (kind, payload) = (event_code(event.kind()), event_payload(event));
            self.event.execute(params![token.job().0, token.seq(), version, kind, payload, at, cause])?;
        }
        self.keep_output(step)?;
        let counts = self.counts_of(token.job())?;
        engine::count_step(counts, step, origin.map(ItemId::from).as_ref());
        Ok(Outcome::Recorded)
    }

    /// Writes the counts. Without it they would not follow what was recorded.
    pub fn finish(self) -> Result<(), Failure> {
        for (job, counts) in &self.counts {
            let by = &counts.by_status;
            self.tx
                .prepare_cached(
                    "UPDATE jobs SET pending = ?, in_progress = ?, completed = ?, failed = ?,
                     dead_lettered = ?, open_letters = ? WHERE id = ?",
                )?
                .execute(params![
                    by.pending,
                    by.in_progress,
                    by.completed,
                    by.failed,
                    by.dead_lettered,
                    counts.open_letters,
                    job.0
                ])?;
        }
        Ok(())
    }

    fn counts_of(&mut self, job: JobId) -> Result<&mut JobCounts, Failure> {
        if !self.counts.contains_key(&job) {
            self.counts.insert(job, read_counts(self.tx, job, self.store)?);
        }
        Ok(self.counts.get_mut(&job).expect("it was just put there"))
    }

    /// Whether the history already holds what the step wants to write.
    fn is_recorded(&self, step: &AnyStep) -> Result<bool, Failure> {
        let token = step.token();
        let mut query = self.tx.prepare_cached(&format!(
            "SELECT {HISTORY} FROM history WHERE job = ? AND seq = ? AND version > ? ORDER BY version LIMIT ?"
        ))?;
        let known = query
            .query_map(
                params![token.job().0, token.seq(), token.version(), step.events().len()],
                rows::history,
            )?
            .collect::<Result<Vec<_>, _>>()?;
        Ok(known.into_iter().eq(engine::history_rows(step).map(engine::as_json_keeps)))
    }

    fn keep_output(&self, step: &AnyStep) -> Result<(), Failure> {
        let output = step.output();
        if output.is_empty() {
            return Ok(());
        }
        let (stdout, stdout_blob) = stream_columns(&output.stdout);
        let (stderr, stderr_blob) = stream_columns(&output.stderr);
        let token = step.token();
        self.tx.prepare_cached("INSERT INTO attempts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (job, seq, attempt) DO NOTHING")?.execute(
            params![
                token.job().0,
                token.seq(),
                step.record().attempts,
                stdout,
                stdout_blob,
                output.stdout.total,
                stderr,
                stderr_blob,
                output.stderr.total,
            ],
        )?;
        Ok(())
    }
}

pub fn read_counts(tx: &Transaction<'_>, job: JobId, store: &str) -> Result<JobCounts, Failure> {
    let mut query = tx.prepare_cached(&format!("SELECT {COUNTS} FROM jobs WHERE id = ?"))?;
    let counts = query.query_row([job.0], rows::counts).optional()?;
    Ok(counts.ok_or_else(|| no_job(job, store))?)
}
