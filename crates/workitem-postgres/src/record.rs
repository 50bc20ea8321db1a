//! Writing steps: compare-and-swap on the version, history, output and counts in one transaction; as many statements for a
//! thousand steps as for one.

use std::collections::{BTreeMap, BTreeSet};
use std::{iter, mem};

use workitem_store::engine::{as_json_keeps, history_rows};
use workitem_store::{AnyStep, HistoryRow, JobId, Outcome, Token};
use workitem_types::{ItemId, StatusKind};

use crate::claim::hold;
use crate::due::{self, Range};
use crate::error::Failure;
use crate::jobs;
use crate::log::Log;
use crate::pool::Tx;
use crate::rows::{self, AFTER_HISTORY, Fields, HISTORY, micros, number};
use crate::states::{Update, insert, update};

/// An item: its job and its position there.
pub type Place = (i64, u64);

/// What is stored of an item that a step is for.
struct Stored {
    /// Of what is in progress, that of the claim.
    version: u64,
    run_at: i64,
}

/// Writes steps of which each is the only one of its item and starts from what is stored, as it mostly is: compared and
/// written by one statement, without a lock before it. It writes each item once, so what it says it has written are all
/// only if that is so; otherwise nothing is written.
///
/// # Errors
///
/// [`Failure::Overtaken`]; then [`one_by_one`] decides.
pub fn at_once(tx: &mut Tx<'_>, steps: &[AnyStep]) -> Result<Vec<Outcome>, Failure> {
    let mut updates: Vec<Update<'_>> = steps.iter().map(Update).collect();
    updates.sort_by_key(Update::place);
    if updates.iter().any(|update| update.0.from() == StatusKind::Pending) {
        // Whether somebody has claimed it is not to be seen by its version.
        return Err(Failure::Overtaken);
    }
    let origins = origins(tx, &updates)?;
    let mut log = Log::default();
    for Update(step) in &updates {
        log.add(step, origins.get(&place(step.token())))?;
    }
    let (first, later): (Vec<_>, Vec<_>) = updates.into_iter().partition(|update| update.was() == 0);
    for (updates, write) in [(first, insert as Write), (later, update)] {
        if write(tx, &updates)? != updates.len() {
            return Err(Failure::Overtaken);
        }
        set_down(tx, &updates)?;
    }
    log.write(tx)?;
    Ok(vec![Outcome::Recorded; steps.len()])
}

type Write = fn(&mut Tx<'_>, &[Update<'_>]) -> Result<usize, Failure>;

/// Decides about each step as if they came one after the other, under a lock of their items, and writes those that count.
pub fn one_by_one(tx: &mut Tx<'_>, steps: &[AnyStep]) -> Result<Vec<Outcome>, Failure> {
    let all: Vec<Update<'_>> = steps.iter().map(Update).collect();
    let origins = origins(tx, &all)?;
    let mut stored = lock(tx, steps)?;
    lock_ranges(tx, steps, &stored)?;
    let mut known = known(tx, steps, &stored)?;
    let (mut updates, mut log) = (BTreeMap::new(), Log::default());
    let mut outcomes = Vec::with_capacity(steps.len());
    for step in steps {
        let place = place(step.token());
        if updates.contains_key(&place) {
            write_locked(tx, mem::take(&mut updates))?;
        }
        let outcome = match stored.get_mut(&place) {
            Some(item) if item.version == step.token().version() && is_there(tx, step, item)? => {
                updates.insert(place, Update(step));
                log.add(step, origins.get(&place))?;
                *item = Stored { version: step.version_after(), run_at: Update(step).run_at() };
                known.extend(history_rows(step).map(as_json_keeps).map(|row| ((place, row.version), row)));
                Outcome::Recorded
            }
            Some(_) if is_recorded(step, &known) => Outcome::Recorded,
            Some(_) | None => Outcome::Fenced,
        };
        outcomes.push(outcome);
    }
    write_locked(tx, updates)?;
    log.write(tx)?;
    // Of a job that is gone nobody is ahead.
    let fenced = iter::zip(steps, &outcomes).filter(|(_, outcome)| **outcome == Outcome::Fenced);
    for job in fenced.map(|(step, _)| step.token().job()).collect::<BTreeSet<JobId>>() {
        jobs::sealed(tx, job)?;
    }
    Ok(outcomes)
}

