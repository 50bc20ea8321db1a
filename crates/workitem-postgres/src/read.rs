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
use crate::lease::HELD;
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
            "SELECT {ITEM} FROM items_now i WHERE i.job = $1 AND i.seq > $2 AND coalesce($3, i.state) = i.state
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
    let query = format!("SELECT {ITEM} FROM items_now i WHERE i.job = $1 AND i.id = $2");
    let row = tx.query_opt(&query, &[&job.id.0, &id.as_str()])?;
    rows::item(&row.ok_or_else(no_item)?)
}

pub fn payload(tx: &mut Tx<'_>, job: JobId, seq: u64) -> Result<Payload, Failure> {
    let row =
        tx.query_opt("SELECT payload FROM items WHERE job = $1 AND seq = $2", &[&job.0, &bound(seq)])?;
    rows::payload(&row.ok_or_else(|| tx.damaged(format!("there is no item {seq}")))?, 0, seq)
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
        "SELECT coalesce(sum(until - seq + 1), 0)::bigint FROM due WHERE job = $1 AND run_at > $2",
        &[&job.0, &micros(whole_micros(now))],
    )?;
    Fields::of("job", "due", &row).number(0)
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
    let rows = tx.query("SELECT state, count(*) FROM states WHERE job = $1 GROUP BY state", &[&job.0])?;
    for row in &rows {
        let fields = Fields::of("state", "states", row);
        let (code, items) = (fields.get(0)?, fields.number(1)?);
        let kind = status_kind(code).ok_or_else(|| {
            tx.damaged(format!("there are {items} items in state {code}, which does not exist"))
        })?;
        *counts.of(kind) = items;
    }
    let in_progress = format!("SELECT coalesce(sum({HELD}), 0)::bigint FROM claims c WHERE c.job = $1");
    let in_progress = sum(tx, job, "claims", &in_progress)?;
    let items: usize = sum(tx, job, "items", "SELECT count(*) FROM items WHERE job = $1")?;
    let status = &mut counts.by_status;
    let others = in_progress + status.completed + status.failed + status.dead_lettered;
    (status.in_progress, status.pending) = (in_progress, items.saturating_sub(others));
    counts.open_letters = letters::count_open(tx, job)?;
    counts.skipped = sum(tx, job, "skipped", "SELECT count(*) FROM skipped WHERE job = $1")?;
    Ok(counts)
}

fn sum<T: TryFrom<i64>>(tx: &mut Tx<'_>, job: JobId, table: &'static str, query: &str) -> Result<T, Failure> {
    Fields::of("job", table, &tx.query_one(query, &[&job.0])?).number(0)
}

/// Whether what is pending can be claimed, each item once, and nothing else. The server checks its files itself.
pub fn check(tx: &mut Tx<'_>, job: JobId) -> Result<Vec<String>, Failure> {
    let mut problems = Vec::new();
    let stray = "SELECT s.seq FROM states s WHERE s.job = $1 AND NOT EXISTS
         (SELECT 1 FROM items i WHERE i.job = s.job AND i.seq = s.seq OFFSET 0)";
    for seq in seqs(tx, job, stray)? {
        problems.push(format!("there is a state of item {seq}, but no such item"));
    }
    let lost = "SELECT i.seq FROM items_now i WHERE i.job = $1 AND i.state = 0 AND NOT EXISTS
         (SELECT 1 FROM due d WHERE d.job = i.job AND d.run_at = i.run_at AND d.seq BETWEEN i.seq - 127 AND i.seq
         AND d.until >= i.seq AND d.version = i.version OFFSET 0)";
    for seq in seqs(tx, job, lost)? {
        problems.push(format!("item {seq} is pending, but nobody can claim it"));
    }
    let due = "SELECT coalesce(sum(until - seq + 1), 0)::bigint FROM due WHERE job = $1";
    let (due, pending): (usize, usize) = (sum(tx, job, "due", due)?, recount(tx, job)?.by_status.pending);
    if due > pending {
        problems.push(format!("{pending} items are pending, but {due} can be claimed"));
    }
    Ok(problems)
}

fn seqs(tx: &mut Tx<'_>, job: JobId, query: &str) -> Result<Vec<i64>, Failure> {
    tx.query(query, &[&job.0])?.iter().map(|row| Fields::of("item", "items", row).get(0)).collect()
}
