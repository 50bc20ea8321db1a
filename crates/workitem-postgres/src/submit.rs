//! A job's input.

use std::collections::{BTreeSet, HashMap};

use workitem_store::{JobId, NewItem, Skipped, StoreError, check_item};
use workitem_types::ItemId;

use crate::counts::{self, Change};
use crate::due;
use crate::error::Failure;
use crate::jobs::{goes_on, locked};
use crate::pool::Tx;
use crate::rows::{Fields, number};

/// Most bytes of inputs in one statement. A message of the protocol ends at a gigabyte.
const STATEMENT: usize = 64 << 20;

pub fn submit(tx: &mut Tx<'_>, job: JobId, items: &[NewItem]) -> Result<usize, Failure> {
    let (name, is_sealed) = locked(tx, job)?;
    if is_sealed {
        return Err(StoreError::Sealed { job: name }.into());
    }
    add_new(tx, job, items)
}

pub fn add(tx: &mut Tx<'_>, job: JobId, items: &[NewItem]) -> Result<usize, Failure> {
    let (name, is_sealed) = locked(tx, job)?;
    if !is_sealed {
        return Err(StoreError::Submitting { job: name }.into());
    }
    add_new(tx, job, items)
}

/// Adds what is new of a batch, behind all others.
fn add_new(tx: &mut Tx<'_>, job: JobId, items: &[NewItem]) -> Result<usize, Failure> {
    let mut first: HashMap<&ItemId, usize> = HashMap::new();
    let mut conflicts = BTreeSet::new();
    for (nth, item) in items.iter().enumerate() {
        check_item(item)?;
        let earlier = *first.entry(&item.id).or_insert(nth);
        if items[earlier].payload != item.payload {
            conflicts.insert(nth);
        }
    }
    let ids: Vec<&str> = items.iter().map(|item| item.id.as_str()).collect();
    let known = seqs(tx, job, &ids)?;
    let stored: Vec<(usize, i64)> =
        first.iter().filter_map(|(id, nth)| Some((*nth, *known.get(id.as_str())?))).collect();
    conflicts.extend(unlike(tx, job, items, &stored)?);
    if let Some(nth) = conflicts.first() {
        return Err(StoreError::Conflict { id: items[*nth].id.clone() }.into());
    }
    let is_new =
        |(nth, item): &(usize, &NewItem)| first[&item.id] == *nth && !known.contains_key(item.id.as_str());
    let fresh: Vec<&NewItem> = items.iter().enumerate().filter(is_new).map(|(_, item)| item).collect();
    insert(tx, job, &fresh)?;
    if !fresh.is_empty() {
        goes_on(tx, job)?;
    }
    Ok(fresh.len())
}

/// The positions of those ids that are there.
pub fn seqs(tx: &mut Tx<'_>, job: JobId, ids: &[&str]) -> Result<HashMap<String, i64>, Failure> {
    let rows = tx.query(
        "SELECT i.seq, i.id FROM unnest($2::text[]) AS n (id)
         CROSS JOIN LATERAL (SELECT seq, id FROM items WHERE job = $1 AND id = n.id OFFSET 0) AS i",
        &[&job.0, &ids],
    )?;
    let read = |row| {
        let fields = Fields::of("item", "items", row);
        Ok((fields.get(1)?, fields.get(0)?))
    };
    rows.iter().map(read).collect()
}

/// Which of the items that are stored at these positions have another input there.
fn unlike(
    tx: &mut Tx<'_>,
    job: JobId,
    items: &[NewItem],
    stored: &[(usize, i64)],
) -> Result<Vec<usize>, Failure> {
    let mut unlike = Vec::new();
    for part in parts(stored, |(nth, _)| items[*nth].payload.as_json().len()) {
        let nths: Vec<i64> = part.iter().map(|(nth, _)| number(*nth)).collect::<Result<_, _>>()?;
        let seqs: Vec<i64> = part.iter().map(|(_, seq)| *seq).collect();
        let payloads: Vec<&str> = part.iter().map(|(nth, _)| items[*nth].payload.as_json()).collect();
        let rows = tx.query(
            "SELECT n.nth FROM unnest($2::bigint[], $3::bigint[], $4::text[]) AS n (nth, seq, payload)
             CROSS JOIN LATERAL (SELECT payload FROM items WHERE job = $1 AND seq = n.seq OFFSET 0) AS i
             WHERE i.payload <> n.payload",
            &[&job.0, &nths, &seqs, &payloads],
        )?;
        for row in &rows {
            unlike.push(Fields::of("item", "items", row).number(0)?);
        }
    }
    Ok(unlike)
}

