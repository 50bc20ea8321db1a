//! The machine in statum 0.9, with the nouns of `workitem-types`.
//!
//! Used as its docs show: `#[state]` with the payload of each state, `#[machine]` with what survives every transition,
//! `#[transition]` with one method for each legal event; it moves and never clones.
//! It cannot say in its types that a state's payload is the compiler's secret: `state_data` and the machine's fields are
//! public, and a machine is built in any state by `builder()`.

// Written by the macros of statum, which do not know of these lints.
#![expect(missing_docs, reason = "the macros write public items without docs")]

use chrono::{DateTime, Utc};
use statum::{machine, state, transition};
use workitem_types::AgentResult;

/// An agent at work.
pub struct Work {
    /// Who works on it.
    pub agent_id: String,
    /// Since when.
    pub started_at: DateTime<Utc>,
}

/// What is left of an item that was given up.
pub struct Letter {
    /// Why it failed last.
    pub error: String,
    /// When it was given up.
    pub dlq_at: DateTime<Utc>,
}

#[state]
pub enum ItemState {
    Pending,
    InProgress(Work),
    Completed(Box<AgentResult>),
    Failed(String),
    DeadLettered(Letter),
}

#[machine]
pub struct Item<ItemState> {
    pub id: String,
    pub attempts: usize,
    pub failures: usize,
}

/// A new item.
pub fn new(id: String) -> Item<Pending> {
    Item::<Pending>::builder().id(id).attempts(0).failures(0).build()
}

#[transition]
impl Item<Pending> {
    pub fn start(mut self, agent_id: String, now: DateTime<Utc>) -> Item<InProgress> {
        self.attempts += 1;
        self.transition_with(Work { agent_id, started_at: now })
    }
}

#[transition]
impl Item<InProgress> {
    pub fn complete(self, result: Box<AgentResult>) -> Item<Completed> {
        self.transition_with(result)
    }

    pub fn fail(mut self, error: String) -> Item<Failed> {
        self.failures += 1;
        self.transition_with(error)
    }

    pub fn interrupt(self) -> Item<Pending> {
        self.transition()
    }
}

#[transition]
impl Item<Failed> {
    pub fn retry(self) -> Item<Pending> {
        self.transition()
    }

    #[must_use]
    pub fn fail_again(mut self, error: String) -> Item<Failed> {
        self.failures += 1;
        self.transition_with(error)
    }

    pub fn dead_letter(self, now: DateTime<Utc>) -> Item<DeadLettered> {
        self.transition_map(|error| Letter { error, dlq_at: now })
    }
}
