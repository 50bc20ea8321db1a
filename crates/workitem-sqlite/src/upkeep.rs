//! Upkeep: what a job weighs, what belongs to nobody, and room given back. What there is to know is in `examine.rs`.
//!
//! The number of a job is never given out twice, so a file or a row under a number that no job has is left over, whoever
//! looks and whenever. Files are listed before it is asked which jobs there are.

use std::collections::BTreeSet;
use std::fs::{self, DirEntry};
use std::io;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use workitem_store::{
    BlobName, Finding, Job, JobCounts, JobId, Store, StoreError, StreamKind, Swept, Upkeep,
};

use crate::error::Failure;
use crate::open::BUSY_TIMEOUT;
use crate::record::read_counts;
use crate::rows::time;
use crate::{SqliteStore, examine, lock, private, submit};

/// Items of a job that are removed in one transaction. Other writers wait for one, and not for the whole job.
const CHUNK: i64 = 2_000;
/// How long to wait for readers before the write-ahead log is cut to nothing. If they stay, the next one does it.
const PATIENCE: Duration = Duration::from_secs(1);
/// The tables whose rows belong to a job, and the column that counts within it.
const TABLES: [(&str, &str); 5] =
    [("items", "seq"), ("payloads", "seq"), ("history", "seq"), ("attempts", "seq"), ("skipped", "position")];

impl Upkeep for SqliteStore {
    fn last_change(&self, job: &Job) -> Result<DateTime<Utc>, StoreError> {
        let last = self.read("looking for the last event", |tx| {
            let query = "SELECT max(at) FROM history WHERE job = ?";
            let last: Option<i64> = tx.query_row(query, [job.id.0], |row| row.get(0))?;
            Ok(last.map(|at| time(0, at)).transpose()?)
        })?;
        Ok(last.unwrap_or(job.created_at))
    }

    fn weight(&self, job: JobId) -> Result<u64, StoreError> {
        self.read("weighing a job", |tx| weight(tx, job))
    }

    fn delete_unchanged(&self, job: JobId, seen: &JobCounts) -> Result<bool, StoreError> {
        let unchanged = self.write("deleting a job", |tx| {
            let unchanged = read_counts(tx, job, self.path_name())? == *seen;
            if unchanged {
                submit::delete(tx, job)?;
            }
            Ok(unchanged)
        })?;
        if unchanged {
            self.delete_rest(job)?;
        }
        Ok(unchanged)
    }

    fn sweep_job(&self, job: JobId, remove: bool) -> Result<Swept, StoreError> {
        if remove {
            // Or an attempt may turn up later that refers to what is gone.
            self.forget_untold()?;
        }
        let mut swept = Swept::default();
        for (entry, name) in self.entries(".output", Some(job), |name| blob_name(job, name))? {
            let refers = |tx: &Transaction<'_>| refers(tx, name);
            if !self.read("looking for output that is left over", refers)? {
                swept += self.sweep_file(&entry, remove)?;
            }
        }
        Ok(swept)
    }

    fn sweep_gone(&self, remove: bool) -> Result<Swept, StoreError> {
        let number = |name: &str| name.parse().ok().map(JobId);
        let mut gone = BTreeSet::new();
        for suffix in [".locks", ".output"] {
            gone.extend(self.entries(suffix, None, number)?.into_iter().map(|(_, job)| job));
        }
        self.read("looking for what is left over", |tx| {
            for (table, _) in TABLES {
                gone.extend(numbers(tx, table)?);
            }
            let jobs: BTreeSet<JobId> = submit::all(tx)?.into_iter().map(|job| job.id).collect();
            gone.retain(|job| !jobs.contains(job));
            Ok(())
        })?;
        let mut swept = Swept::default();
        for job in gone {
            // Who holds the lock of a job that is gone is just deleting it.
            let looked = lock::look(&self.lock_path(job));
            if looked.map_err(|error| self.file_error("looking at a job's lock", error))?.is_none() {
                swept += self.rest(job)?;
                if remove {
                    self.delete_rest(job)?;
                }
            }
        }
        Ok(swept)
    }

