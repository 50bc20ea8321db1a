//! Handing items out, and finding those that nobody works on.

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, Transaction, params};
use workitem_store::{
    Abandoned, Claim, ClaimRequest, Claims, ItemRow, JobId, Payload, StoreError, engine, whole_micros,
};

use crate::error::Failure;
use crate::record::Recorder;
use crate::rows::{self, ITEM, micros, time};
use crate::submit::sealed;

pub fn claim(tx: &Transaction<'_>, request: &ClaimRequest<'_>, store: &str) -> Result<Claims, Failure> {
    let now = whole_micros(request.now);
    let mut claims = Vec::new();
    if !sealed(tx, request.job, store)?.1 {
        return Ok(Claims { claims, next_due: None });
    }
    let mut recorder = Recorder::new(tx, store)?;
    for (nth, (row, json)) in due(tx, request)?.into_iter().enumerate() {
        let step = engine::claim_step(store, request.job, row, request.agent, now)?.seal();
        recorder.record(&step, nth < request.spawning)?;
        let payload = Payload::from_json(&json).map_err(|error| StoreError::Damaged {
            store: store.to_owned(),
            what: format!("the input of item `{}`: {error}", step.record().id),
        })?;
        claims.push(Claim { leased: step.durable(), payload });
    }
    recorder.finish()?;
    Ok(Claims { claims, next_due: next_due(tx, request.job)? })
}

fn due(tx: &Transaction<'_>, request: &ClaimRequest<'_>) -> Result<Vec<(ItemRow, String)>, Failure> {
    let mut due = tx.prepare_cached(&format!(
        "SELECT {ITEM}, p.payload FROM items i INDEXED BY items_due JOIN payloads p USING (job, seq)
         WHERE i.job = ? AND i.status = 0 AND i.run_at <= ? ORDER BY i.run_at, i.seq LIMIT ?"
    ))?;
    let rows = due
        .query_map(params![request.job.0, micros(whole_micros(request.due)), request.limit], |row| {
            Ok((rows::item(row)?, row.get(12)?))
        })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn next_due(tx: &Transaction<'_>, job: JobId) -> Result<Option<DateTime<Utc>>, Failure> {
    let mut next = tx.prepare_cached(
        "SELECT run_at FROM items INDEXED BY items_due WHERE job = ? AND status = 0 ORDER BY run_at LIMIT 1",
    )?;
    let run_at: Option<i64> = next.query_row([job.0], |row| row.get(0)).optional()?;
    Ok(run_at.map(|run_at| time(0, run_at)).transpose()?)
}

pub fn abandoned(
    tx: &Transaction<'_>,
    job: JobId,
    limit: usize,
    store: &str,
) -> Result<Vec<Abandoned>, Failure> {
    let mut query = tx.prepare_cached(&format!(
        "SELECT {ITEM}, i.spawned FROM items i INDEXED BY items_abandoned
         WHERE i.job = ? AND i.status IN (1, 3) ORDER BY i.seq LIMIT ?"
    ))?;
    let rows = query.query_map(params![job.0, limit], |row| Ok((rows::item(row)?, row.get(12)?)))?;
    rows.map(|row| {
        let (row, spawned) = row?;
        Ok(engine::abandoned(store, job, row, spawned)?)
    })
    .collect()
}
