//! Does what the store says follow from what happened? The history is replayed through the dynamic
//! machine, which is not the code that wrote it.

use std::collections::BTreeMap;
use std::io;

use workitem_dynamic::apply_item;
use workitem_types::WorkItemRecord;

use crate::{
    AttemptRow, BlobName, Captured, HistoryRow, ItemQuery, ItemRow, Job, Kept, Store, StoreError, StreamKind,
};

/// Items read at a time.
const PAGE: usize = 1_000;
/// Problems told in full; the rest is only counted.
const TOLD: usize = 100;

/// What [`verify`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Audit {
    /// Items looked at.
    pub items: usize,
    /// Events replayed.
    pub events: usize,
    /// Number of problems.
    pub found: usize,
    /// The first hundred problems, a line each.
    pub problems: Vec<String>,
}

impl Audit {
    /// Whether nothing is wrong.
    pub const fn passed(&self) -> bool {
        self.found == 0
    }

    fn problem(&mut self, problem: String) {
        self.found += 1;
        if self.problems.len() < TOLD {
            self.problems.push(problem);
        }
    }
}

/// Audits one job: every item's history leads to the item as it is stored, no event is missing or
/// there twice, kept output is there in full, the counts are those of the items, and the engine finds
/// its files sound. Meant for a job that is not running: of a running one it sees different moments.
///
/// # Errors
///
/// [`StoreError`] if the store cannot be read.
pub fn verify(store: &dyn Store, job: &Job) -> Result<Audit, StoreError> {
    let mut audit = Audit::default();
    for problem in store.check_files()? {
        audit.problem(problem);
    }
    let mut after = 0;
    loop {
        let page = store.items(job.id, &ItemQuery { status: None, after, limit: PAGE })?;
        let (Some(first), Some(last)) = (page.first(), page.last()) else { break };
        let seqs = first.seq..=last.seq;
        let mut histories = by_seq(store.history(job.id, seqs.clone())?, |row| row.seq);
        let mut attempts = by_seq(store.attempts(job.id, seqs)?, |row| row.seq);
        after = last.seq;
        for item in page {
            audit.items += 1;
            replay(&mut audit, &item, histories.remove(&item.seq).unwrap_or_default());
            for attempt in attempts.remove(&item.seq).unwrap_or_default() {
                check_output(&mut audit, store, job, &item, &attempt);
            }
        }
        for seq in histories.into_keys().chain(attempts.into_keys()) {
            audit.problem(format!("there is a history or output of item {seq}, but no such item"));
        }
    }
    let (kept, counted) = (store.counts(job.id)?, store.recount(job.id)?);
    if kept != counted {
        audit.problem(format!("the counts kept are {kept:?}, counted anew they are {counted:?}"));
    }
    Ok(audit)
}

fn by_seq<T>(rows: Vec<T>, seq: impl Fn(&T) -> u64) -> BTreeMap<u64, Vec<T>> {
    let mut map: BTreeMap<u64, Vec<T>> = BTreeMap::new();
    for row in rows {
        map.entry(seq(&row)).or_default().push(row);
    }
    map
}

fn replay(audit: &mut Audit, item: &ItemRow, history: Vec<HistoryRow>) {
    let id = &item.record.id;
    let mut replayed = WorkItemRecord::new(id.clone());
    let mut version = 0;
    for row in history {
        audit.events += 1;
        version += 1;
        if row.version != version {
            audit.problem(format!("item `{id}`: event {} follows event {}", row.version, version - 1));
            return;
        }
        if let Err(refused) = apply_item(&mut replayed, row.event, row.at) {
            audit.problem(format!("item `{id}`: event {version}: {refused}"));
            return;
        }
    }
    if version != item.version {
        audit.problem(format!("item `{id}` is at version {}, but has {version} events", item.version));
    } else if replayed != item.record {
        audit.problem(format!(
            "item `{id}`: its history leads to {replayed:?}, but {:?} is stored",
            item.record
        ));
    }
}

fn check_output(audit: &mut Audit, store: &dyn Store, job: &Job, item: &ItemRow, row: &AttemptRow) {
    let id = &item.record.id;
    if row.attempt == 0 || row.attempt > item.record.attempts {
        audit.problem(format!("item `{id}`: there is output of attempt {}", row.attempt));
    }
    let streams = [(StreamKind::Stdout, &row.output.stdout), (StreamKind::Stderr, &row.output.stderr)];
    for (stream, captured) in streams {
        let Captured { kept: Kept::Blob { len }, .. } = captured else { continue };
        let name = BlobName { job: job.id, seq: item.seq, attempt: row.attempt, stream };
        let found = store.open(name).map(|mut blob| io::copy(&mut blob, &mut io::sink()));
        match found {
            Ok(Ok(found)) if found == *len => {}
            Ok(Ok(found)) => audit.problem(format!("item `{id}`: {name} has {found} bytes instead of {len}")),
            Ok(Err(error)) => audit.problem(format!("item `{id}`: {name} cannot be read: {error}")),
            Err(error) => audit.problem(format!("item `{id}`: {name}: {error}")),
        }
    }
}
