//! For those who write an engine: where rows become items. Nothing here is for callers of a store.
//!
//! These functions and [`Leased::grant`] are the trusted base: whoever calls them says that what they
//! are given is on disk.

use std::time::SystemTime;

use chrono::{DateTime, Utc};
use workitem_types::{ItemId, StatusKind, WorkItemEvent, WorkItemRecord};
use workitem_typestate::{AgentStart, AnyWorkItem, InProgress, StepEvent, WorkItem, WrongState};

pub use crate::finding::{left_behind, size, span};
use crate::{
    Abandoned, AnyStep, Cause, HistoryRow, ItemRow, JobCounts, JobId, Leased, LeasedStep, StoreError,
    whole_micros,
};

/// The step that claims a pending row for `agent`, to be written before the claim is given out.
///
/// # Errors
///
/// [`StoreError::Damaged`] if the row is no item, or not pending.
pub fn claim_step(
    store: &str,
    job: JobId,
    row: ItemRow,
    agent: &str,
    now: DateTime<Utc>,
) -> Result<LeasedStep<InProgress>, StoreError> {
    let item = rehydrated(store, row.record)?;
    let item = WorkItem::try_from(item).map_err(|wrong: WrongState| damaged(store, wrong.to_string()))?;
    let start = AgentStart { agent_id: agent.to_owned() };
    Ok(Leased::grant(item, job, row.seq, row.version).step(start, whole_micros(now)))
}

/// A row that nobody works on, for recovery.
///
/// # Errors
///
/// [`StoreError::Damaged`] if the row is no item, or neither in progress nor failed.
pub fn abandoned(store: &str, job: JobId, row: ItemRow, spawned: bool) -> Result<Abandoned, StoreError> {
    let ItemRow { seq, record, version, crashes, .. } = row;
    match rehydrated(store, record)? {
        AnyWorkItem::InProgress(item) => {
            Ok(Abandoned::Running { leased: Leased::grant(item, job, seq, version), spawned, crashes })
        }
        AnyWorkItem::Failed(item) => Ok(Abandoned::Stranded(Leased::grant(item, job, seq, version))),
        settled @ (AnyWorkItem::Pending(_) | AnyWorkItem::Completed(_) | AnyWorkItem::DeadLettered(_)) => {
            let what = format!("item {seq} is listed as abandoned but is `{}`", settled.kind());
            Err(damaged(store, what))
        }
    }
}

/// What a step does to the counts of its job. `origin` is the letter the item was submitted anew for.
pub fn count_step(counts: &mut JobCounts, step: &AnyStep, origin: Option<&ItemId>) {
    let CountChange { from, to, open_letters } = CountChange::of(step, origin);
    // Saturating: if the counts are damaged, it is for `verify` to say so.
    *counts.of(from) = counts.of(from).saturating_sub(1);
    *counts.of(to) += 1;
    counts.open_letters = counts.open_letters.saturating_add_signed(open_letters);
}

/// What a step does to the counts of its job, for engines that add up changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CountChange {
    /// There is one item less in this state.
    pub from: StatusKind,
    /// And one more in this.
    pub to: StatusKind,
    /// By how many there are more open letters.
    pub open_letters: isize,
}

impl CountChange {
    /// That of `step`. `origin` is the letter the item was submitted anew for.
    pub fn of(step: &AnyStep, origin: Option<&ItemId>) -> Self {
        let (from, to) = (step.from(), step.record().status.kind());
        let open_letters = match (to, origin) {
            (StatusKind::DeadLettered, None) => 1,
            (StatusKind::Completed, Some(_)) => -1,
            (StatusKind::DeadLettered, Some(_)) | (StatusKind::Completed, None) => 0,
            (StatusKind::Pending | StatusKind::InProgress | StatusKind::Failed, _) => 0,
        };
        Self { from, to, open_letters }
    }
}

/// An event of a step, and what the history says of it beside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewEvent<'s> {
    /// The item's version after the event.
    pub version: u64,
    /// What happened, and when.
    pub event: &'s StepEvent,
    /// Why.
    pub cause: Option<Cause>,
}

/// What a step adds to the history, to be written. Its cause belongs to the first event.
pub fn new_events(step: &AnyStep) -> impl Iterator<Item = NewEvent<'_>> {
    let first = step.token().version() + 1;
    let new =
        move |(version, event)| NewEvent { version, event, cause: step.cause().filter(|_| version == first) };
    (first..).zip(step.events()).map(new)
}

/// What a step adds to the history, as it is read back.
pub fn history_rows(step: &AnyStep) -> impl Iterator<Item = HistoryRow> {
    let seq = step.token().seq();
    new_events(step).map(move |NewEvent { version, event, cause }| HistoryRow {
        seq,
        version,
        event: event.event().clone(),
        at: event.at(),
        cause,
    })
}

/// A row of the history as it is read back where results are kept as JSON: of a path that is not UTF-8 as much is there as
/// JSON can hold.
pub fn as_json_keeps(mut row: HistoryRow) -> HistoryRow {
    if let WorkItemEvent::AgentComplete { result } = &mut row.event {
        let path = result.worktree_path.take();
        result.worktree_path = path.map(|path| path.to_string_lossy().into_owned().into());
    }
    row
}

/// The system's clock, for stores that have no other: in whole microseconds.
pub fn system_time() -> DateTime<Utc> {
    whole_micros(SystemTime::now().into())
}

/// The id of the `n`-th successor of a letter.
///
/// ```
/// assert_eq!(workitem_store::engine::successor_id(&"42".into(), 2).as_str(), "42~2");
/// ```
pub fn successor_id(origin: &ItemId, n: usize) -> ItemId {
    format!("{origin}~{n}").into()
}

fn rehydrated(store: &str, record: WorkItemRecord) -> Result<AnyWorkItem, StoreError> {
    AnyWorkItem::rehydrate(record).map_err(|broken| damaged(store, broken.to_string()))
}

fn damaged(store: &str, what: String) -> StoreError {
    StoreError::Damaged { store: store.to_owned(), what }
}
