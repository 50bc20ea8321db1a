//! Jobs and their input.

use rusqlite::{OptionalExtension, Row, Transaction, params};
use workitem_store::{Control, Job, JobId, NewItem, NewJob, Skipped, StoreError, check_item, whole_micros};

use crate::codes::{control_code, control_of};
use crate::error::Failure;
use crate::rows::{bad, micros, named, time};

const JOB: &str = "id, name, spec, created_at, digest, input_items";

fn job(row: &Row<'_>) -> rusqlite::Result<Job> {
    named("job", "jobs", row, job_row)
}

fn job_row(row: &Row<'_>) -> rusqlite::Result<Job> {
    let spec: String = row.get(2)?;
    Ok(Job {
        id: JobId(row.get(0)?),
        name: row.get(1)?,
        spec: serde_json::from_str(&spec).map_err(|error| bad(2, error))?,
        created_at: time(3, row.get(3)?)?,
        digest: row.get(4)?,
        input_items: row.get(5)?,
    })
}

pub fn create(tx: &Transaction<'_>, new: &NewJob) -> Result<Job, Failure> {
    let name = match &new.name {
        Some(name) => name.clone(),
        None => free_name(tx)?,
    };
    if find(tx, &name)?.is_some() {
        return Err(StoreError::JobExists { name }.into());
    }
    let created_at = whole_micros(new.now);
    tx.execute(
        "INSERT INTO jobs (name, spec, created_at) VALUES (?, ?, ?)",
        params![name, new.spec.to_string(), micros(created_at)],
    )?;
    let id = JobId(tx.last_insert_rowid());
    Ok(Job { id, name, spec: new.spec.clone(), created_at, digest: None, input_items: 0 })
}

fn free_name(tx: &Transaction<'_>) -> Result<String, Failure> {
    let made: Option<i64> = tx
        .query_row("SELECT seq FROM sqlite_sequence WHERE name = 'jobs'", [], |row| row.get(0))
        .optional()?;
    for number in made.unwrap_or(0) + 1.. {
        let name = format!("job-{number}");
        if find(tx, &name)?.is_none() {
            return Ok(name);
        }
    }
    unreachable!("there are more numbers than jobs")
}

pub fn find(tx: &Transaction<'_>, name: &str) -> Result<Option<Job>, Failure> {
    let mut found = tx.prepare_cached(&format!("SELECT {JOB} FROM jobs WHERE name = ?"))?;
    Ok(found.query_row([name], job).optional()?)
}

pub fn all(tx: &Transaction<'_>) -> Result<Vec<Job>, Failure> {
    let mut all = tx.prepare_cached(&format!("SELECT {JOB} FROM jobs ORDER BY id"))?;
    let jobs = all.query_map([], job)?.collect::<Result<_, _>>()?;
    Ok(jobs)
}

/// The name of a job and whether it is sealed.
pub fn sealed(tx: &Transaction<'_>, id: JobId, store: &str) -> Result<(String, bool), Failure> {
    let mut query = tx.prepare_cached("SELECT name, digest IS NOT NULL FROM jobs WHERE id = ?")?;
    let found = query.query_row([id.0], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    Ok(found.ok_or_else(|| no_job(id, store))?)
}

pub fn no_job(id: JobId, store: &str) -> StoreError {
    StoreError::NoJob { name: format!("number {id}"), store: store.to_owned() }
}

pub fn submit(tx: &Transaction<'_>, id: JobId, items: &[NewItem], store: &str) -> Result<usize, Failure> {
    let (name, is_sealed) = sealed(tx, id, store)?;
    if is_sealed {
        return Err(StoreError::Sealed { job: name }.into());
    }
    add_new(tx, id, items)
}

pub fn add(tx: &Transaction<'_>, id: JobId, items: &[NewItem], store: &str) -> Result<usize, Failure> {
    let (job, is_sealed) = sealed(tx, id, store)?;
    if !is_sealed {
        return Err(StoreError::Submitting { job }.into());
    }
    add_new(tx, id, items)
}

/// Adds what is new of a batch, behind all others.
fn add_new(tx: &Transaction<'_>, id: JobId, items: &[NewItem]) -> Result<usize, Failure> {
    let mut seq = last_seq(tx, id)?;
    let mut add = Adder::new(tx, id)?;
    let mut added = 0;
    for item in items {
        check_item(item)?;
        if add.add(seq + 1, item.id.as_str(), item.payload.as_json(), None)? {
            seq += 1;
            added += 1;
        } else if !same_payload(tx, id, item)? {
            return Err(StoreError::Conflict { id: item.id.clone() }.into());
        }
    }
    drop(add);
    count_pending(tx, id, added)?;
    Ok(added)
}

/// The position of a job's last item; 0 if it has none.
pub fn last_seq(tx: &Transaction<'_>, job: JobId) -> Result<u64, Failure> {
    let mut last = tx.prepare_cached("SELECT coalesce(max(seq), 0) FROM items WHERE job = ?")?;
    Ok(last.query_row([job.0], |row| row.get(0))?)
}

pub fn count_pending(tx: &Transaction<'_>, job: JobId, added: usize) -> Result<(), Failure> {
    tx.execute("UPDATE jobs SET pending = pending + ? WHERE id = ?", params![added, job.0])?;
    Ok(())
}

/// Adds items to one job.
pub struct Adder<'t> {
    job: JobId,
    item: rusqlite::CachedStatement<'t>,
    payload: rusqlite::CachedStatement<'t>,
}

