//! Writing steps: compare-and-swap on the version, history, output and counts in one transaction; as many statements for a
//! thousand steps as for one.

use std::collections::{BTreeMap, BTreeSet};

use workitem_store::engine::{CountChange, history_rows};
use workitem_store::{AnyStep, HistoryRow, JobId, Outcome, Token};
use workitem_types::ItemId;

use crate::codes::{event_code, status_code};
use crate::counts::{self, Change};
use crate::error::Failure;
use crate::pool::Tx;
use crate::rows::{
    self, AFTER_HISTORY, Fields, HISTORY, event_payload, micros, number, status_columns, stream_columns,
};
use crate::submit::parts;

/// An item: its job and its position there.
type Place = (i64, u64);

/// What is stored of an item that a step is for.
struct Stored {
    version: u64,
    origin: Option<ItemId>,
}

/// Decides about each step as if they came one after the other, and writes those that count.
pub fn record(tx: &mut Tx<'_>, steps: &[AnyStep]) -> Result<Vec<Outcome>, Failure> {
    let mut stored = lock(tx, steps)?;
    let mut known = known(tx, steps, &stored)?;
    let mut batch = Batch::default();
    let mut outcomes = Vec::with_capacity(steps.len());
    for step in steps {
        let place = place(step.token());
        let outcome = match stored.get_mut(&place) {
            Some(item) if item.version == step.token().version() => {
                batch.add(step, false, item.origin.as_ref())?;
                item.version = step.version_after();
                known.extend(history_rows(step).map(|row| ((place, row.version), row)));
                Outcome::Recorded
            }
            Some(_) if is_recorded(step, &known) => Outcome::Recorded,
            Some(_) | None => Outcome::Fenced,
        };
        outcomes.push(outcome);
    }
    batch.write(tx)?;
    Ok(outcomes)
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
fn lock(tx: &mut Tx<'_>, steps: &[AnyStep]) -> Result<BTreeMap<Place, Stored>, Failure> {
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
    history_rows(step).all(|row| known.get(&(place, row.version)) == Some(&row))
}

/// Steps whose items have the versions they started from, as what they become: column by column.
#[derive(Default)]
pub struct Batch<'s> {
    items: BTreeMap<Place, Update<'s>>,
    events: Vec<(i64, HistoryRow)>,
    output: Vec<&'s AnyStep>,
    counts: BTreeMap<JobId, Change>,
}

/// What becomes of an item.
struct Update<'s> {
    /// The version it has before.
    from: u64,
    /// The step that it ends with.
    step: &'s AnyStep,
    crashes: i64,
    spawned: bool,
}

impl<'s> Batch<'s> {
    /// A step whose item is locked and has its version. `origin` is the letter the item was submitted anew for.
    pub fn add(&mut self, step: &'s AnyStep, spawned: bool, origin: Option<&ItemId>) -> Result<(), Failure> {
        let token = step.token();
        let update = self.items.entry(place(token)).or_insert(Update {
            from: token.version(),
            step,
            crashes: 0,
            spawned,
        });
        (update.step, update.spawned) = (step, spawned);
        update.crashes += i64::from(step.is_crash());
        self.events.extend(history_rows(step).map(|row| (token.job().0, row)));
        if !step.output().is_empty() {
            self.output.push(step);
        }
        self.counts.entry(token.job()).or_default().count(CountChange::of(step, origin))
    }

