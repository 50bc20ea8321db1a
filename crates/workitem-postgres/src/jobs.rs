//! Jobs.

use postgres::Row;
use workitem_store::{Control, Job, JobId, NewJob, StoreError, whole_micros};

use crate::calls::CHANNEL;
use crate::codes::{control_code, control_of};
use crate::counts;
use crate::error::Failure;
use crate::pool::{SHARDS, Tx};
use crate::rows::{Fields, micros};

const JOB: &str = "id, name, spec, created_at, digest, input_items";

fn job(row: &Row) -> Result<Job, Failure> {
    let fields = Fields::of("job", "jobs", row);
    Ok(Job {
        id: JobId(fields.get(0)?),
        name: fields.get(1)?,
        spec: fields.json(2, fields.get(2)?)?,
        created_at: fields.time(3)?,
        digest: fields.get(4)?,
        input_items: fields.number(5)?,
    })
}

/// Makes a job. Whoever has raised the number of jobs made is alone at it, so that names can be looked for before they are
/// given; and a number is not given out twice.
pub fn create(tx: &mut Tx<'_>, new: &NewJob) -> Result<Job, Failure> {
    let made = tx.query_one("UPDATE meta SET jobs_made = jobs_made + 1 RETURNING jobs_made", &[])?;
    let number = Fields::of("store", "meta", &made).get(0)?;
    let name = match &new.name {
        Some(name) => name.clone(),
        None => free_name(tx, number)?,
    };
    if find(tx, &name)?.is_some() {
        return Err(StoreError::JobExists { name }.into());
    }
    let created_at = whole_micros(new.now);
    tx.execute(
        "INSERT INTO jobs (id, name, spec, created_at) VALUES ($1, $2, $3, $4)",
        &[&number, &name, &new.spec.to_string(), &micros(created_at)],
    )?;
    tx.execute(
        "INSERT INTO counts (job, shard) SELECT $1::bigint, shard FROM generate_series(0, $2::integer - 1) AS shard",
        &[&number, &i32::from(SHARDS)],
    )?;
    Ok(Job { id: JobId(number), name, spec: new.spec.clone(), created_at, digest: None, input_items: 0 })
}

fn free_name(tx: &mut Tx<'_>, first: i64) -> Result<String, Failure> {
    for number in first.. {
        let name = format!("job-{number}");
        if find(tx, &name)?.is_none() {
            return Ok(name);
        }
    }
    unreachable!("there are more numbers than jobs")
}

pub fn find(tx: &mut Tx<'_>, name: &str) -> Result<Option<Job>, Failure> {
    let found = tx.query_opt(&format!("SELECT {JOB} FROM jobs WHERE name = $1"), &[&name])?;
    found.as_ref().map(job).transpose()
}

pub fn all(tx: &mut Tx<'_>) -> Result<Vec<Job>, Failure> {
    tx.query(&format!("SELECT {JOB} FROM jobs ORDER BY id"), &[])?.iter().map(job).collect()
}

pub fn no_job(id: JobId, store: &str) -> StoreError {
    StoreError::NoJob { name: format!("number {id}"), store: store.to_owned() }
}

/// The name of a job and whether it is sealed.
pub fn sealed(tx: &mut Tx<'_>, id: JobId) -> Result<(String, bool), Failure> {
    name_and_seal(tx, id, "SELECT id, name, digest IS NOT NULL FROM jobs WHERE id = $1")
}

/// As [`sealed`], and nobody else adds to the job until the transaction ends. Who claims and records does not ask.
pub fn locked(tx: &mut Tx<'_>, id: JobId) -> Result<(String, bool), Failure> {
    let locked = "SELECT id, name, digest IS NOT NULL FROM jobs WHERE id = $1 FOR NO KEY UPDATE";
    name_and_seal(tx, id, locked)
}

fn name_and_seal(tx: &mut Tx<'_>, id: JobId, query: &str) -> Result<(String, bool), Failure> {
    let row = tx.query_opt(query, &[&id.0])?.ok_or_else(|| no_job(id, tx.store))?;
    let fields = Fields::of("job", "jobs", &row);
    Ok((fields.get(1)?, fields.get(2)?))
}

pub fn seal(tx: &mut Tx<'_>, id: JobId, digest: &str) -> Result<(), Failure> {
    let (job, _) = locked(tx, id)?;
    let sealed = tx.execute(
        "UPDATE jobs SET digest = $2, input_items = (SELECT coalesce(max(seq), 0) FROM items WHERE job = $1)
         WHERE id = $1 AND coalesce(digest, $2) = $2",
        &[&id.0, &digest],
    )?;
    tell(tx, id)?;
    if sealed == 1 { Ok(()) } else { Err(StoreError::Sealed { job }.into()) }
}

pub fn control(tx: &mut Tx<'_>, id: JobId) -> Result<Control, Failure> {
    let row = tx.query_opt("SELECT id, control FROM jobs WHERE id = $1", &[&id.0])?;
    let row = row.ok_or_else(|| no_job(id, tx.store))?;
    let fields = Fields::of("job", "jobs", &row);
    control_of(fields.get(1)?).ok_or_else(|| fields.misfit(1, "no such control"))
}

pub fn set_control(tx: &mut Tx<'_>, id: JobId, control: Control) -> Result<(), Failure> {
    tell(tx, id)?;
    let set = tx.execute("UPDATE jobs SET control = $2 WHERE id = $1", &[&id.0, &control_code(control)])?;
    if set == 1 { Ok(()) } else { Err(no_job(id, tx.store).into()) }
}

/// Notes that no item will change any more; whether nobody has before.
pub fn finish(tx: &mut Tx<'_>, id: JobId) -> Result<bool, Failure> {
    // Nobody adds to it until that is noted.
    locked(tx, id)?;
    if !counts::read(tx, id)?.is_finished() {
        return Ok(false);
    }
    let noted = tx.execute("UPDATE jobs SET finished = true WHERE id = $1 AND NOT finished", &[&id.0])?;
    if noted == 1 {
        tell(tx, id)?;
    }
    Ok(noted == 1)
}

/// There are items more. The caller has locked the job.
pub fn goes_on(tx: &mut Tx<'_>, id: JobId) -> Result<(), Failure> {
    tx.execute("UPDATE jobs SET finished = false WHERE id = $1 AND finished", &[&id.0])?;
    tell(tx, id)
}

/// Has those called who listen, once the transaction is durable. Never where items are claimed or recorded: the server
/// lets one transaction at a time tell, and those would wait for each other.
fn tell(tx: &mut Tx<'_>, id: JobId) -> Result<(), Failure> {
    let told = format!("SELECT pg_notify({CHANNEL}, $1::bigint::text)");
    tx.query_one(&told, &[&id.0])?;
    Ok(())
}

/// Deletes a job. Without its counts nothing can be recorded for it; what belonged to it is left for upkeep.
pub fn delete(tx: &mut Tx<'_>, job: JobId) -> Result<(), Failure> {
    tx.execute("DELETE FROM jobs WHERE id = $1", &[&job.0])?;
    tx.execute("DELETE FROM counts WHERE job = $1", &[&job.0])?;
    Ok(())
}
