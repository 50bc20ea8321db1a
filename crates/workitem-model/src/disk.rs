//! What the store holds: an engine whose whole content is a value, so that a path may branch at every step.
//!
//! Steps, history, counts and leases are made by the functions that every engine uses. Its own is only what an engine
//! must do itself: to compare, and to write. `tests/lockstep.rs` holds it against the engines that are delivered.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use workitem_store::engine::{abandoned, claim_step, count_step, history_rows};
use workitem_store::{Abandoned, AnyStep, HistoryRow, ItemRow, JobCounts, JobId, Leased, Outcome};
use workitem_types::{EventKind, ItemId, StatusKind, WorkItemRecord};
use workitem_typestate::InProgress;

use crate::Fault;

/// The store's name, for messages.
pub const NAME: &str = "in the model";
/// The only job.
pub const JOB: JobId = JobId(1);
/// The time, always: no promise may rest on a clock that tells two events apart.
pub const NOW: DateTime<Utc> = DateTime::<Utc>::from_timestamp_micros(1_000_000).expect("it is a time");

/// Every worker's name: no promise may rest on names that tell two of them apart.
pub const AGENT: &str = "a worker";

/// An item as the store holds it, with its history. Never changed in place, so that states can share it.
#[derive(Debug)]
pub struct Item {
    /// Its row.
    pub row: ItemRow,
    /// Whether its agent was handed to a slot.
    pub spawned: bool,
    /// All that has happened to it.
    pub history: Vec<HistoryRow>,
    /// Stands for everything that was ever written to the item, in its order.
    written: u64,
}

impl Item {
    fn new(seq: u64) -> Self {
        let record = WorkItemRecord::new(ItemId::from(seq.to_string()));
        let row = ItemRow { seq, record, version: 0, crashes: 0, run_at: None, origin: None };
        Self { row, spawned: false, history: Vec::new(), written: seq }
    }

    /// Where it stands.
    pub const fn kind(&self) -> StatusKind {
        self.row.record.status.kind()
    }

    /// How often this happened to it.
    pub fn count(&self, kind: EventKind) -> usize {
        self.history.iter().filter(|row| row.event.kind() == kind).count()
    }

    /// The lease under which it was claimed. A lease cannot be copied; here it is made anew for each path that goes
    /// on from the claim, by the function that recovery has it from.
    pub fn lease(&self) -> Leased<InProgress> {
        match abandoned(NAME, JOB, self.row.clone(), self.spawned) {
            Ok(Abandoned::Running { leased, .. }) => leased,
            other => unreachable!("what was claimed is in progress: {other:?}"),
        }
    }

    fn identity(&self) -> (u64, u64, u64) {
        (self.row.seq, self.row.version, self.written)
    }
}

impl PartialEq for Item {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for Item {}

impl Hash for Item {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.identity().hash(hasher);
    }
}

impl PartialOrd for Item {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Item {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.identity().cmp(&other.identity())
    }
}

/// The job's items and counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// In order of their positions, from 1.
    pub items: Vec<Arc<Item>>,
    /// As the writers have kept them.
    pub counts: JobCounts,
}

impl Hash for Disk {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.items.hash(hasher);
        let by = &self.counts.by_status;
        (by.pending, by.in_progress, by.completed, by.failed, by.dead_lettered).hash(hasher);
        self.counts.open_letters.hash(hasher);
    }
}

impl Disk {
    /// A sealed job with so many pending items.
    pub fn new(items: u64) -> Self {
        let items: Vec<_> = (1..=items).map(|seq| Arc::new(Item::new(seq))).collect();
        let mut counts = JobCounts::default();
        counts.by_status.pending = items.len();
        Self { items, counts }
    }

    /// The item at a position.
    pub fn item(&self, seq: u64) -> Option<&Arc<Item>> {
        self.items.get(index(seq)?)
    }

    /// Hands out a pending item: it is in progress before anybody knows.
    ///
    /// # Panics
    ///
    /// If there is no pending item at this position.
    pub fn claim(&mut self, seq: u64, fault: Option<Fault>) -> Arc<Item> {
        let item = self.item(seq).expect("the item was listed");
        let step =
            claim_step(NAME, JOB, item.row.clone(), AGENT, NOW).expect("a pending row is an item").seal();
        self.write(&step, true, fault);
        Arc::clone(self.item(seq).expect("the item was just written"))
    }

    /// Writes a step, and says whether that has changed what it must not: its item, if that has moved on since the step's
    /// token was given out or if the step was refused; any other item, in any case. To see that, it only looks.
    pub fn write_watched(&mut self, step: &AnyStep, fault: Option<Fault>) -> (Outcome, bool) {
        let before = self.clone();
        let outcome = self.write(step, false, fault);
        let token = step.token();
        let may_change = |item: &Item| {
            outcome == Outcome::Recorded && item.row.seq == token.seq() && item.row.version == token.version()
        };
        let is_wrong = before
            .items
            .iter()
            .zip(&self.items)
            .any(|(before, after)| before != after && !may_change(before));
        (outcome, is_wrong)
    }

    /// Writes a step if the item still has the version that the step started from.
    pub fn write(&mut self, step: &AnyStep, spawned: bool, fault: Option<Fault>) -> Outcome {
        let token = step.token();
        let Some(item) = index(token.seq()).and_then(|index| self.items.get_mut(index)) else {
            return Outcome::Fenced;
        };
        let mut rows: Vec<HistoryRow> = history_rows(step).collect();
        if item.row.version != token.version() && fault != Some(Fault::NoFencing) {
            let known = usize::try_from(token.version()).ok().and_then(|version| item.history.get(version..));
            let repeated = known.is_some_and(|known| known.starts_with(&rows));
            return if repeated { Outcome::Recorded } else { Outcome::Fenced };
        }
        let written = chain(item.written, step, &rows, spawned);
        if fault == Some(Fault::MissingHistory) && rows.len() > 1 {
            rows.pop();
        }
        let row = ItemRow {
            seq: token.seq(),
            record: step.record().clone(),
            version: step.version_after(),
            crashes: item.row.crashes + usize::from(step.is_crash()),
            run_at: step.run_at(),
            origin: None,
        };
        let history = item.history.iter().cloned().chain(rows).collect();
        *item = Arc::new(Item { row, spawned, history, written });
        count_step(&mut self.counts, step, None);
        Outcome::Recorded
    }

    /// Counts anew by looking at every item.
    pub fn recount(&self) -> JobCounts {
        let mut counts = JobCounts::default();
        for item in &self.items {
            *counts.of(item.kind()) += 1;
            counts.open_letters += usize::from(item.kind() == StatusKind::DeadLettered);
        }
        counts
    }
}

fn index(seq: u64) -> Option<usize> {
    usize::try_from(seq).ok()?.checked_sub(1)
}

/// What stands for an item after a further step. Everything that a step writes here follows from its token, its
/// counters, and the kinds and causes of its events.
fn chain(before: u64, step: &AnyStep, rows: &[HistoryRow], spawned: bool) -> u64 {
    let mut hasher = DefaultHasher::new();
    let record = step.record();
    (before, step.token(), record.attempts, record.failures, spawned).hash(&mut hasher);
    for row in rows {
        row.event.kind().hash(&mut hasher);
        if let Some(cause) = row.cause {
            cause.to_string().hash(&mut hasher);
        }
    }
    hasher.finish()
}