    pub fn write(self, tx: &mut Tx<'_>) -> Result<(), Failure> {
        if self.items.is_empty() {
            return Ok(());
        }
        write_items(tx, &self.items)?;
        write_events(tx, &self.events)?;
        write_output(tx, &self.output)?;
        for (job, change) in &self.counts {
            counts::change(tx, *job, change)?;
        }
        Ok(())
    }
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
    WHERE i.ctid = place.ctid";

fn write_items(tx: &mut Tx<'_>, items: &BTreeMap<Place, Update<'_>>) -> Result<(), Failure> {
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
    let swapped = tx.execute(
        SWAP,
        &[
            &column(&|update| Ok(update.step.token().job().0))?,
            &column(&|update| number(update.step.token().seq()))?,
            &column(&|update| number(update.from))?,
            &column(&|update| number(update.step.version_after()))?,
            &states,
            &column(&|update| number(update.step.record().attempts))?,
            &column(&|update| number(update.step.record().failures))?,
            &texts,
            &ats,
            &results,
            &column(&|update| Ok(update.crashes))?,
            &spawned,
            &column(&|update| Ok(update.step.run_at().map_or(0, micros)))?,
        ],
    )?;
    if swapped == items.len() as u64 {
        return Ok(());
    }
    Err(tx.damaged(format!("of {} items that were locked, {swapped} could be written", items.len())))
}

fn write_events(tx: &mut Tx<'_>, events: &[(i64, HistoryRow)]) -> Result<(), Failure> {
    let payload = |(_, row): &(i64, HistoryRow)| event_payload(&row.event);
    let events: Vec<_> = events.iter().map(|event| (event, payload(event))).collect();
    for part in parts(&events, |(_, payload)| payload.as_ref().map_or(0, Vec::len)) {
        let jobs: Vec<i64> = part.iter().map(|((job, _), _)| *job).collect();
        let seqs: Vec<i64> = part.iter().map(|((_, row), _)| number(row.seq)).collect::<Result<_, _>>()?;
        let versions: Vec<i64> =
            part.iter().map(|((_, row), _)| number(row.version)).collect::<Result<_, _>>()?;
        let kinds: Vec<i16> = part.iter().map(|((_, row), _)| event_code(row.event.kind())).collect();
        let payloads: Vec<Option<&[u8]>> = part.iter().map(|(_, payload)| payload.as_deref()).collect();
        let ats: Vec<i64> = part.iter().map(|((_, row), _)| micros(row.at)).collect();
        let json = |cause| serde_json::to_string(&cause).expect("a cause is JSON");
        let causes: Vec<Option<String>> = part.iter().map(|((_, row), _)| row.cause.map(json)).collect();
        tx.execute(
            "INSERT INTO history (job, seq, version, event, payload, at, cause)
             SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::smallint[], $5::bytea[],
             $6::bigint[], $7::text[])",
            &[&jobs, &seqs, &versions, &kinds, &payloads, &ats, &causes],
        )?;
    }
    Ok(())
}

fn write_output(tx: &mut Tx<'_>, steps: &[&AnyStep]) -> Result<(), Failure> {
    let bytes = |step: &&AnyStep| {
        let output = step.output();
        output.stdout.kept_len().saturating_add(output.stderr.kept_len()).try_into().unwrap_or(usize::MAX)
    };
    for part in parts(steps, bytes) {
        let jobs: Vec<i64> = part.iter().map(|step| step.token().job().0).collect();
        let seqs: Vec<i64> = part.iter().map(|step| number(step.token().seq())).collect::<Result<_, _>>()?;
        let attempts: Vec<i64> =
            part.iter().map(|step| number(step.record().attempts)).collect::<Result<_, _>>()?;
        let (mut stdout, mut stdout_blob, mut stdout_total) = (Vec::new(), Vec::new(), Vec::new());
        let (mut stderr, mut stderr_blob, mut stderr_total) = (Vec::new(), Vec::new(), Vec::new());
        for step in part {
            let (bytes, blob, total) = stream_columns(&step.output().stdout)?;
            stdout.push(bytes);
            stdout_blob.push(blob);
            stdout_total.push(total);
            let (bytes, blob, total) = stream_columns(&step.output().stderr)?;
            stderr.push(bytes);
            stderr_blob.push(blob);
            stderr_total.push(total);
        }
        tx.execute(
            "INSERT INTO attempts (job, seq, attempt, stdout, stdout_blob, stdout_total, stderr, stderr_blob,
             stderr_total)
             SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bytea[], $5::bigint[],
             $6::bigint[], $7::bytea[], $8::bigint[], $9::bigint[])",
            &[
                &jobs,
                &seqs,
                &attempts,
                &stdout,
                &stdout_blob,
                &stdout_total,
                &stderr,
                &stderr_blob,
                &stderr_total,
            ],
        )?;
    }
    Ok(())
}
