//! Dead letters and their successors.

use rusqlite::{CachedStatement, OptionalExtension, Transaction, params};
use workitem_store::{ItemRow, JobId, LetterRow, engine};
use workitem_types::{ItemId, StatusKind};

use crate::error::Failure;
use crate::rows::{self, ITEM};
use crate::submit::{Adder, count_pending, last_seq};

pub fn open(tx: &Transaction<'_>, job: JobId, after: u64, limit: usize) -> Result<Vec<LetterRow>, Failure> {
    let mut query = tx.prepare_cached(&format!(
        "SELECT {ITEM} FROM items i INDEXED BY items_dead
         WHERE i.job = ? AND i.status = 4 AND i.origin IS NULL AND i.dropped = 0 AND i.seq > ? AND NOT EXISTS
         (SELECT 1 FROM items s INDEXED BY items_by_origin
          WHERE s.job = i.job AND s.origin = i.id AND s.status = 2)
         ORDER BY i.seq LIMIT ?"
    ))?;
    let rows = query.query_map(params![job.0, after, limit], rows::item)?;
    let mut of_letter = successors_of(tx)?;
    rows.map(|row| {
        let item = row?;
        let successors = successors(&mut of_letter, job, &item.record.id)?;
        Ok(LetterRow { item, successors })
    })
    .collect()
}

fn successors_of<'t>(tx: &'t Transaction<'_>) -> Result<CachedStatement<'t>, Failure> {
    Ok(tx.prepare_cached(&format!(
        "SELECT {ITEM} FROM items i INDEXED BY items_by_origin WHERE i.job = ? AND i.origin = ? ORDER BY i.seq"
    ))?)
}

fn successors(query: &mut CachedStatement<'_>, job: JobId, letter: &ItemId) -> Result<Vec<ItemRow>, Failure> {
    let rows = query.query_map(params![job.0, letter.as_str()], rows::item)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub fn retry(tx: &Transaction<'_>, job: JobId, seqs: &[u64]) -> Result<Vec<ItemId>, Failure> {
    let mut made = Vec::new();
    let mut last = last_seq(tx, job)?;
    let mut add = Adder::new(tx, job)?;
    for seq in seqs {
        let Some((letter, payload)) = letter(tx, job, *seq)? else { continue };
        if letter.is_alive() {
            continue;
        }
        let origin = &letter.item.record.id;
        for n in letter.successors.len() + 1.. {
            let id = engine::successor_id(origin, n);
            if add.add(last + 1, id.as_str(), &payload, Some(origin.as_str()))? {
                last += 1;
                made.push(id);
                break;
            }
        }
    }
    drop(add);
    count_pending(tx, job, made.len())?;
    Ok(made)
}

pub fn dismiss(tx: &Transaction<'_>, job: JobId, seqs: &[u64]) -> Result<usize, Failure> {
    let mut drop = tx.prepare_cached("UPDATE items SET dropped = 1 WHERE job = ? AND seq = ?")?;
    let mut dropped = 0;
    for seq in seqs {
        if letter(tx, job, *seq)?.is_some_and(|(letter, _)| !letter.is_alive()) {
            dropped += drop.execute(params![job.0, seq])?;
        }
    }
    tx.execute("UPDATE jobs SET open_letters = open_letters - ? WHERE id = ?", params![dropped, job.0])?;
    Ok(dropped)
}

/// The dead letter at a position, with its input, unless it is dealt with.
fn letter(tx: &Transaction<'_>, job: JobId, seq: u64) -> Result<Option<(LetterRow, String)>, Failure> {
    let mut query = tx.prepare_cached(&format!(
        "SELECT {ITEM}, p.payload FROM items i JOIN payloads p USING (job, seq)
         WHERE i.job = ? AND i.seq = ? AND i.status = 4 AND i.origin IS NULL AND i.dropped = 0"
    ))?;
    let found =
        query.query_row(params![job.0, seq], |row| Ok((rows::item(row)?, row.get(12)?))).optional()?;
    let Some((item, payload)) = found else { return Ok(None) };
    let successors = successors(&mut successors_of(tx)?, job, &item.record.id)?;
    let mended = successors.iter().any(|row| row.record.status.kind() == StatusKind::Completed);
    Ok((!mended).then_some((LetterRow { item, successors }, payload)))
}
