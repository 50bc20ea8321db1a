//! Who is there, and what those have left who are not any more.
//!
//! A lease is the worker's, not the item's: one row, and what it holds is what it has claimed.

use std::time::Duration;

use postgres::Row;
use workitem_store::{Abandoned, JobId, engine};

use crate::error::Failure;
use crate::pool::Tx;
use crate::rows::{self, AFTER_ITEM, Fields, ITEM, bound};

/// Longest lease: what is longer is as long as that.
const LONGEST: Duration = Duration::from_hours(24 * 365);
/// How many items the claim `c` still holds: whatever happens to one of them gives it another version.
pub const HELD: &str = "(c.until - c.seq + 1 - (SELECT count(*) FROM states s
     WHERE s.job = c.job AND s.seq BETWEEN c.seq AND c.until AND s.version > c.version))";

/// Begins a lease or prolongs it. It never gets shorter by a claim.
pub fn prolong(tx: &mut Tx<'_>, job: JobId, worker: &str, lease: Duration) -> Result<(), Failure> {
    tx.execute(
        "INSERT INTO workers (job, name, expires_at)
         VALUES ($1, $2, clock_timestamp() + $3::bigint * interval '1 microsecond')
         ON CONFLICT (job, name) DO UPDATE SET expires_at = greatest(workers.expires_at, excluded.expires_at)",
        &[&job.0, &worker.as_bytes(), &micros_of(lease)],
    )?;
    Ok(())
}

/// Begins the lease anew, from now on; one of nothing ends it.
pub fn renew(tx: &mut Tx<'_>, job: JobId, worker: &str, lease: Duration) -> Result<(), Failure> {
    if lease.is_zero() {
        tx.execute("DELETE FROM workers WHERE job = $1 AND name = $2", &[&job.0, &worker.as_bytes()])?;
    } else {
        tx.execute(
            "INSERT INTO workers (job, name, expires_at)
             VALUES ($1, $2, clock_timestamp() + $3::bigint * interval '1 microsecond')
             ON CONFLICT (job, name) DO UPDATE SET expires_at = excluded.expires_at",
            &[&job.0, &worker.as_bytes(), &micros_of(lease)],
        )?;
    }
    tx.execute(&remove_empty("c.worker = $2"), &[&job.0, &worker.as_bytes()])?;
    Ok(())
}

/// Removes claims that hold nothing any more, of a job and of whom `whose` says. What somebody else is just removing is
/// left to them: they may do it in another order.
fn remove_empty(whose: &str) -> String {
    format!(
        "DELETE FROM claims d USING (SELECT c.ctid AS place FROM claims c
         WHERE c.job = $1 AND {whose} AND {HELD} = 0 FOR UPDATE SKIP LOCKED) AS empty WHERE d.ctid = empty.place"
    )
}

fn micros_of(lease: Duration) -> i64 {
    bound(lease.min(LONGEST).as_micros())
}

/// What workers have who are not there any more.
///
/// A lease that has run out is deleted first. That waits for a worker who is just renewing it, and then looks again; so
/// whether it has run out is decided by the server's clock and under a lock, and an item of a worker with a row is never
/// found here.
pub fn abandoned(tx: &mut Tx<'_>, job: JobId, limit: usize) -> Result<Vec<Abandoned>, Failure> {
    const IS_GONE: &str = "NOT EXISTS (SELECT 1 FROM workers WHERE job = $1 AND name = worker OFFSET 0)";
    tx.execute("DELETE FROM workers WHERE job = $1 AND expires_at <= clock_timestamp()", &[&job.0])?;
    tx.execute(&remove_empty(IS_GONE), &[&job.0])?;
    let mut rows = tx.query(
        &format!(
            "SELECT {ITEM}, i.spawned FROM claims c CROSS JOIN LATERAL
             (SELECT * FROM items_now WHERE job = c.job AND seq BETWEEN c.seq AND c.until
             AND version = c.version + 1 AND state = 1 OFFSET 0) i
             WHERE c.job = $1 AND {IS_GONE} ORDER BY c.seq LIMIT $2"
        ),
        &[&job.0, &bound(limit)],
    )?;
    rows.extend(tx.query(
        &format!(
            "SELECT {ITEM}, false FROM states s CROSS JOIN LATERAL
             (SELECT * FROM items_now WHERE job = s.job AND seq = s.seq OFFSET 0) i
             WHERE s.job = $1 AND s.state = 3 AND {IS_GONE} ORDER BY s.seq LIMIT $2"
        ),
        &[&job.0, &bound(limit - rows.len().min(limit))],
    )?);
    let read = |row: &Row| {
        let spawned = Fields::of("item", "claims", row).get(AFTER_ITEM)?;
        Ok(engine::abandoned(tx.store, job, rows::item(row)?, spawned)?)
    };
    rows.iter().map(read).collect()
}