/// Locks the ranges that pending items are begun out of, in the order of the items, which is that of the ranges.
fn lock_ranges(tx: &mut Tx<'_>, steps: &[AnyStep], stored: &BTreeMap<Place, Stored>) -> Result<(), Failure> {
    let begun = steps.iter().filter(|step| step.from() == StatusKind::Pending).map(AnyStep::token);
    let begun: BTreeMap<Place, Token> = begun.map(|token| (place(token), token)).collect();
    for (place, token) in begun {
        if let Some(item) = stored.get(&place).filter(|item| item.version == token.version()) {
            due::lock_range_of(tx, token.job(), pending(token, item)?)?;
        }
    }
    Ok(())
}

/// The item, as it stands among what is due.
fn pending(token: Token, item: &Stored) -> Result<Range, Failure> {
    Ok(Range::of(number(token.seq())?, item.run_at, number(token.version())?))
}

/// Whether nobody has claimed the item meanwhile, if the step is one of a pending item: a claim locks no item.
fn is_there(tx: &mut Tx<'_>, step: &AnyStep, item: &Stored) -> Result<bool, Failure> {
    if step.from() != StatusKind::Pending {
        return Ok(true);
    }
    due::take_out(tx, step.token().job(), pending(step.token(), item)?)
}

fn write_locked(tx: &mut Tx<'_>, updates: BTreeMap<Place, Update<'_>>) -> Result<(), Failure> {
    let updates: Vec<Update<'_>> = updates.into_values().collect();
    let written = update(tx, &updates)?;
    if written != updates.len() {
        return Err(
            tx.damaged(format!("of {} items that were locked, {written} could be written", updates.len()))
        );
    }
    set_down(tx, &updates)
}

/// Has those claimed that were put back, and those held that a step has begun.
fn set_down(tx: &mut Tx<'_>, updates: &[Update<'_>]) -> Result<(), Failure> {
    let mut pending: BTreeMap<JobId, Vec<Range>> = BTreeMap::new();
    for update in updates.iter().filter(|update| update.is_stored_pending()) {
        let token = update.0.token();
        let range = Range::of(number(token.seq())?, update.run_at(), number(update.version())?);
        match update.begun() {
            Some((worker, at)) => hold(tx, token.job(), worker, micros(at), &[(range, 0)])?,
            None => pending.entry(token.job()).or_default().push(range),
        }
    }
    for (job, ranges) in pending {
        due::put(tx, job, &due::joined(ranges))?;
    }
    Ok(())
}

pub fn place(token: Token) -> Place {
    (token.job().0, token.seq())
}

/// The letters that items of a batch were submitted anew for.
type Origins = BTreeMap<Place, ItemId>;

