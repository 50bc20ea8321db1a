//! How far a job is: the sum of its sixteen rows.

use std::iter;

use postgres::Row;
use workitem_store::engine::CountChange;
use workitem_store::{JobCounts, JobId};
use workitem_types::{StatusCounts, StatusKind};

use crate::error::Failure;
use crate::jobs::no_job;
use crate::pool::Tx;
use crate::rows::{Fields, number};

const COUNTS: &str = "shard, pending, in_progress, completed, failed, dead_lettered, open_letters, skipped";

/// By how much the counts of a job change.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Change {
    pending: i64,
    in_progress: i64,
    completed: i64,
    failed: i64,
    dead_lettered: i64,
    open_letters: i64,
    skipped: i64,
}

impl Change {
    /// So many items more that are pending.
    pub fn added(items: usize) -> Result<Self, Failure> {
        Ok(Self { pending: number(items)?, ..Self::default() })
    }

    /// So many lines more that were passed over.
    pub fn skipped(lines: u64) -> Result<Self, Failure> {
        Ok(Self { skipped: number(lines)?, ..Self::default() })
    }

    /// So many open letters less.
    pub fn dismissed(letters: usize) -> Result<Self, Failure> {
        Ok(Self { open_letters: -number(letters)?, ..Self::default() })
    }

    /// And a step.
    pub fn count(&mut self, change: CountChange) -> Result<(), Failure> {
        *self.of(change.from) -= 1;
        *self.of(change.to) += 1;
        self.open_letters += number(change.open_letters)?;
        Ok(())
    }

    const fn of(&mut self, kind: StatusKind) -> &mut i64 {
        match kind {
            StatusKind::Pending => &mut self.pending,
            StatusKind::InProgress => &mut self.in_progress,
            StatusKind::Completed => &mut self.completed,
            StatusKind::Failed => &mut self.failed,
            StatusKind::DeadLettered => &mut self.dead_lettered,
        }
    }
}

/// Changes the counts of a job. It is the last thing that a transaction waits for, so that whoever holds one of these
/// rows is about to commit. A job that has none is gone, and nothing may be written for it.
pub fn change(tx: &mut Tx<'_>, job: JobId, change: &Change) -> Result<(), Failure> {
    let Change { pending, in_progress, completed, failed, dead_lettered, open_letters, skipped } = change;
    let changed = tx.execute(
        "UPDATE counts SET pending = pending + $3, in_progress = in_progress + $4, completed = completed + $5,
         failed = failed + $6, dead_lettered = dead_lettered + $7, open_letters = open_letters + $8,
         skipped = skipped + $9 WHERE job = $1 AND shard = $2",
        &[
            &job.0,
            &tx.shard(),
            pending,
            in_progress,
            completed,
            failed,
            dead_lettered,
            open_letters,
            skipped,
        ],
    )?;
    if changed == 1 { Ok(()) } else { Err(no_job(job, tx.store).into()) }
}

pub fn read(tx: &mut Tx<'_>, job: JobId) -> Result<JobCounts, Failure> {
    let rows = tx.query(&format!("SELECT {COUNTS} FROM counts WHERE job = $1"), &[&job.0])?;
    sum(tx, job, &rows)
}

/// Waits until nobody changes the counts any more, and lets nobody until the transaction ends.
pub fn read_locked(tx: &mut Tx<'_>, job: JobId) -> Result<JobCounts, Failure> {
    let locked = format!("SELECT {COUNTS} FROM counts WHERE job = $1 ORDER BY job, shard FOR UPDATE");
    let rows = tx.query(&locked, &[&job.0])?;
    sum(tx, job, &rows)
}

fn sum(tx: &Tx<'_>, job: JobId, rows: &[Row]) -> Result<JobCounts, Failure> {
    if rows.is_empty() {
        return Err(no_job(job, tx.store).into());
    }
    let mut sums = [0_i64; 7];
    for row in rows {
        let fields = Fields::of("shard", "counts", row);
        for (sum, column) in iter::zip(&mut sums, 1..) {
            *sum = sum.saturating_add(fields.get(column)?);
        }
    }
    let positive = |sum: i64| {
        usize::try_from(sum).map_err(|_| tx.damaged(format!("a count of job {job} is {sum}, which is none")))
    };
    let [pending, in_progress, completed, failed, dead_lettered, open_letters, skipped] = sums;
    Ok(JobCounts {
        by_status: StatusCounts {
            pending: positive(pending)?,
            in_progress: positive(in_progress)?,
            completed: positive(completed)?,
            failed: positive(failed)?,
            dead_lettered: positive(dead_lettered)?,
        },
        open_letters: positive(open_letters)?,
        skipped: positive(skipped)?,
    })
}