fn insert(tx: &mut Tx<'_>, job: JobId, items: &[&NewItem]) -> Result<(), Failure> {
    if items.is_empty() {
        return Ok(());
    }
    let last = last_seq(tx, job)?;
    let mut stored = last;
    for part in parts(items, |item| item.payload.as_json().len()) {
        let ids: Vec<&str> = part.iter().map(|item| item.id.as_str()).collect();
        let payloads: Vec<&str> = part.iter().map(|item| item.payload.as_json()).collect();
        tx.execute(
            "INSERT INTO items (job, seq, id, payload) SELECT $1::bigint, $2::bigint + n.nth, n.id, n.payload
             FROM unnest($3::text[], $4::text[]) WITH ORDINALITY AS n (id, payload, nth)",
            &[&job.0, &stored, &ids, &payloads],
        )?;
        stored += number(part.len())?;
    }
    due::put(tx, job, &due::fresh(last, stored - last))?;
    counts::change(tx, job, &Change::added(items.len())?)
}

/// The position of a job's last item; 0 if it has none.
pub fn last_seq(tx: &mut Tx<'_>, job: JobId) -> Result<i64, Failure> {
    let row = tx.query_one("SELECT coalesce(max(seq), 0) FROM items WHERE job = $1", &[&job.0])?;
    Fields::of("item", "items", &row).get(0)
}

pub fn skip(tx: &mut Tx<'_>, job: JobId, lines: &[Skipped]) -> Result<(), Failure> {
    // In their order, so that two who tell of the same lines wait for each other in one direction only.
    let mut lines: Vec<&Skipped> = lines.iter().collect();
    lines.sort_unstable_by_key(|line| line.position);
    let positions: Vec<i64> = lines.iter().map(|line| number(line.position)).collect::<Result<_, _>>()?;
    let places: Vec<&[u8]> = lines.iter().map(|line| line.place.as_bytes()).collect();
    let reasons: Vec<&[u8]> = lines.iter().map(|line| line.reason.as_bytes()).collect();
    let added = tx.execute(
        "INSERT INTO skipped (job, position, place, reason)
         SELECT $1::bigint, n.position, n.place, n.reason
         FROM unnest($2::bigint[], $3::bytea[], $4::bytea[]) AS n (position, place, reason)
         ON CONFLICT DO NOTHING",
        &[&job.0, &positions, &places, &reasons],
    )?;
    counts::change(tx, job, &Change::skipped(added)?)
}

/// Cuts a batch so that no part weighs more than a statement may, or is one piece.
pub fn parts<T>(batch: &[T], weigh: impl Fn(&T) -> usize) -> impl Iterator<Item = &[T]> {
    let mut rest = batch;
    std::iter::from_fn(move || {
        let mut weight = 0;
        let mut fits = |piece: &T| {
            weight += weigh(piece);
            weight <= STATEMENT
        };
        let most = rest.iter().position(|piece| !fits(piece)).unwrap_or(rest.len());
        let (part, others) = rest.split_at_checked(most.max(1))?;
        rest = others;
        Some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_cut_where_it_gets_too_heavy() {
        let cut =
            |weights: &[usize]| parts(weights, |weight| *weight).map(<[usize]>::len).collect::<Vec<_>>();
        assert_eq!(cut(&[]), [0; 0]);
        assert_eq!(cut(&[1, 2, 3]), [3]);
        assert_eq!(cut(&[STATEMENT, 1, STATEMENT - 1, 1]), [1, 2, 1]);
        assert_eq!(cut(&[STATEMENT + 1, STATEMENT + 1]), [1, 1], "what is too heavy alone goes alone");
    }
}