    fn compact(&self) -> Result<bool, StoreError> {
        let compacted = self.with_writer(has_room).and_then(|has_room| {
            if has_room && self.is_anything_running()? {
                return Ok(false);
            }
            self.with_writer(|connection| compact(connection, has_room)).map(|()| true)
        });
        match compacted {
            Err(failure) if failure.is_busy() => Ok(false),
            compacted => compacted.map_err(|failure| {
                failure.while_doing(self.path_name(), "giving free room back to the file system")
            }),
        }
    }

    fn examine(&self) -> Result<Vec<Finding>, StoreError> {
        examine::examine(self, &examine::Limits::default())
    }
}

impl SqliteStore {
    /// Removes all that is left of a job that is gone: rows bit by bit, then output, then the lock, by which others know
    /// that somebody is at it.
    pub(crate) fn delete_rest(&self, job: JobId) -> Result<(), StoreError> {
        for (table, count) in TABLES {
            while self.write("deleting what a job had", |tx| delete_some(tx, job, table, count))? {}
        }
        self.delete_blobs(job)?;
        match fs::remove_file(self.lock_path(job)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(self.file_error("deleting a job's lock", error))
            }
            _ => Ok(()),
        }
    }

    /// What is left of a job that is gone.
    fn rest(&self, job: JobId) -> Result<Swept, StoreError> {
        let mut rest = Swept::default();
        for (entry, ()) in self.entries(".locks", None, |name| (name == job.to_string()).then_some(()))? {
            rest += self.sweep_file(&entry, false)?;
        }
        for (entry, ()) in self.entries(".output", Some(job), |_| Some(()))? {
            rest += self.sweep_file(&entry, false)?;
        }
        let rows = self.read("weighing what is left over", |tx| {
            for (table, count) in TABLES {
                if first(tx, job, table, count)?.is_some() {
                    return Ok(Swept::piece(weight(tx, job)?));
                }
            }
            Ok(Swept::default())
        })?;
        rest += rows;
        Ok(rest)
    }

    fn is_anything_running(&self) -> Result<bool, StoreError> {
        for job in self.jobs()? {
            if self.running(&job)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What stands in a folder beside the store's file, or in that of a job in it, under names that mean something.
    fn entries<T>(
        &self,
        suffix: &str,
        job: Option<JobId>,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Vec<(DirEntry, T)>, StoreError> {
        let whole = self.beside(suffix);
        let path = job.map_or(whole.clone(), |job| whole.join(job.to_string()));
        let list = || {
            let mut entries = Vec::new();
            if !private::is_ours(&whole, self.owner())? || !private::is_ours(&path, self.owner())? {
                return Ok(entries);
            }
            for entry in fs::read_dir(&path)? {
                let entry = entry?;
                if let Some(name) = entry.file_name().to_str().and_then(&read) {
                    entries.push((entry, name));
                }
            }
            Ok(entries)
        };
        list().map_err(|error: io::Error| self.file_error(&format!("looking at {}", path.display()), error))
    }

    fn sweep_file(&self, entry: &DirEntry, remove: bool) -> Result<Swept, StoreError> {
        let sweep = || -> io::Result<Swept> {
            let bytes = entry.metadata()?.len();
            if remove {
                fs::remove_file(entry.path())?;
            }
            Ok(Swept::piece(bytes))
        };
        match sweep() {
            // Another process was quicker.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Swept::default()),
            swept => {
                swept.map_err(|error| self.file_error(&format!("removing {}", entry.path().display()), error))
            }
        }
    }
}

fn weight(tx: &Transaction<'_>, job: JobId) -> Result<u64, Failure> {
    // What a row takes up besides, in its table and the indexes, is a guess.
    let sums = [
        "SELECT coalesce(sum(48 + 2 * octet_length(id) + coalesce(octet_length(text), 0)
         + coalesce(octet_length(result), 0)), 0) FROM items WHERE job = ?",
        "SELECT coalesce(sum(octet_length(payload)), 0) FROM payloads WHERE job = ?",
        "SELECT coalesce(sum(16 + coalesce(octet_length(payload), 0)), 0) FROM history WHERE job = ?",
        "SELECT coalesce(sum(octet_length(stdout) + octet_length(stderr) + coalesce(stdout_blob, 0)
         + coalesce(stderr_blob, 0)), 0) FROM attempts WHERE job = ?",
    ];
    let mut weight = 0;
    for sum in sums {
        weight += tx.query_row(sum, [job.0], |row| row.get::<_, u64>(0))?;
    }
    Ok(weight)
}

