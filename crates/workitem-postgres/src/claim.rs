//! Handing items out, and finding those that nobody works on.

use std::time::Duration;

use chrono::{DateTime, Utc};
use postgres::Row;
use workitem_store::{
    Abandoned, AnyStep, Claim, ClaimRequest, Claims, ItemRow, JobId, Payload, engine, whole_micros,
};

use crate::error::Failure;
use crate::head::{Due, START};
use crate::jobs::sealed;
use crate::pool::Tx;
use crate::record::write_claims;
use crate::rows::{self, AFTER_ITEM, Fields, ITEM, bound, micros};

/// What is asked for most, so its plan is looked at by a test: along the index, not a row more than wanted. Items that
/// somebody else is just claiming are passed over, not waited for.
pub const DUE: &str = "i.job = $1 AND i.state = 0 AND i.run_at <= $2 AND (i.run_at, i.seq) > ($3, $4)
     ORDER BY i.run_at, i.seq LIMIT $5 FOR UPDATE OF i SKIP LOCKED";
const NEXT: &str = "SELECT run_at FROM items WHERE job = $1 AND state = 0 AND (run_at, seq) > ($2, $3)
     ORDER BY run_at, seq LIMIT 1";
/// Longest lease: what is longer is as long as that.
const LONGEST_LEASE: Duration = Duration::from_hours(24 * 365);

/// What a claim has handed out, and how far along what is due it has come.
pub struct Claimed {
    pub claims: Claims,
    /// Where it began, and where it ended: nothing that is due is left between them, but what others have locked.
    pub from: Due,
    pub to: Due,
}

/// Claims what is due behind `head`.
pub fn claim(tx: &mut Tx<'_>, request: &ClaimRequest<'_>, head: Due) -> Result<Claimed, Failure> {
    let nothing = Claims { claims: Vec::new(), next_due: None };
    if !sealed(tx, request.job)?.1 {
        return Ok(Claimed { claims: nothing, from: START, to: START });
    }
    let (mut from, mut items) = (head, due(tx, request, head)?);
    if items.len() < request.limit && from != START {
        // Something may have been put back in front. What was locked just now is locked still, and is found again.
        (from, items) = (START, due(tx, request, START)?);
    }
    let now = whole_micros(request.now);
    let (mut steps, mut payloads): (Vec<AnyStep>, Vec<Payload>) = (Vec::new(), Vec::new());
    let mut to = from;
    for (row, payload) in items {
        to = to.max((row.run_at.map_or(0, micros), bound(row.seq)));
        steps.push(engine::claim_step(tx.store, request.job, &row, request.agent, now)?.seal());
        payloads.push(payload);
    }
    if !steps.is_empty() {
        // The lease begins with the claim or not at all, and before the counts, for which all others wait.
        prolong(tx, request.job, request.agent, request.lease)?;
        write_claims(tx, &steps, request.spawning)?;
    }
    let next_due = next_due(tx, request.job, to)?;
    let claims = steps
        .into_iter()
        .zip(payloads)
        .map(|(step, payload)| Claim { leased: step.durable(), payload })
        .collect();
    Ok(Claimed { claims: Claims { claims, next_due }, from, to })
}

fn due(tx: &mut Tx<'_>, request: &ClaimRequest<'_>, head: Due) -> Result<Vec<(ItemRow, Payload)>, Failure> {
    let by = micros(whole_micros(request.due));
    let rows = tx.query(
        &format!(
            "SELECT {ITEM}, p.payload FROM items i JOIN payloads p ON p.job = i.job AND p.seq = i.seq WHERE {DUE}"
        ),
        &[&request.job.0, &by, &head.0, &head.1, &bound(request.limit)],
    )?;
    let read = |row: &Row| {
        let item = rows::item(row)?;
        let payload = rows::payload(row, AFTER_ITEM, item.seq)?;
        Ok((item, payload))
    };
    rows.iter().map(read).collect()
}

fn next_due(tx: &mut Tx<'_>, job: JobId, after: Due) -> Result<Option<DateTime<Utc>>, Failure> {
    let next = tx.query_opt(NEXT, &[&job.0, &after.0, &after.1])?;
    next.map(|row| Fields::of("item", "items", &row).time(0)).transpose()
}

/// A lease is the worker's, not the item's: one row, and what it holds is what it has claimed. It never gets shorter by a
/// claim.
fn prolong(tx: &mut Tx<'_>, job: JobId, agent: &str, lease: Duration) -> Result<(), Failure> {
    tx.execute(
        "INSERT INTO workers (job, name, expires_at)
         VALUES ($1, $2, clock_timestamp() + $3::bigint * interval '1 microsecond')
         ON CONFLICT (job, name) DO UPDATE SET expires_at = greatest(workers.expires_at, excluded.expires_at)",
        &[&job.0, &agent.as_bytes(), &micros_of(lease)],
    )?;
    Ok(())
}

/// Begins the lease anew, from now on; one of nothing ends it.
pub fn renew(tx: &mut Tx<'_>, job: JobId, agent: &str, lease: Duration) -> Result<(), Failure> {
    if lease.is_zero() {
        tx.execute("DELETE FROM workers WHERE job = $1 AND name = $2", &[&job.0, &agent.as_bytes()])?;
    } else {
        tx.execute(
            "INSERT INTO workers (job, name, expires_at)
             VALUES ($1, $2, clock_timestamp() + $3::bigint * interval '1 microsecond')
             ON CONFLICT (job, name) DO UPDATE SET expires_at = excluded.expires_at",
            &[&job.0, &agent.as_bytes(), &micros_of(lease)],
        )?;
    }
    Ok(())
}

fn micros_of(lease: Duration) -> i64 {
    bound(lease.min(LONGEST_LEASE).as_micros())
}

/// What workers have who are not there any more.
///
/// A lease that has run out is deleted first. That waits for a worker who is just renewing it, and then looks again; so
/// whether it has run out is decided by the server's clock and under a lock, and an item of a worker with a row is never
/// found here.
pub fn abandoned(tx: &mut Tx<'_>, job: JobId, limit: usize) -> Result<Vec<Abandoned>, Failure> {
    tx.execute("DELETE FROM workers WHERE job = $1 AND expires_at <= clock_timestamp()", &[&job.0])?;
    let rows = tx.query(
        &format!(
            "SELECT {ITEM}, i.spawned FROM items i
             WHERE i.job = $1 AND i.state IN (1, 3)
             AND NOT EXISTS (SELECT 1 FROM workers w WHERE w.job = i.job AND w.name = i.worker)
             ORDER BY i.seq LIMIT $2"
        ),
        &[&job.0, &bound(limit)],
    )?;
    let read = |row: &Row| {
        let spawned = Fields::of("item", "items", row).get(AFTER_ITEM)?;
        Ok(engine::abandoned(tx.store, job, rows::item(row)?, spawned)?)
    };
    rows.iter().map(read).collect()
}
