//! What a store gives out.

use chrono::{DateTime, Utc};
use workitem_types::{ItemId, WorkItemEvent, WorkItemRecord};
use workitem_typestate::{Failed, InProgress};

use crate::{AttemptOutput, Cause, Leased, Payload};

/// An item handed out to an agent.
#[derive(Debug)]
#[must_use = "a claim that is dropped leaves its item in progress until it is recovered"]
pub struct Claim {
    /// The item and its fencing token.
    pub leased: Leased<InProgress>,
    /// Its input.
    pub payload: Payload,
}

/// The answer to a claim.
#[derive(Debug)]
pub struct Claims {
    /// The items, in the order in which they should run.
    pub claims: Vec<Claim>,
    /// When the next pending item that was not claimed is due, if any is.
    pub next_due: Option<DateTime<Utc>>,
}

/// An item that nobody works on, found by recovery.
#[derive(Debug)]
#[must_use = "an abandoned item stays so until it is recovered"]
pub enum Abandoned {
    /// Its orchestrator went away.
    Running {
        /// The item.
        leased: Leased<InProgress>,
        /// Whether its agent had been handed to a slot, so that it may have had a part in the crash.
        spawned: bool,
        /// How many crashes it had seen before.
        crashes: usize,
    },
    /// It failed, and neither a retry nor a dead letter followed.
    Stranded(Leased<Failed>),
}

/// An item as the store keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemRow {
    /// Position in the job, from 1.
    pub seq: u64,
    /// The item.
    pub record: WorkItemRecord,
    /// Number of events it has seen.
    pub version: u64,
    /// Number of crashes its agents have seen.
    pub crashes: usize,
    /// When it is due, if it is pending and was put off.
    pub run_at: Option<DateTime<Utc>>,
    /// The dead letter it was submitted anew for.
    pub origin: Option<ItemId>,
}

/// A dead letter that nobody has dealt with.
#[derive(Debug, Clone, PartialEq)]
pub struct LetterRow {
    /// The letter.
    pub item: ItemRow,
    /// Items that were submitted for it so far. If one of them is still alive, the letter is being dealt with.
    pub successors: Vec<ItemRow>,
}

impl LetterRow {
    /// Whether one of its successors is still on its way.
    pub fn is_alive(&self) -> bool {
        self.successors.iter().any(|row| !row.record.status.is_terminal())
    }
}

/// One event of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryRow {
    /// The item's position in the job.
    pub seq: u64,
    /// The item's version after the event, from 1.
    pub version: u64,
    /// What happened.
    pub event: WorkItemEvent,
    /// When.
    pub at: DateTime<Utc>,
    /// Why.
    pub cause: Option<Cause>,
}

/// What one attempt printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptRow {
    /// The item's position in the job.
    pub seq: u64,
    /// The attempt, from 1.
    pub attempt: usize,
    /// What it printed.
    pub output: AttemptOutput,
}

/// A line of the input that could not be an item and was passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Its position in the input, from 1.
    pub position: u64,
    /// Where it stands, for people: "line 7".
    pub place: String,
    /// What is wrong with it.
    pub reason: String,
}
