//! Does what the store says follow from what happened? The history is replayed through the dynamic
//! machine, which is not the code that wrote it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::RangeInclusive;

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
/// there twice, there is no trace of items that do not exist, kept output is there in full, the counts are
/// those of the items, and the engine finds its files sound. What is too damaged to be read is a problem
/// like any other, and the rest is audited.
///
/// Meant for a job that is not running, so the caller holds its lock: of a running one this sees different
/// moments.
///
/// # Errors
///
/// [`StoreError`] if the store cannot be read for another reason than damage.
pub fn verify(store: &dyn Store, job: &Job) -> Result<Audit, StoreError> {
    let mut audit = Audit::default();
    for problem in audit.read(store.check_files(job.id))?.unwrap_or_default() {
        audit.problem(problem);
    }
    let (kept, counted) = (audit.read(store.counts(job.id))?, audit.read(store.recount(job.id))?);
    // Positions have no gaps, so that this is the last one, if anything can be believed.
    let last = counted.as_ref().or(kept.as_ref()).map_or(0, |counts| counts.by_status.total()) as u64;
    let mut first: u64 = 0;
    loop {
        let after = first.saturating_sub(1);
        let page = audit.read(store.items(job.id, &ItemQuery { status: None, after, limit: PAGE }))?;
        let end = match page.as_ref().map(|page| page.last()) {
            Some(None) => break,
            Some(Some(item)) => item.seq,
            None if after < last => after + PAGE as u64,
            None => break,
        };
        if let Some(page) = page {
            audit.page(store, job, page, first..=end)?;
        }
        first = end + 1;
    }
    audit.page(store, job, Vec::new(), first..=u64::MAX)?;
    if let (Some(kept), Some(counted)) = (kept, counted)
        && kept != counted
    {
        audit.problem(format!("the counts kept are {kept:?}, counted anew they are {counted:?}"));
    }
    Ok(audit)
}

impl Audit {
    /// What was read; nothing if it is damaged, which is noted.
    fn read<T>(&mut self, read: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
        match read {
            Err(StoreError::Damaged { what, .. }) => {
                self.problem(what);
                Ok(None)
            }
            read => read.map(Some),
        }
    }

    /// Audits all items at these positions, and that nothing else is there.
    fn page(
        &mut self,
        store: &dyn Store,
        job: &Job,
        items: Vec<ItemRow>,
        seqs: RangeInclusive<u64>,
    ) -> Result<(), StoreError> {
        let histories = self.read(store.history(job.id, seqs.clone()))?;
        let mut histories = histories.map(|rows| by_seq(rows, |row| row.seq));
        let attempts = self.read(store.attempts(job.id, seqs))?;
        let mut attempts = by_seq(attempts.unwrap_or_default(), |row| row.seq);
        for item in items {
            self.items += 1;
            if let Some(histories) = &mut histories {
                replay(self, &item, histories.remove(&item.seq).unwrap_or_default());
            }
            for attempt in attempts.remove(&item.seq).unwrap_or_default() {
                check_output(self, store, job, &item, &attempt);
            }
        }
        let stray: BTreeSet<u64> =
            histories.unwrap_or_default().into_keys().chain(attempts.into_keys()).collect();
        for seq in stray {
            self.problem(format!("there is a history or output of item {seq}, but no such item"));
        }
        Ok(())
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_problems_are_told_and_all_are_counted() {
        let mut audit = Audit::default();
        assert!(audit.passed());
        for problem in 1..=150 {
            audit.problem(problem.to_string());
            assert!(!audit.passed());
        }
        assert_eq!((audit.found, audit.problems.len()), (150, TOLD));
    }
}
