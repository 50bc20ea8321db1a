//! Upkeep: what a job weighs, what belongs to nobody, and room given back. What there is to know is in `examine.rs`.
//!
//! The number of a job is never given out twice, so what stands under a number that no job has is left over, whoever looks
//! and whenever.

use chrono::{DateTime, Utc};
use postgres::Row;
use workitem_store::{BlobName, Finding, Job, JobCounts, JobId, StoreError, Swept, Upkeep};

use crate::codes::{stream_code, stream_of};
use crate::error::Failure;
use crate::pool::Tx;
use crate::rows::{Fields, number};
use crate::{PostgresStore, counts, examine, jobs};

/// Items of a job that are removed in one transaction. Other writers wait for one, and not for the whole job.
const CHUNK: i64 = 2_000;
/// The tables whose rows belong to a job, and the column that counts within it.
const TABLES: [(&str, &str); 11] = [
    ("items", "seq"),
    ("states", "seq"),
    ("due", "seq"),
    ("claims", "seq"),
    ("history", "seq"),
    ("attempts", "seq"),
    ("blobs", "seq"),
    ("pieces", "seq"),
    ("skipped", "position"),
    // They have few rows, and nothing that counts.
    ("workers", "job"),
    ("runners", "job"),
];

impl Upkeep for PostgresStore {
    fn last_change(&self, job: &Job) -> Result<DateTime<Utc>, StoreError> {
        let last = self.read("looking for the last event", |tx| {
            let row = tx.query_one("SELECT max(at) FROM history WHERE job = $1", &[&job.id.0])?;
            let fields = Fields::of("job", "history", &row);
            fields.get::<Option<i64>>(0)?.map(|_| fields.time(0)).transpose()
        })?;
        Ok(last.unwrap_or(job.created_at))
    }

    fn weight(&self, job: JobId) -> Result<u64, StoreError> {
        self.read("weighing a job", |tx| Ok(rows_weight(tx, job)? + blobs_weight(tx, job)?))
    }

    fn delete_unchanged(&self, job: JobId, seen: &JobCounts) -> Result<bool, StoreError> {
        let unchanged = self.write("deleting a job", |tx| {
            // First the job, by which those wait who add to it, then the counts, by which all others do: as they do it.
            jobs::locked(tx, job)?;
            let unchanged = counts::read_locked(tx, job)? == *seen;
            if unchanged {
                jobs::delete(tx, job)?;
            }
            Ok(unchanged)
        })?;
        if unchanged {
            self.delete_rest(job)?;
        }
        Ok(unchanged)
    }

    fn sweep_job(&self, job: JobId, remove: bool) -> Result<Swept, StoreError> {
        let mut swept = Swept::default();
        for stray in self.read("looking for output that is left over", |tx| strays(tx, job))? {
            if remove {
                self.write("removing output", |tx| remove_blob(tx, stray.name))?;
            }
            swept += Swept::piece(stray.bytes);
        }
        Ok(swept)
    }

    fn sweep_gone(&self, remove: bool) -> Result<Swept, StoreError> {
        let mut swept = Swept::default();
        for job in self.read("looking for what is left over", gone)? {
            swept += self.read("weighing what is left over", |tx| rest(tx, job))?;
            if remove {
                self.delete_rest(job)?;
            }
        }
        Ok(swept)
    }

    fn compact(&self) -> Result<bool, StoreError> {
        let vacuum = || {
            let mut client = self.pool.connect()?;
            // It takes no lock that others wait for, so it may take its time. Of tables that are not this role's it says so
            // in a warning, and goes on.
            client.batch_execute("SET statement_timeout = 0")?;
            let more = ["jobs", "counts", "meta"];
            for table in TABLES.iter().map(|(table, _)| *table).chain(more) {
                client.batch_execute(&format!("VACUUM {table}"))?;
            }
            Ok(true)
        };
        vacuum().map_err(|failure: Failure| failure.while_doing(self.pool.name(), "giving room back"))
    }

    fn examine(&self) -> Result<Vec<Finding>, StoreError> {
        examine::examine(self, &examine::Limits::default())
    }
}

impl PostgresStore {
    /// Removes all that is left of a job that is gone, bit by bit.
    pub(crate) fn delete_rest(&self, job: JobId) -> Result<(), StoreError> {
        self.heads.forget(job);
        for (table, count) in TABLES {
            let delete = format!("DELETE FROM {table} WHERE job = $1 AND {count} BETWEEN $2 AND $3");
            let mut behind = i64::MIN;
            // From the first that is there: lines that were passed over can be far apart.
            while let Some(first) =
                self.read("deleting what a job had", |tx| first(tx, job, (table, count), behind))?
            {
                let last = first.saturating_add(CHUNK - 1);
                self.write("deleting what a job had", |tx| tx.execute(&delete, &[&job.0, &first, &last]))?;
                if last == i64::MAX {
                    break;
                }
                behind = last;
            }
        }
        Ok(())
    }
}

/// The first count of a job's rows behind this one.
fn first(
    tx: &mut Tx<'_>,
    job: JobId,
    (table, count): (&str, &str),
    behind: i64,
) -> Result<Option<i64>, Failure> {
    let min = format!("SELECT min({count}) FROM {table} WHERE job = $1 AND {count} > $2");
    let row = tx.query_one(&min, &[&job.0, &behind])?;
    Fields::of("job", "its rows", &row).get(0)
}

