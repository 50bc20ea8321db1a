//! Writing steps: compare-and-swap on the version, history, output and counts in one transaction; as many statements for a
//! thousand steps as for one.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;

use workitem_store::engine::history_rows;
use workitem_store::{AnyStep, HistoryRow, Outcome, Token};
use workitem_types::ItemId;

use crate::codes::status_code;
use crate::error::Failure;
use crate::log::Log;
use crate::pool::Tx;
use crate::rows::{self, AFTER_HISTORY, Fields, HISTORY, micros, number, status_columns};

/// An item: its job and its position there.
type Place = (i64, u64);

/// What is stored of an item that a step is for.
struct Stored {
    version: u64,
    origin: Option<ItemId>,
}

/// Decides about each step as if they came one after the other, and writes those that count.
///
/// Mostly each is the only one of its item and starts from what is stored, so that is tried first: compared and written by
/// one statement, without a lock before it. A version only grows, so what that leaves out is decided after it.
pub fn record(tx: &mut Tx<'_>, steps: &[AnyStep]) -> Result<Vec<Outcome>, Failure> {
    let (mut written, mut log) = (BTreeMap::new(), Log::default());
    if let Some(updates) = one_each(steps) {
        written = swap(tx, &updates)?;
    }
    let mut rest = Vec::new();
    for step in steps {
        match written.get(&place(step.token())) {
            Some(origin) => log.add(step, origin.as_ref())?,
            None => rest.push(step),
        }
    }
    let mut decided = decide(tx, &rest, &mut log)?.into_iter();
    log.write(tx)?;
    let outcome = |step: &AnyStep| {
        if written.contains_key(&place(step.token())) { Some(Outcome::Recorded) } else { decided.next() }
    };
    Ok(steps.iter().filter_map(outcome).collect())
}

/// What becomes of the items of these steps, if each item has one.
fn one_each(steps: &[AnyStep]) -> Option<Updates<'_>> {
    let updates: Updates<'_> =
        steps.iter().map(|step| (place(step.token()), Update { step, spawned: false })).collect();
    (updates.len() == steps.len()).then_some(updates)
}

/// Decides about steps under a lock of their items.
fn decide<'s>(tx: &mut Tx<'_>, steps: &[&'s AnyStep], log: &mut Log<'s>) -> Result<Vec<Outcome>, Failure> {
    if steps.is_empty() {
        return Ok(Vec::new());
    }
    let mut stored = lock(tx, steps)?;
    let mut known = known(tx, steps, &stored)?;
    let mut updates = Updates::new();
    let mut outcomes = Vec::with_capacity(steps.len());
    for step in steps {
        let place = place(step.token());
        let outcome = match stored.get_mut(&place) {
            Some(item) if item.version == step.token().version() => {
                if updates.contains_key(&place) {
                    write_locked(tx, &mem::take(&mut updates))?;
                }
                updates.insert(place, Update { step, spawned: false });
                log.add(step, item.origin.as_ref())?;
                item.version = step.version_after();
                known.extend(history_rows(step).map(|row| ((place, row.version), row)));
                Outcome::Recorded
            }
            Some(_) if is_recorded(step, &known) => Outcome::Recorded,
            Some(_) | None => Outcome::Fenced,
        };
        outcomes.push(outcome);
    }
    write_locked(tx, &updates)?;
    Ok(outcomes)
}

/// Writes steps whose items are locked, and of which each starts from what is stored.
pub fn write_claims(tx: &mut Tx<'_>, steps: &[AnyStep], spawning: usize) -> Result<(), Failure> {
    let (mut updates, mut log) = (Updates::new(), Log::default());
    for (nth, step) in steps.iter().enumerate() {
        updates.insert(place(step.token()), Update { step, spawned: nth < spawning });
        log.add(step, None)?;
    }
    write_locked(tx, &updates)?;
    log.write(tx)
}

fn write_locked(tx: &mut Tx<'_>, updates: &Updates<'_>) -> Result<(), Failure> {
    let swapped = swap(tx, updates)?.len();
    if swapped == updates.len() {
        return Ok(());
    }
    Err(tx.damaged(format!("of {} items that were locked, {swapped} could be written", updates.len())))
}

fn place(token: Token) -> Place {
    (token.job().0, token.seq())
}

/// Locks the items of these steps, always in the same order, so that two batches wait for each other in one direction
/// only.
///
/// For each place one look into the index, and in the order of the places: this is how every batch is written here. As a
/// join of two tables it would be the planner's to choose which of them to walk through, and a plan that was made when
/// there were few items stays.
fn lock(tx: &mut Tx<'_>, steps: &[&AnyStep]) -> Result<BTreeMap<Place, Stored>, Failure> {
    let places: BTreeSet<Place> = steps.iter().map(|step| place(step.token())).collect();
    let jobs: Vec<i64> = places.iter().map(|(job, _)| *job).collect();
    let seqs: Vec<i64> = places.iter().map(|(_, seq)| number(*seq)).collect::<Result<_, _>>()?;
    let rows = tx.query(
        "SELECT i.* FROM unnest($1::bigint[], $2::bigint[]) AS n (job, seq) CROSS JOIN LATERAL
         (SELECT seq, job, version, origin FROM items WHERE job = n.job AND seq = n.seq FOR UPDATE) AS i",
        &[&jobs, &seqs],
    )?;
    let read = |row| {
        let fields = Fields::of("item", "items", row);
        let origin = fields.get::<Option<String>>(3)?.map(ItemId::from);
        Ok(((fields.get(1)?, fields.number(0)?), Stored { version: fields.number(2)?, origin }))
    };
    rows.iter().map(read).collect()
}

