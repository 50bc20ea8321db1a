//! Dead letters and their successors.

use std::collections::{BTreeSet, HashMap, HashSet};

use postgres::Row;
use workitem_store::{ItemRow, JobId, LetterRow, engine};
use workitem_types::{ItemId, StatusKind};

use crate::counts::{self, Change};
use crate::due;
use crate::error::Failure;
use crate::jobs::{goes_on, locked};
use crate::pool::Tx;
use crate::rows::{self, ITEM, bound, number};
use crate::submit::{last_seq, seqs as seqs_of};

/// A letter `d` that nobody has dismissed, and none of whose successors has completed.
const OPEN: &str = "states d CROSS JOIN LATERAL
     (SELECT * FROM items_now WHERE job = d.job AND seq = d.seq OFFSET 0) AS i
     WHERE d.job = $1 AND d.state = 4 AND NOT d.dropped AND i.origin IS NULL AND NOT EXISTS
     (SELECT 1 FROM items_now a WHERE a.job = $1 AND a.origin = i.id AND a.state = 2 OFFSET 0)";

pub fn open(tx: &mut Tx<'_>, job: JobId, after: u64, limit: usize) -> Result<Vec<LetterRow>, Failure> {
    let query = format!("SELECT {ITEM} FROM {OPEN} AND d.seq > $2 ORDER BY d.seq LIMIT $3");
    let rows = tx.query(&query, &[&job.0, &bound(after), &bound(limit)])?;
    with_successors(tx, job, &rows)
}

fn with_successors(tx: &mut Tx<'_>, job: JobId, rows: &[Row]) -> Result<Vec<LetterRow>, Failure> {
    let letters: Vec<ItemRow> = rows.iter().map(rows::item).collect::<Result<_, _>>()?;
    let ids: Vec<&str> = letters.iter().map(|letter| letter.record.id.as_str()).collect();
    let rows = tx.query(
        &format!(
            "SELECT i.* FROM unnest($2::text[]) AS n (id) CROSS JOIN LATERAL
             (SELECT {ITEM} FROM items_now i WHERE i.job = $1 AND i.origin = n.id OFFSET 0) AS i"
        ),
        &[&job.0, &ids],
    )?;
    let mut successors: HashMap<ItemId, Vec<ItemRow>> = HashMap::new();
    for row in &rows {
        let successor = rows::item(row)?;
        if let Some(origin) = successor.origin.clone() {
            successors.entry(origin).or_default().push(successor);
        }
    }
    let letter = |item: ItemRow| {
        let mut successors = successors.remove(&item.record.id).unwrap_or_default();
        successors.sort_unstable_by_key(|successor| successor.seq);
        LetterRow { item, successors }
    };
    Ok(letters.into_iter().map(letter).collect())
}

/// Those of the letters at these positions that are open and have no successor alive, in the order in which they were
/// asked for and each once. The caller has locked the job, so that nobody else makes a successor or dismisses one.
fn idle(tx: &mut Tx<'_>, job: JobId, seqs: &[u64]) -> Result<Vec<LetterRow>, Failure> {
    let asked: BTreeSet<i64> = seqs.iter().map(|seq| bound(*seq)).collect();
    let asked: Vec<i64> = asked.into_iter().collect();
    let rows = tx.query(
        &format!(
            "SELECT i.* FROM unnest($2::bigint[]) AS n (seq) CROSS JOIN LATERAL
             (SELECT {ITEM} FROM {OPEN} AND d.seq = n.seq OFFSET 0) AS i"
        ),
        &[&job.0, &asked],
    )?;
    // A successor may have completed since: who records does not ask for the job.
    let is_idle = |letter: &LetterRow| {
        let mut states = letter.successors.iter().map(|row| row.record.status.kind());
        !letter.is_alive() && states.all(|kind| kind != StatusKind::Completed)
    };
    let letters = with_successors(tx, job, &rows)?;
    let mut idle: HashMap<u64, LetterRow> =
        letters.into_iter().filter(is_idle).map(|letter| (letter.item.seq, letter)).collect();
    Ok(seqs.iter().filter_map(|seq| idle.remove(seq)).collect())
}