/// Mostly there are none between the first and the last item of a job, and then the items need not be looked for one by one.
fn origins(tx: &mut Tx<'_>, updates: &[Update<'_>]) -> Result<Origins, Failure> {
    let mut spans: BTreeMap<i64, (u64, u64)> = BTreeMap::new();
    for (job, seq) in updates.iter().map(Update::place) {
        let (first, last) = spans.entry(job).or_insert((seq, seq));
        (*first, *last) = (seq.min(*first), seq.max(*last));
    }
    let mut origins = Origins::new();
    for (job, (first, last)) in spans {
        let any = tx.query_opt(
            "SELECT 1 FROM items WHERE job = $1 AND seq BETWEEN $2 AND $3 AND origin IS NOT NULL LIMIT 1",
            &[&job, &number(first)?, &number(last)?],
        )?;
        if any.is_none() {
            continue;
        }
        let of_job = updates.iter().map(Update::place).filter(|(of, _)| *of == job);
        let seqs: Vec<i64> = of_job.map(|(_, seq)| number(seq)).collect::<Result<_, _>>()?;
        let rows = tx.query(
            "SELECT i.seq, i.origin FROM unnest($2::bigint[]) AS n (seq) CROSS JOIN LATERAL
             (SELECT seq, origin FROM items WHERE job = $1 AND seq = n.seq AND origin IS NOT NULL OFFSET 0) AS i",
            &[&job, &seqs],
        )?;
        for row in &rows {
            let fields = Fields::of("item", "items", row);
            origins.insert((job, fields.number(0)?), fields.get::<String>(1)?.into());
        }
    }
    Ok(origins)
}

/// Locks the items of these steps, always in the same order, so that two batches wait for each other in one direction
/// only. What has no state yet gets that of an item that nothing has happened to, so that there is something to be locked.
///
/// For each place one look into the index, and in the order of the places: this is how every batch is written here. As a
/// join of two tables it would be the planner's to choose which of them to walk through, and a plan that was made when
/// there were few items stays.
fn lock(tx: &mut Tx<'_>, steps: &[AnyStep]) -> Result<BTreeMap<Place, Stored>, Failure> {
    let places: BTreeSet<Place> = steps.iter().map(|step| place(step.token())).collect();
    let jobs: Vec<i64> = places.iter().map(|(job, _)| *job).collect();
    let seqs: Vec<i64> = places.iter().map(|(_, seq)| number(*seq)).collect::<Result<_, _>>()?;
    tx.execute(
        "INSERT INTO states (job, seq) SELECT i.job, i.seq
         FROM unnest($1::bigint[], $2::bigint[]) AS n (job, seq) CROSS JOIN LATERAL
         (SELECT job, seq FROM items WHERE job = n.job AND seq = n.seq OFFSET 0) AS i ON CONFLICT DO NOTHING",
        &[&jobs, &seqs],
    )?;
    tx.execute(
        "SELECT FROM unnest($1::bigint[], $2::bigint[]) AS n (job, seq) CROSS JOIN LATERAL
         (SELECT FROM states WHERE job = n.job AND seq = n.seq FOR UPDATE) AS s",
        &[&jobs, &seqs],
    )?;
    // Only now: a statement that waits for somebody does not see what they have claimed meanwhile.
    let rows = tx.query(
        "SELECT s.seq, s.job, s.version, s.run_at, EXISTS (SELECT 1 FROM claims c WHERE c.job = s.job
             AND c.seq BETWEEN s.seq - 127 AND s.seq AND c.until >= s.seq AND c.version = s.version)
         FROM unnest($1::bigint[], $2::bigint[]) AS n (job, seq) CROSS JOIN LATERAL
         (SELECT * FROM states WHERE job = n.job AND seq = n.seq OFFSET 0) AS s",
        &[&jobs, &seqs],
    )?;
    let read = |row| {
        let fields = Fields::of("item", "states", row);
        let version = fields.number::<u64>(2)? + u64::from(fields.get::<bool>(4)?);
        Ok(((fields.get(1)?, fields.number(0)?), Stored { version, run_at: fields.get(3)? }))
    };
    rows.iter().map(read).collect()
}

/// The events that stand where steps from other versions than the stored ones want to write.
fn known(
    tx: &mut Tx<'_>,
    steps: &[AnyStep],
    stored: &BTreeMap<Place, Stored>,
) -> Result<BTreeMap<(Place, u64), HistoryRow>, Failure> {
    let is_stale = |step: &&AnyStep| {
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
    history_rows(step).map(as_json_keeps).all(|row| known.get(&(place, row.version)) == Some(&row))
}