/// Output that no attempt refers to, finished or not.
struct Stray {
    name: BlobName,
    bytes: u64,
}

/// Output of an attempt that is in progress is not left over, nor is it if its worker's lease has run out: as long as nobody
/// has put the item back, what it says counts. Of any other attempt it counts no more, so that none of these is recorded
/// after it was found here.
fn strays(tx: &mut Tx<'_>, job: JobId) -> Result<Vec<Stray>, Failure> {
    let rows = tx.query(
        "SELECT p.seq, p.attempt, p.stream, sum(octet_length(p.bytes))::bigint FROM pieces p
         WHERE p.job = $1
         AND NOT EXISTS (SELECT 1 FROM attempts a WHERE a.job = p.job AND a.seq = p.seq AND a.attempt = p.attempt
             AND CASE p.stream WHEN 0 THEN a.stdout_blob ELSE a.stderr_blob END IS NOT NULL OFFSET 0)
         AND NOT EXISTS (SELECT 1 FROM items_now i WHERE i.job = p.job AND i.seq = p.seq AND i.state = 1
             AND i.attempts = p.attempt OFFSET 0)
         GROUP BY p.seq, p.attempt, p.stream",
        &[&job.0],
    )?;
    let read = |row: &Row| {
        let fields = Fields::of("item", "pieces", row);
        let stream = stream_of(fields.get(2)?).ok_or_else(|| fields.misfit(2, "no such stream"))?;
        let name = BlobName { job, seq: fields.number(0)?, attempt: fields.number(1)?, stream };
        Ok(Stray { name, bytes: fields.number(3)? })
    };
    rows.iter().map(read).collect()
}

fn remove_blob(tx: &mut Tx<'_>, name: BlobName) -> Result<(), Failure> {
    let (seq, attempt, stream) = (number(name.seq)?, number(name.attempt)?, stream_code(name.stream));
    for table in ["blobs", "pieces"] {
        tx.execute(
            &format!("DELETE FROM {table} WHERE job = $1 AND seq = $2 AND attempt = $3 AND stream = $4"),
            &[&name.job.0, &seq, &attempt, &stream],
        )?;
    }
    Ok(())
}

/// The numbers that no job has and under which something stands: a step through an index for each.
fn gone(tx: &mut Tx<'_>) -> Result<Vec<JobId>, Failure> {
    let mut numbers = std::collections::BTreeSet::new();
    for (table, _) in TABLES {
        let mut last = i64::MIN;
        let next = format!("SELECT min(job) FROM {table} WHERE job > $1");
        while let Some(number) = {
            let row = tx.query_one(&next, &[&last])?;
            Fields::of("job", table, &row).get::<Option<i64>>(0)?
        } {
            numbers.insert(JobId(number));
            last = number;
        }
    }
    for job in jobs::all(tx)? {
        numbers.remove(&job.id);
    }
    Ok(numbers.into_iter().collect())
}

/// What is left of a job that is gone: each blob, and its rows together.
fn rest(tx: &mut Tx<'_>, job: JobId) -> Result<Swept, Failure> {
    let row = tx.query_one(
        "SELECT count(*) FROM (SELECT DISTINCT seq, attempt, stream FROM pieces WHERE job = $1) AS blobs",
        &[&job.0],
    )?;
    let pieces = Fields::of("job", "pieces", &row).number(0)?;
    let mut rest = Swept { pieces, bytes: blobs_weight(tx, job)? };
    for (table, count) in TABLES.iter().filter(|(table, _)| !["blobs", "pieces"].contains(table)) {
        if first(tx, job, (table, count), i64::MIN)?.is_some() {
            rest += Swept::piece(rows_weight(tx, job)?);
            break;
        }
    }
    Ok(rest)
}

fn rows_weight(tx: &mut Tx<'_>, job: JobId) -> Result<u64, Failure> {
    // What a row takes up besides, in its table and the indexes, is a guess.
    let sums = [
        "SELECT coalesce(sum(100 + 2 * octet_length(id) + octet_length(payload)), 0)::bigint FROM items WHERE job = $1",
        "SELECT coalesce(sum(120 + coalesce(octet_length(text), 0)), 0)::bigint FROM states WHERE job = $1",
        "SELECT coalesce(sum(80 + coalesce(octet_length(payload), 0)), 0)::bigint FROM history WHERE job = $1",
        "SELECT coalesce(sum(octet_length(stdout) + octet_length(stderr)), 0)::bigint FROM attempts WHERE job = $1",
    ];
    let mut weight = 0;
    for sum in sums {
        weight += sum_of(tx, job, sum)?;
    }
    Ok(weight)
}

fn blobs_weight(tx: &mut Tx<'_>, job: JobId) -> Result<u64, Failure> {
    sum_of(tx, job, "SELECT coalesce(sum(octet_length(bytes)), 0)::bigint FROM pieces WHERE job = $1")
}

fn sum_of(tx: &mut Tx<'_>, job: JobId, sum: &str) -> Result<u64, Failure> {
    let row = tx.query_one(sum, &[&job.0])?;
    Fields::of("job", "its rows", &row).number(0)
}