/// The events that stand where steps from other versions than the stored ones want to write.
fn known(
    tx: &mut Tx<'_>,
    steps: &[&AnyStep],
    stored: &BTreeMap<Place, Stored>,
) -> Result<BTreeMap<(Place, u64), HistoryRow>, Failure> {
    let is_stale = |step: &&&AnyStep| {
        stored.get(&place(step.token())).is_some_and(|item| item.version != step.token().version())
    };
    let (mut jobs, mut seqs, mut versions) = (Vec::new(), Vec::new(), Vec::new());
    for step in steps.iter().filter(is_stale) {
        let token = step.token();
        for version in token.version() + 1..=step.version_after() {
            jobs.push(token.job().0);
            seqs.push(number(token.seq())?);
            versions.push(number(version)?);
        }
    }
    if jobs.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rows = tx.query(
        &format!(
            "SELECT h.* FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS n (job, seq, version)
             CROSS JOIN LATERAL (SELECT {HISTORY}, h.job FROM history h
             WHERE h.job = n.job AND h.seq = n.seq AND h.version = n.version OFFSET 0) AS h"
        ),
        &[&jobs, &seqs, &versions],
    )?;
    let read = |row| {
        let job = Fields::of("item", "history", row).get(AFTER_HISTORY)?;
        let event = rows::history(row)?;
        Ok((((job, event.seq), event.version), event))
    };
    rows.iter().map(read).collect()
}

/// Whether the history already holds what the step wants to write.
fn is_recorded(step: &AnyStep, known: &BTreeMap<(Place, u64), HistoryRow>) -> bool {
    let place = place(step.token());
    history_rows(step).all(|row| known.get(&(place, row.version)) == Some(&row))
}

/// What becomes of items.
type Updates<'s> = BTreeMap<Place, Update<'s>>;

/// What becomes of an item: what a step says.
struct Update<'s> {
    step: &'s AnyStep,
    spawned: bool,
}

/// An item in progress is its agent's, and one that has failed stays whose it was; all others are nobody's.
const SWAP: &str = "
    UPDATE items i SET version = n.version, state = n.state, attempts = n.attempts, failures = n.failures,
        text = n.text, at = n.at, result = n.result, crashes = i.crashes + n.crashes, spawned = n.spawned,
        run_at = n.run_at, worker = CASE n.state WHEN 1 THEN n.text WHEN 3 THEN i.worker END
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::smallint[], $6::bigint[], $7::bigint[],
        $8::bytea[], $9::bigint[], $10::text[], $11::bigint[], $12::boolean[], $13::bigint[])
        AS n (job, seq, was, version, state, attempts, failures, text, at, result, crashes, spawned, run_at)
    CROSS JOIN LATERAL
        (SELECT ctid FROM items WHERE job = n.job AND seq = n.seq AND version = n.was OFFSET 0) AS place
    WHERE i.ctid = place.ctid RETURNING i.seq, i.job, i.origin";

/// Writes what becomes of items that have the version from which it starts, in the order of their places; which those were,
/// and the letters they were submitted anew for.
fn swap(tx: &mut Tx<'_>, items: &Updates<'_>) -> Result<BTreeMap<Place, Option<ItemId>>, Failure> {
    if items.is_empty() {
        return Ok(BTreeMap::new());
    }
    let column = |value: &dyn Fn(&Update<'_>) -> Result<i64, Failure>| -> Result<Vec<i64>, Failure> {
        items.values().map(value).collect()
    };
    let (mut texts, mut ats, mut results) = (Vec::new(), Vec::new(), Vec::new());
    for update in items.values() {
        let (text, at, result) = status_columns(&update.step.record().status);
        texts.push(text);
        ats.push(at);
        results.push(result);
    }
    let states: Vec<i16> =
        items.values().map(|update| status_code(update.step.record().status.kind())).collect();
    let spawned: Vec<bool> = items.values().map(|update| update.spawned).collect();
    let rows = tx.query(
        SWAP,
        &[
            &column(&|update| Ok(update.step.token().job().0))?,
            &column(&|update| number(update.step.token().seq()))?,
            &column(&|update| number(update.step.token().version()))?,
            &column(&|update| number(update.step.version_after()))?,
            &states,
            &column(&|update| number(update.step.record().attempts))?,
            &column(&|update| number(update.step.record().failures))?,
            &texts,
            &ats,
            &results,
            &column(&|update| Ok(i64::from(update.step.is_crash())))?,
            &spawned,
            &column(&|update| Ok(update.step.run_at().map_or(0, micros)))?,
        ],
    )?;
    let read = |row| {
        let fields = Fields::of("item", "items", row);
        let origin = fields.get::<Option<String>>(2)?.map(ItemId::from);
        Ok(((fields.get(1)?, fields.number(0)?), origin))
    };
    rows.iter().map(read).collect()
}
