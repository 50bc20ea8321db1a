//! Queries.

use std::ops::RangeInclusive;

use chrono::{DateTime, Utc};
use workitem_store::{
    AttemptRow, HistoryRow, ItemQuery, ItemRow, Job, JobCounts, JobId, Payload, Skipped, StoreError,
    whole_micros,
};
use workitem_types::ItemId;

use crate::codes::{status_code, status_kind};
use crate::error::Failure;
use crate::letters;
use crate::pool::Tx;
use crate::rows::{self, ATTEMPT, Fields, HISTORY, ITEM, bound, micros};

/// The server's clock. It is the only one by which leases run out.
pub fn now(tx: &mut Tx<'_>) -> Result<DateTime<Utc>, Failure> {
    let row = tx.query_one("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint", &[])?;
    Fields::of("store", "the server's clock", &row).time(0)
}

pub fn items(tx: &mut Tx<'_>, job: JobId, query: &ItemQuery) -> Result<Vec<ItemRow>, Failure> {
    let status = query.status.map(status_code);
    let rows = tx.query(
        &format!(
            "SELECT {ITEM} FROM items i WHERE i.job = $1 AND i.seq > $2 AND coalesce($3, i.state) = i.state
             ORDER BY i.seq LIMIT $4"
        ),
        &[&job.0, &bound(query.after), &status, &bound(query.limit)],
    )?;
    rows.iter().map(rows::item).collect()
}

pub fn item(tx: &mut Tx<'_>, job: &Job, id: &ItemId) -> Result<ItemRow, Failure> {
    let no_item = || StoreError::NoItem { job: job.name.clone(), id: id.clone() };
    // No id has one, and text cannot.
    if id.as_str().contains('\0') {
        return Err(no_item().into());
    }
    let query = format!(
        "SELECT {ITEM} FROM payloads p JOIN items i ON i.job = p.job AND i.seq = p.seq WHERE p.job = $1 AND p.id = $2"
    );
    let row = tx.query_opt(&query, &[&job.id.0, &id.as_str()])?;
    rows::item(&row.ok_or_else(no_item)?)
}

pub fn payload(tx: &mut Tx<'_>, job: JobId, seq: u64) -> Result<Payload, Failure> {
    let row =
        tx.query_opt("SELECT payload FROM payloads WHERE job = $1 AND seq = $2", &[&job.0, &bound(seq)])?;
    rows::payload(&row.ok_or_else(|| tx.damaged(format!("item {seq} has no input")))?, 0, seq)
}

pub fn history(tx: &mut Tx<'_>, job: JobId, seqs: &RangeInclusive<u64>) -> Result<Vec<HistoryRow>, Failure> {
    let query = format!(
        "SELECT {HISTORY} FROM history h WHERE h.job = $1 AND h.seq BETWEEN $2 AND $3 ORDER BY h.seq, h.version"
    );
    tx.query(&query, &[&job.0, &bound(*seqs.start()), &bound(*seqs.end())])?
        .iter()
        .map(rows::history)
        .collect()
}

pub fn attempts(tx: &mut Tx<'_>, job: JobId, seqs: &RangeInclusive<u64>) -> Result<Vec<AttemptRow>, Failure> {
    let query = format!(
        "SELECT {ATTEMPT} FROM attempts WHERE job = $1 AND seq BETWEEN $2 AND $3 ORDER BY seq, attempt"
    );
    tx.query(&query, &[&job.0, &bound(*seqs.start()), &bound(*seqs.end())])?
        .iter()
        .map(rows::attempt)
        .collect()
}

pub fn waiting(tx: &mut Tx<'_>, job: JobId, now: DateTime<Utc>) -> Result<usize, Failure> {
    let row = tx.query_one(
        "SELECT count(*) FROM items WHERE job = $1 AND state = 0 AND run_at > $2",
        &[&job.0, &micros(whole_micros(now))],
    )?;
    Fields::of("job", "items", &row).number(0)
}

pub fn skipped(tx: &mut Tx<'_>, job: JobId) -> Result<Vec<Skipped>, Failure> {
    let rows =
        tx.query("SELECT position, place, reason FROM skipped WHERE job = $1 ORDER BY position", &[&job.0])?;
    let read = |row| {
        let fields = Fields::of("line", "skipped", row);
        Ok(Skipped { position: fields.number(0)?, place: fields.text(1)?, reason: fields.text(2)? })
    };
    rows.iter().map(read).collect()
}

/// Counts by looking at every item.
pub fn recount(tx: &mut Tx<'_>, job: JobId) -> Result<JobCounts, Failure> {
    let mut counts = JobCounts::default();
    let rows = tx.query("SELECT state, count(*) FROM items WHERE job = $1 GROUP BY state", &[&job.0])?;
    for row in &rows {
        let fields = Fields::of("state", "items", row);
        let (code, items) = (fields.get(0)?, fields.number(1)?);
        let kind = status_kind(code).ok_or_else(|| {
            tx.damaged(format!("there are {items} items in state {code}, which does not exist"))
        })?;
        *counts.of(kind) = items;
    }
    counts.open_letters = letters::count_open(tx, job)?;
    let row = tx.query_one("SELECT count(*) FROM skipped WHERE job = $1", &[&job.0])?;
    counts.skipped = Fields::of("job", "skipped", &row).number(0)?;
    Ok(counts)
}

/// Items without an input or the other way round, and the job's rows of counts. The server checks its files itself.
pub fn check(tx: &mut Tx<'_>, job: JobId) -> Result<Vec<String>, Failure> {
    let mut problems = Vec::new();
    for seq in without(tx, job, "items", "payloads")? {
        problems.push(format!("item {seq} has no input"));
    }
    for seq in without(tx, job, "payloads", "items")? {
        problems.push(format!("there is an input of item {seq}, but no such item"));
    }
    let renamed = "SELECT i.seq FROM items i JOIN payloads p ON p.job = i.job AND p.seq = i.seq
         WHERE i.job = $1 AND i.id <> p.id";
    for seq in seqs(tx, job, renamed)? {
        problems.push(format!("item {seq} and its input have different ids"));
    }
    Ok(problems)
}

/// The items that stand in one table and not in the other.
fn without(tx: &mut Tx<'_>, job: JobId, table: &str, other: &str) -> Result<Vec<i64>, Failure> {
    let query = format!(
        "SELECT t.seq FROM {table} t WHERE t.job = $1 AND NOT EXISTS
         (SELECT 1 FROM {other} o WHERE o.job = t.job AND o.seq = t.seq)"
    );
    seqs(tx, job, &query)
}

fn seqs(tx: &mut Tx<'_>, job: JobId, query: &str) -> Result<Vec<i64>, Failure> {
    tx.query(query, &[&job.0])?.iter().map(|row| Fields::of("item", "items", row).get(0)).collect()
}
