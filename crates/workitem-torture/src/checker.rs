//! The one checker: which promises does a store break, given what was acknowledged?
//!
//! Every torture asks it, after everything that it did. It reads the store as any other program does and leans on
//! nothing that a run remembers: the history is replayed by the dynamic machine, which is not the code that wrote it.
//! What was acknowledged comes from outside, from what a program has printed or a call has returned.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use workitem_sqlite::SqliteStore;
use workitem_store::{HistoryRow, ItemQuery, ItemRow, Job, Store, StoreError, verify};
use workitem_types::{EventKind, StatusKind, WorkItemEvent};

/// Items read at a time.
const PAGE: usize = 1_000;

/// What is known of a job from outside of its store.
#[derive(Debug, Clone, Default)]
pub struct Acknowledged {
    /// So many items were said to be stored; nothing was said yet, if there is none.
    pub items: Option<usize>,
    /// Items that were reported as completed, or whose output was printed.
    pub completed: BTreeSet<String>,
    /// Items that were reported as given up.
    pub given_up: BTreeSet<String>,
    /// Items whose agents have started, and the last attempt that one of them was.
    pub started: BTreeMap<String, usize>,
    /// Who has started an agent, by item and attempt. Where several work on a job, it matters.
    pub starters: BTreeMap<(String, usize), String>,
    /// Attempts that were reported to have completed their items.
    pub completed_by: BTreeMap<String, usize>,
}

/// How much must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// It was cut off: items may be in progress.
    Cut,
    /// A run has ended by itself: it has left nothing in progress.
    AtRest,
    /// A run has ended because nothing was left to do.
    Finished,
}

/// What a store has promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// What was acknowledged is there.
    NothingLost,
    /// No item is completed twice.
    RecordedOnce,
    /// Every history leads to the item that is stored, counts are those of the items, files are sound.
    Verifies,
    /// Nothing is in progress without anybody who runs it.
    NothingStuck,
    /// What is finished has only items that are completed or given up.
    EveryItemSettled,
}

/// A promise that is broken, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The promise.
    pub promise: Promise,
    /// The job, perhaps the item, what was expected and what was found.
    pub what: String,
}

/// Checks every job of a store, and that no acknowledged one is missing. The store must not be in use.
///
/// # Errors
///
/// [`StoreError`] if the store cannot be opened or read for another reason than damage.
pub fn check(
    path: &Path,
    acknowledged: &BTreeMap<String, Acknowledged>,
    moment: Moment,
) -> Result<Vec<Violation>, StoreError> {
    check_store(&SqliteStore::open(path)?, acknowledged, moment)
}

/// Checks every job of a store of whatever kind, and that no acknowledged one is missing.
///
/// # Errors
///
/// [`StoreError`] if the store cannot be read for another reason than damage.
pub fn check_store(
    store: &dyn Store,
    acknowledged: &BTreeMap<String, Acknowledged>,
    moment: Moment,
) -> Result<Vec<Violation>, StoreError> {
    let mut names: BTreeSet<String> = acknowledged.keys().cloned().collect();
    names.extend(store.jobs()?.into_iter().map(|job| job.name));
    let nothing = Acknowledged::default();
    let mut found = Vec::new();
    for name in names {
        found.extend(check_job(store, &name, acknowledged.get(&name).unwrap_or(&nothing), moment)?);
    }
    Ok(found)
}

/// Checks one job; others of the store may be running.
///
/// # Errors
///
/// As [`check`].
pub fn check_job(
    store: &dyn Store,
    name: &str,
    acknowledged: &Acknowledged,
    moment: Moment,
) -> Result<Vec<Violation>, StoreError> {
    let mut found = Found { job: name, violations: Vec::new() };
    match store.job(name) {
        Ok(job) => found.check(store, &job, acknowledged, moment)?,
        Err(StoreError::NoJob { .. }) => {
            if let Some(items) = acknowledged.items {
                found.add(Promise::NothingLost, format!("is gone, though {items} items were acknowledged"));
            }
        }
        Err(StoreError::Damaged { what, .. }) => found.add(Promise::Verifies, what),
        Err(error) => return Err(error),
    }
    Ok(found.violations)
}

struct Found<'a> {
    job: &'a str,
    violations: Vec<Violation>,
}

