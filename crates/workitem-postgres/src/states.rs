//! What has become of items, written by compare-and-swap on the version.

use chrono::{DateTime, Utc};
use workitem_store::AnyStep;
use workitem_types::{StatusKind, WorkItemStatus};

use crate::codes::status_code;
use crate::error::Failure;
use crate::pool::Tx;
use crate::record::{Place, place};
use crate::rows::{micros, number, status_columns};
use crate::submit::parts;

/// What becomes of an item: what a step says. What is in progress is stored as what it was before it began, and held by a
/// claim; so both ends of a step are one version and one attempt less there.
pub struct Update<'s>(pub &'s AnyStep);

impl<'s> Update<'s> {
    pub fn place(&self) -> Place {
        place(self.0.token())
    }

    /// The version that is stored before.
    pub fn was(&self) -> u64 {
        self.0.token().version() - u64::from(self.0.from() == StatusKind::InProgress)
    }

    /// The version that is stored after it.
    pub fn version(&self) -> u64 {
        self.0.version_after() - u64::from(self.begun().is_some())
    }

    /// Who has the item from then on, if it is in progress, and since when.
    pub fn begun(&self) -> Option<(&'s str, DateTime<Utc>)> {
        match &self.0.record().status {
            WorkItemStatus::InProgress { agent_id, started_at } => Some((agent_id, *started_at)),
            WorkItemStatus::Pending
            | WorkItemStatus::Completed { .. }
            | WorkItemStatus::Failed { .. }
            | WorkItemStatus::DeadLettered { .. } => None,
        }
    }

    /// Whether the item is stored as pending: it can be claimed, or is held.
    pub fn is_stored_pending(&self) -> bool {
        self.state() == status_code(StatusKind::Pending)
    }

    /// When it is due: 0 for at once. What was put off until 1970 or before comes behind what never was, as if it were
    /// until just after.
    pub fn run_at(&self) -> i64 {
        self.0.run_at().map_or(0, |until| micros(until).max(1))
    }

    fn state(&self) -> i16 {
        let begun = self.begun().map(|_| StatusKind::Pending);
        status_code(begun.unwrap_or_else(|| self.0.record().status.kind()))
    }

    fn attempts(&self) -> usize {
        self.0.record().attempts - usize::from(self.begun().is_some())
    }
}

/// What is written of each item. One that has failed stays whose it was.
const ROWS: &str = "
    unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::smallint[], $6::bigint[], $7::bigint[],
        $8::bytea[], $9::bigint[], $10::bigint[], $11::bigint[])
        AS n (job, seq, was, version, state, attempts, failures, text, at, crashes, run_at)";
const WORKER: &str = "
    CASE WHEN n.state = 3 THEN (SELECT c.worker FROM claims c WHERE c.job = n.job
        AND c.seq BETWEEN n.seq - 127 AND n.seq AND c.until >= n.seq AND c.version = n.was LIMIT 1) END";

/// Writes what becomes of items to which nothing has happened so far but that they were claimed; how many those were.
/// They are written in their order, so that two batches wait for each other in one direction only.
pub fn insert(tx: &mut Tx<'_>, items: &[Update<'_>]) -> Result<usize, Failure> {
    let insert = format!(
        "INSERT INTO states (job, seq, version, state, attempts, failures, text, at, crashes, run_at, worker)
         SELECT n.job, n.seq, n.version, n.state, n.attempts, n.failures, n.text, n.at, n.crashes, n.run_at, {WORKER}
         FROM {ROWS} ON CONFLICT DO NOTHING"
    );
    write(tx, &insert, items)
}

/// Writes what becomes of items that have the version from which it starts; how many those were. The version is looked at
/// once more where the row is: servers before 14.20, 15.15, 16.11 and 17.7 do not see that it is not the one that stood in
/// this place when somebody else had it.
pub fn update(tx: &mut Tx<'_>, items: &[Update<'_>]) -> Result<usize, Failure> {
    let update = format!(
        "UPDATE states s SET version = n.version, state = n.state, attempts = n.attempts, failures = n.failures,
             text = n.text, at = n.at, crashes = s.crashes + n.crashes, run_at = n.run_at, worker = {WORKER}
         FROM {ROWS} CROSS JOIN LATERAL
             (SELECT ctid FROM states WHERE job = n.job AND seq = n.seq AND version = n.was OFFSET 0) AS place
         WHERE s.ctid = place.ctid AND s.version = n.was"
    );
    write(tx, &update, items)
}

fn write(tx: &mut Tx<'_>, sql: &str, items: &[Update<'_>]) -> Result<usize, Failure> {
    let mut written = 0;
    for part in parts(items, |update| texts(update).0.map_or(0, <[u8]>::len)) {
        written += write_part(tx, sql, part)?;
    }
    Ok(written)
}

/// An error, and when it was given up.
fn texts<'s>(update: &Update<'s>) -> (Option<&'s [u8]>, Option<i64>) {
    status_columns(&update.0.record().status)
}

fn write_part(tx: &mut Tx<'_>, sql: &str, items: &[Update<'_>]) -> Result<usize, Failure> {
    let column = |value: &dyn Fn(&Update<'_>) -> Result<i64, Failure>| -> Result<Vec<i64>, Failure> {
        items.iter().map(value).collect()
    };
    let states: Vec<i16> = items.iter().map(Update::state).collect();
    let (texts, ats): (Vec<_>, Vec<_>) = items.iter().map(texts).unzip();
    let written = tx.execute(
        sql,
        &[
            &column(&|update| Ok(update.0.token().job().0))?,
            &column(&|update| number(update.0.token().seq()))?,
            &column(&|update| number(update.was()))?,
            &column(&|update| number(update.version()))?,
            &states,
            &column(&|update| number(update.attempts()))?,
            &column(&|update| number(update.0.record().failures))?,
            &texts,
            &ats,
            &column(&|update| Ok(i64::from(update.0.is_crash())))?,
            &column(&|update| Ok(update.run_at()))?,
        ],
    )?;
    Ok(usize::try_from(written).unwrap_or(usize::MAX))
}
