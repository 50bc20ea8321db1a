//! What is written beside items when steps are recorded: history, output, and the counts.

use std::borrow::Cow;
use std::collections::BTreeMap;

use workitem_store::engine::{CountChange, NewEvent, new_events};
use workitem_store::{AnyStep, JobId};
use workitem_types::ItemId;

use crate::codes::event_code;
use crate::counts::{self, Change};
use crate::error::Failure;
use crate::pool::Tx;
use crate::rows::{event_payload, micros, number, stream_columns};
use crate::submit::parts;

/// What is written beside the items themselves.
#[derive(Default)]
pub struct Log<'s> {
    events: Vec<Entry<'s>>,
    output: Vec<&'s AnyStep>,
    counts: BTreeMap<JobId, Change>,
}

/// A row of the history.
struct Entry<'s> {
    job: i64,
    seq: i64,
    payload: Option<Cow<'s, [u8]>>,
    new: NewEvent<'s>,
}

impl<'s> Log<'s> {
    /// A step that counts. `origin` is the letter the item was submitted anew for.
    pub fn add(&mut self, step: &'s AnyStep, origin: Option<&ItemId>) -> Result<(), Failure> {
        let token = step.token();
        let (job, seq) = (token.job().0, number(token.seq())?);
        let entry = |new: NewEvent<'s>| Entry { job, seq, payload: event_payload(new.event.event()), new };
        self.events.extend(new_events(step).map(entry));
        if !step.output().is_empty() {
            self.output.push(step);
        }
        self.counts.entry(token.job()).or_default().count(CountChange::of(step, origin))
    }

    /// The counts last, for which all others wait.
    pub fn write(self, tx: &mut Tx<'_>) -> Result<(), Failure> {
        write_events(tx, &self.events)?;
        write_output(tx, &self.output)?;
        for (job, change) in &self.counts {
            counts::change(tx, *job, change)?;
        }
        Ok(())
    }
}

fn write_events(tx: &mut Tx<'_>, events: &[Entry<'_>]) -> Result<(), Failure> {
    for part in parts(events, |entry| entry.payload.as_ref().map_or(0, |payload| payload.len())) {
        let jobs: Vec<i64> = part.iter().map(|entry| entry.job).collect();
        let seqs: Vec<i64> = part.iter().map(|entry| entry.seq).collect();
        let versions: Vec<i64> =
            part.iter().map(|entry| number(entry.new.version)).collect::<Result<_, _>>()?;
        let kinds: Vec<i16> = part.iter().map(|entry| event_code(entry.new.event.event().kind())).collect();
        let payloads: Vec<Option<&[u8]>> = part.iter().map(|entry| entry.payload.as_deref()).collect();
        let ats: Vec<i64> = part.iter().map(|entry| micros(entry.new.event.at())).collect();
        let json = |cause| serde_json::to_string(&cause).expect("a cause is JSON");
        let causes: Vec<Option<String>> = part.iter().map(|entry| entry.new.cause.map(json)).collect();
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
             $6::bigint[], $7::bytea[], $8::bigint[], $9::bigint[])
             ON CONFLICT (job, seq, attempt) DO NOTHING",
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