/// Whether an attempt refers to a blob.
fn refers(tx: &Transaction<'_>, name: BlobName) -> Result<bool, Failure> {
    let mut query = tx.prepare_cached(
        "SELECT stdout_blob IS NOT NULL, stderr_blob IS NOT NULL FROM attempts
         WHERE job = ? AND seq = ? AND attempt = ?",
    )?;
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let found = query.query_row(params![name.job.0, name.seq, name.attempt], read).optional()?;
    Ok(found.is_some_and(|(stdout, stderr)| match name.stream {
        StreamKind::Stdout => stdout,
        StreamKind::Stderr => stderr,
    }))
}

/// The blob of a job by the name of its file.
fn blob_name(job: JobId, file: &str) -> Option<BlobName> {
    let (item, stream) = file.split_once('.')?;
    let (seq, attempt) = item.split_once('-')?;
    let stream = match stream {
        "stdout" => StreamKind::Stdout,
        "stderr" => StreamKind::Stderr,
        _ => return None,
    };
    Some(BlobName { job, seq: seq.parse().ok()?, attempt: attempt.parse().ok()?, stream })
}

/// The numbers under which a table has rows: a step through its index for each.
fn numbers(tx: &Transaction<'_>, table: &str) -> Result<Vec<JobId>, Failure> {
    let mut next = tx.prepare_cached(&format!("SELECT min(job) FROM {table} WHERE job > ?"))?;
    let (mut numbers, mut last) = (Vec::new(), i64::MIN);
    while let Some(number) = next.query_row([last], |row| row.get::<_, Option<i64>>(0))? {
        numbers.push(JobId(number));
        last = number;
    }
    Ok(numbers)
}

fn first(tx: &Transaction<'_>, job: JobId, table: &str, count: &str) -> Result<Option<i64>, Failure> {
    let mut first = tx.prepare_cached(&format!("SELECT min({count}) FROM {table} WHERE job = ?"))?;
    Ok(first.query_row([job.0], |row| row.get(0))?)
}

/// Deletes the first rows of a job; whether there were any.
fn delete_some(tx: &Transaction<'_>, job: JobId, table: &str, count: &str) -> Result<bool, Failure> {
    let Some(first) = first(tx, job, table, count)? else { return Ok(false) };
    let mut delete = tx.prepare_cached(&format!("DELETE FROM {table} WHERE job = ? AND {count} <= ?"))?;
    delete.execute(params![job.0, first.saturating_add(CHUNK - 1)])?;
    Ok(true)
}

/// Whether a tenth of the file or more is free pages.
pub fn has_room(connection: &Connection) -> Result<bool, Failure> {
    let free = pages(connection, "freelist_count")?;
    Ok(free * 10 >= pages(connection, "page_count")?)
}

/// A number of pages.
pub fn pages(connection: &Connection, which: &str) -> Result<u64, Failure> {
    Ok(connection.pragma_query_value(None, which, |row| row.get(0))?)
}

/// Writes the file anew without its free pages, if that is worth it, and cuts the write-ahead log to nothing. Readers go
/// on meanwhile.
fn compact(connection: &Connection, has_room: bool) -> Result<(), Failure> {
    connection.busy_timeout(PATIENCE)?;
    let written = if has_room { connection.execute_batch("VACUUM") } else { Ok(()) };
    let cut = written.and_then(|()| connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())));
    connection.busy_timeout(BUSY_TIMEOUT)?;
    Ok(cut?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_another_process_has_swept_is_nothing_and_one_that_cannot_be_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::create(&folder.path().join("workitem.db")).unwrap();
        let swept = folder.path().join("swept");
        fs::create_dir_all(swept.join("a folder")).unwrap();
        let entry = || fs::read_dir(&swept).unwrap().next().unwrap().unwrap();
        assert!(store.sweep_file(&entry(), true).is_err());
        let gone = entry();
        fs::remove_dir(gone.path()).unwrap();
        assert_eq!(store.sweep_file(&gone, true).unwrap(), Swept::default());
    }
}
