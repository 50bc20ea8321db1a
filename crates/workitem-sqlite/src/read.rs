//! Queries.

use std::ops::RangeInclusive;

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, Transaction, params};
use workitem_store::{
    AttemptRow, HistoryRow, ItemQuery, ItemRow, Job, JobCounts, JobId, Payload, Skipped, StoreError,
};
use workitem_types::{ItemId, StatusKind};

use crate::codes::{status_code, status_kind};
use crate::error::Failure;
use crate::rows::{self, ATTEMPT, HISTORY, ITEM, micros};

pub fn items(tx: &Transaction<'_>, job: JobId, query: &ItemQuery) -> Result<Vec<ItemRow>, Failure> {
    let mut items = tx.prepare_cached(&format!(
        "SELECT {ITEM} FROM items i WHERE job = ?1 AND seq > ?2 AND coalesce(?3, status) = status
         ORDER BY seq LIMIT ?4"
    ))?;
    let status = query.status.map(status_code);
    let rows = items.query_map(params![job.0, query.after, status, query.limit], rows::item)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub fn item(tx: &Transaction<'_>, job: &Job, id: &ItemId) -> Result<ItemRow, Failure> {
    let mut query = tx.prepare_cached(&format!("SELECT {ITEM} FROM items i WHERE job = ? AND id = ?"))?;
    let found = query.query_row(params![job.id.0, id.as_str()], rows::item).optional()?;
    Ok(found.ok_or_else(|| StoreError::NoItem { job: job.name.clone(), id: id.clone() })?)
}

pub fn payload(tx: &Transaction<'_>, job: JobId, seq: u64, store: &str) -> Result<Payload, Failure> {
    let damaged = |what: String| StoreError::Damaged { store: store.to_owned(), what };
    let mut query = tx.prepare_cached("SELECT payload FROM payloads WHERE job = ? AND seq = ?")?;
    let json: Option<String> = query.query_row(params![job.0, seq], |row| row.get(0)).optional()?;
    let json = json.ok_or_else(|| damaged(format!("item {seq} has no input")))?;
    Ok(Payload::from_json(&json).map_err(|error| damaged(format!("the input of item {seq}: {error}")))?)
}

pub fn history(
    tx: &Transaction<'_>,
    job: JobId,
    seqs: RangeInclusive<u64>,
) -> Result<Vec<HistoryRow>, Failure> {
    let [first, last] = bounds(&seqs);
    let mut query = tx.prepare_cached(&format!(
        "SELECT {HISTORY} FROM history WHERE job = ? AND seq BETWEEN ? AND ? ORDER BY seq, version"
    ))?;
    let rows = query.query_map(params![job.0, first, last], rows::history)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub fn attempts(
    tx: &Transaction<'_>,
    job: JobId,
    seqs: RangeInclusive<u64>,
) -> Result<Vec<AttemptRow>, Failure> {
    let [first, last] = bounds(&seqs);
    let mut query = tx.prepare_cached(&format!(
        "SELECT {ATTEMPT} FROM attempts WHERE job = ? AND seq BETWEEN ? AND ? ORDER BY seq, attempt"
    ))?;
    let rows = query.query_map(params![job.0, first, last], rows::attempt)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub fn waiting(tx: &Transaction<'_>, job: JobId, now: DateTime<Utc>) -> Result<usize, Failure> {
    let mut query = tx.prepare_cached(
        "SELECT count(*) FROM items INDEXED BY items_due WHERE job = ? AND status = 0 AND run_at > ?",
    )?;
    Ok(query.query_row(params![job.0, micros(now)], |row| row.get(0))?)
}

pub fn skipped(tx: &Transaction<'_>, job: JobId) -> Result<Vec<Skipped>, Failure> {
    let mut query =
        tx.prepare_cached("SELECT position, place, reason FROM skipped WHERE job = ? ORDER BY position")?;
    let rows = query.query_map([job.0], |row| {
        Ok(Skipped { position: row.get(0)?, place: row.get(1)?, reason: row.get(2)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Counts by looking at every item.
pub fn recount(tx: &Transaction<'_>, job: JobId, store: &str) -> Result<JobCounts, Failure> {
    let mut counts = JobCounts::default();
    let mut by_status =
        tx.prepare_cached("SELECT status, count(*) FROM items WHERE job = ? GROUP BY status")?;
    let rows = by_status.query_map([job.0], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, usize>(1)?)))?;
    for row in rows {
        let (code, items) = row?;
        let kind: StatusKind = status_kind(code).ok_or_else(|| StoreError::Damaged {
            store: store.to_owned(),
            what: format!("there are {items} items in state {code}, which does not exist"),
        })?;
        *counts.of(kind) = items;
    }
    counts.open_letters = tx.query_row(
        "SELECT count(*) FROM items l INDEXED BY items_dead
         WHERE l.job = ? AND l.status = 4 AND l.origin IS NULL AND l.dropped = 0 AND NOT EXISTS
         (SELECT 1 FROM items s INDEXED BY items_by_origin
          WHERE s.job = l.job AND s.origin = l.id AND s.status = 2)",
        [job.0],
        |row| row.get(0),
    )?;
    counts.skipped = tx.query_row("SELECT count(*) FROM skipped WHERE job = ?", [job.0], |row| row.get(0))?;
    Ok(counts)
}

/// SQLite's own check, and items without an input or the other way round.
pub fn check(tx: &Transaction<'_>, job: JobId) -> Result<Vec<String>, Failure> {
    let mut check = tx.prepare("PRAGMA integrity_check")?;
    let lines = check.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
    let mut problems: Vec<String> = lines.into_iter().filter(|line| line != "ok").collect();
    for seq in without(tx, job, "items", "payloads")? {
        problems.push(format!("item {seq} has no input"));
    }
    for seq in without(tx, job, "payloads", "items")? {
        problems.push(format!("there is an input of item {seq}, but no such item"));
    }
    Ok(problems)
}

/// The items that stand in one table and not in the other.
fn without(tx: &Transaction<'_>, job: JobId, table: &str, other: &str) -> Result<Vec<i64>, Failure> {
    let mut missing = tx.prepare(&format!(
        "SELECT seq FROM {table} t WHERE job = ? AND NOT EXISTS
         (SELECT 1 FROM {other} o WHERE o.job = t.job AND o.seq = t.seq)"
    ))?;
    Ok(missing.query_map([job.0], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

/// The greatest number that SQLite knows stands for all that are greater.
fn bounds(seqs: &RangeInclusive<u64>) -> [i64; 2] {
    [*seqs.start(), *seqs.end()].map(|seq| i64::try_from(seq).unwrap_or(i64::MAX))
}