impl<'t> Adder<'t> {
    pub fn new(tx: &'t Transaction<'_>, job: JobId) -> Result<Self, Failure> {
        let item =
            "INSERT INTO items (job, seq, id, origin) VALUES (?, ?, ?, ?) ON CONFLICT (job, id) DO NOTHING";
        let payload = "INSERT INTO payloads (job, seq, payload) VALUES (?, ?, ?)";
        Ok(Self { job, item: tx.prepare_cached(item)?, payload: tx.prepare_cached(payload)? })
    }

    /// Adds one item; `false` if its id is taken.
    pub fn add(&mut self, seq: u64, id: &str, payload: &str, origin: Option<&str>) -> Result<bool, Failure> {
        let added = self.item.execute(params![self.job.0, seq, id, origin])? == 1;
        if added {
            self.payload.execute(params![self.job.0, seq, payload])?;
        }
        Ok(added)
    }
}

fn same_payload(tx: &Transaction<'_>, job: JobId, item: &NewItem) -> Result<bool, Failure> {
    let mut query = tx.prepare_cached(
        "SELECT p.payload = ?3 FROM items i JOIN payloads p USING (job, seq) WHERE i.job = ?1 AND i.id = ?2",
    )?;
    let same = query.query_row(params![job.0, item.id.as_str(), item.payload.as_json()], |row| row.get(0))?;
    Ok(same)
}

pub fn skip(tx: &Transaction<'_>, job: JobId, lines: &[Skipped]) -> Result<(), Failure> {
    let mut insert = tx.prepare_cached(
        "INSERT INTO skipped (job, position, place, reason) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
    )?;
    let mut added = 0;
    for line in lines {
        added += insert.execute(params![job.0, line.position, line.place, line.reason])?;
    }
    tx.execute("UPDATE jobs SET skipped = skipped + ? WHERE id = ?", params![added, job.0])?;
    Ok(())
}

pub fn seal(tx: &Transaction<'_>, id: JobId, digest: &str, store: &str) -> Result<(), Failure> {
    let (job, _) = sealed(tx, id, store)?;
    let sealed = tx.execute(
        "UPDATE jobs SET digest = ?1, input_items = ?3 WHERE id = ?2 AND digest IS NULL",
        params![digest, id.0, last_seq(tx, id)?],
    )?;
    let again = || find(tx, &job).map(|known| known.and_then(|job| job.digest).as_deref() == Some(digest));
    if sealed == 1 || again()? { Ok(()) } else { Err(StoreError::Sealed { job }.into()) }
}

pub fn control(tx: &Transaction<'_>, id: JobId, store: &str) -> Result<Control, Failure> {
    let mut query = tx.prepare_cached("SELECT id, control FROM jobs WHERE id = ?")?;
    let read = |row: &Row<'_>| {
        named("job", "jobs", row, |row| control_of(row.get(1)?).ok_or_else(|| bad(1, "no such control")))
    };
    Ok(query.query_row([id.0], read).optional()?.ok_or_else(|| no_job(id, store))?)
}

pub fn set_control(tx: &Transaction<'_>, id: JobId, control: Control, store: &str) -> Result<(), Failure> {
    let set = tx.execute("UPDATE jobs SET control = ? WHERE id = ?", params![control_code(control), id.0])?;
    if set == 1 { Ok(()) } else { Err(no_job(id, store).into()) }
}

/// Deletes a job. What belonged to it is left for upkeep.
pub fn delete(tx: &Transaction<'_>, job: JobId) -> Result<(), Failure> {
    tx.execute("DELETE FROM jobs WHERE id = ?", [job.0])?;
    Ok(())
}