pub fn retry(tx: &mut Tx<'_>, job: JobId, seqs: &[u64]) -> Result<Vec<ItemId>, Failure> {
    locked(tx, job)?;
    let letters = idle(tx, job, seqs)?;
    let ids = successor_ids(tx, job, &letters)?;
    let texts: Vec<&str> = ids.iter().map(ItemId::as_str).collect();
    let from: Vec<i64> = letters.iter().map(|letter| number(letter.item.seq)).collect::<Result<_, _>>()?;
    let last = last_seq(tx, job)?;
    tx.execute(
        "INSERT INTO items (job, seq, id, payload, origin)
         SELECT $1::bigint, $2::bigint + n.nth, n.id, i.payload, i.id
         FROM unnest($3::bigint[], $4::text[]) WITH ORDINALITY AS n (seq, id, nth)
         CROSS JOIN LATERAL (SELECT payload, id FROM items WHERE job = $1 AND seq = n.seq OFFSET 0) AS i",
        &[&job.0, &last, &from, &texts],
    )?;
    due::put(tx, job, &due::fresh(last, number(ids.len())?))?;
    if !ids.is_empty() {
        goes_on(tx, job)?;
    }
    counts::change(tx, job, &Change::added(ids.len())?)?;
    Ok(ids)
}

/// An id for a successor of each letter: the first of its row that nobody has.
fn successor_ids(tx: &mut Tx<'_>, job: JobId, letters: &[LetterRow]) -> Result<Vec<ItemId>, Failure> {
    let mut next: Vec<usize> = letters.iter().map(|letter| letter.successors.len() + 1).collect();
    let mut found: Vec<Option<ItemId>> = vec![None; letters.len()];
    let mut given: HashSet<ItemId> = HashSet::new();
    loop {
        let missing: Vec<(usize, ItemId)> = (0..letters.len())
            .filter(|nth| found[*nth].is_none())
            .map(|nth| (nth, engine::successor_id(&letters[nth].item.record.id, next[nth])))
            .collect();
        if missing.is_empty() {
            return Ok(found.into_iter().flatten().collect());
        }
        let ids: Vec<&str> = missing.iter().map(|(_, id)| id.as_str()).collect();
        let taken = seqs_of(tx, job, &ids)?;
        for (nth, id) in missing {
            if taken.contains_key(id.as_str()) || !given.insert(id.clone()) {
                next[nth] += 1;
            } else {
                found[nth] = Some(id);
            }
        }
    }
}

pub fn dismiss(tx: &mut Tx<'_>, job: JobId, seqs: &[u64]) -> Result<usize, Failure> {
    locked(tx, job)?;
    let mut seqs: Vec<i64> =
        idle(tx, job, seqs)?.iter().map(|letter| number(letter.item.seq)).collect::<Result<_, _>>()?;
    seqs.sort_unstable();
    tx.execute(
        "UPDATE states s SET dropped = true FROM unnest($2::bigint[]) AS n (seq)
         CROSS JOIN LATERAL (SELECT ctid FROM states WHERE job = $1 AND seq = n.seq FOR UPDATE) AS place
         WHERE s.ctid = place.ctid",
        &[&job.0, &seqs],
    )?;
    counts::change(tx, job, &Change::dismissed(seqs.len())?)?;
    Ok(seqs.len())
}

/// How many letters are open, by looking.
pub fn count_open(tx: &mut Tx<'_>, job: JobId) -> Result<usize, Failure> {
    let row = tx.query_one(&format!("SELECT count(*) FROM {OPEN}"), &[&job.0])?;
    rows::Fields::of("job", "items", &row).number(0)
}