impl Found<'_> {
    fn add(&mut self, promise: Promise, what: impl fmt::Display) {
        self.violations.push(Violation { promise, what: format!("job `{}`: {what}", self.job) });
    }

    fn check(
        &mut self,
        store: &dyn Store,
        job: &Job,
        acknowledged: &Acknowledged,
        moment: Moment,
    ) -> Result<(), StoreError> {
        for problem in verify(store, job)?.problems {
            self.add(Promise::Verifies, problem);
        }
        let mut items = BTreeMap::new();
        let mut after = 0;
        loop {
            let page = match store.items(job.id, &ItemQuery { status: None, after, limit: PAGE }) {
                // It is among the problems.
                Err(StoreError::Damaged { .. }) => return Ok(()),
                page => page?,
            };
            let Some(last) = page.last().map(|item| item.seq) else { break };
            self.completed_once(store, job, &page, acknowledged)?;
            items.extend(page.into_iter().map(|item| (item.record.id.to_string(), item)));
            after = last;
        }
        self.nothing_lost(job, &items, acknowledged);
        self.nothing_left(job, &items, moment);
        Ok(())
    }

    /// Counted here by itself: the machine that replays would refuse it too, and it is what matters most.
    fn completed_once(
        &mut self,
        store: &dyn Store,
        job: &Job,
        page: &[ItemRow],
        acknowledged: &Acknowledged,
    ) -> Result<(), StoreError> {
        let (Some(first), Some(last)) = (page.first(), page.last()) else { return Ok(()) };
        let history = match store.history(job.id, first.seq..=last.seq) {
            Err(StoreError::Damaged { .. }) => return Ok(()),
            history => history?,
        };
        let mut completions: BTreeMap<u64, usize> = BTreeMap::new();
        for row in history.iter().filter(|row| row.event.kind() == EventKind::AgentComplete) {
            *completions.entry(row.seq).or_default() += 1;
        }
        self.starts_recorded(page, &history, acknowledged);
        for item in page {
            let (id, times) = (&item.record.id, completions.get(&item.seq).copied().unwrap_or(0));
            let is_completed = item.record.status.kind() == StatusKind::Completed;
            if times > 1 {
                self.add(
                    Promise::RecordedOnce,
                    format!("item `{id}` is recorded as completed {times} times"),
                );
            } else if times != usize::from(is_completed) {
                let status = item.record.status.kind();
                self.add(
                    Promise::RecordedOnce,
                    format!("item `{id}` is {status}, and completed {times} times"),
                );
            }
        }
        Ok(())
    }

    /// Every agent that has started did so for an attempt that is in the history, under the name of who has started it:
    /// else the item would have been somebody else's by then, or completed.
    fn starts_recorded(&mut self, page: &[ItemRow], history: &[HistoryRow], acknowledged: &Acknowledged) {
        if acknowledged.starters.is_empty() {
            return;
        }
        let mut attempts: BTreeMap<u64, Vec<&str>> = BTreeMap::new();
        for row in history {
            if let WorkItemEvent::AgentStart { agent_id } = &row.event {
                attempts.entry(row.seq).or_default().push(agent_id);
            }
        }
        let recorded: BTreeMap<String, &[&str]> = page
            .iter()
            .map(|item| (item.record.id.to_string(), attempts.get(&item.seq).map_or(&[][..], Vec::as_slice)))
            .collect();
        for ((id, attempt), starter) in &acknowledged.starters {
            // Those of other pages have their turn.
            let Some(recorded) = recorded.get(id) else { continue };
            let by = attempt.checked_sub(1).and_then(|nth| recorded.get(nth));
            if by != Some(&starter.as_str()) {
                let by = by.unwrap_or(&"nobody");
                let what =
                    format!("item `{id}`: attempt {attempt} was started by {starter}, recorded is {by}");
                self.add(Promise::NothingLost, what);
            }
        }
    }

    fn nothing_lost(&mut self, job: &Job, items: &BTreeMap<String, ItemRow>, acknowledged: &Acknowledged) {
        if let Some(expected) = acknowledged.items {
            if !job.is_sealed() {
                self.add(Promise::NothingLost, "its input was acknowledged, and is not complete");
            }
            if items.len() < expected {
                let what = format!("{expected} items were acknowledged, {} are there", items.len());
                self.add(Promise::NothingLost, what);
            }
        }
        let said = [
            (&acknowledged.completed, StatusKind::Completed),
            (&acknowledged.given_up, StatusKind::DeadLettered),
        ];
        for (ids, expected) in said {
            for id in ids {
                let status = items.get(id).map(|item| item.record.status.kind());
                if status != Some(expected) {
                    let found = status.map_or("not there", StatusKind::name);
                    let what = format!("item `{id}` was reported as {expected}, and is {found}");
                    self.add(Promise::NothingLost, what);
                }
            }
        }
        for (id, attempt) in &acknowledged.completed_by {
            let recorded = items.get(id).map_or(0, |item| item.record.attempts);
            if recorded != *attempt {
                let what = format!(
                    "item `{id}` was reported as completed by attempt {attempt}, and there are {recorded}"
                );
                self.add(Promise::NothingLost, what);
            }
        }
        for (id, attempt) in &acknowledged.started {
            let recorded = items.get(id).map_or(0, |item| item.record.attempts);
            if recorded < *attempt {
                let what = format!("item `{id}`: attempt {attempt} has started, {recorded} are recorded");
                self.add(Promise::NothingLost, what);
            }
        }
    }

    fn nothing_left(&mut self, job: &Job, items: &BTreeMap<String, ItemRow>, moment: Moment) {
        if moment == Moment::Finished && !job.is_sealed() {
            self.add(Promise::EveryItemSettled, "is finished, and its input is not complete");
        }
        for (id, item) in items {
            let status = item.record.status.kind();
            let promise = match (moment, status) {
                (Moment::Cut, _) | (_, StatusKind::Completed | StatusKind::DeadLettered) => continue,
                (Moment::AtRest, StatusKind::Pending) => continue,
                (Moment::AtRest, StatusKind::InProgress | StatusKind::Failed) => Promise::NothingStuck,
                (Moment::Finished, StatusKind::Pending | StatusKind::InProgress | StatusKind::Failed) => {
                    Promise::EveryItemSettled
                }
            };
            self.add(promise, format!("item `{id}` is {status}, and nobody works on it"));
        }
    }
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NothingLost => "nothing acknowledged is lost",
            Self::RecordedOnce => "an item is recorded once",
            Self::Verifies => "the store verifies",
            Self::NothingStuck => "no item is stuck",
            Self::EveryItemSettled => "every item is settled at the end",
        })
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is broken: {}", self.promise, self.what)
    }
}

#[cfg(test)]
mod tests;
