//! What must hold in every state.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::PoisonError;

use stateright::Model;
use workitem_store::verify;
use workitem_types::{EventKind, StatusKind};

use crate::disk::Disk;
use crate::moves::possible;
use crate::state::State;
use crate::view::View;
use crate::{Protocol, Trouble};

/// A promise: its words, and whether it holds.
pub type Promise = (&'static str, fn(&Protocol, &State) -> bool);

/// At most one completion stands in an item's history.
pub const COMPLETED_ONCE: &str = "no item is completed twice";
/// Nobody hears of what a crash could undo.
pub const TOLD_WHEN_DURABLE: &str = "what was acknowledged is on disk";
/// What a worker heard of stays.
pub const NOTHING_TOLD_IS_LOST: &str = "what was acknowledged is not lost";
/// Fencing.
pub const STALE_CHANGES_NOTHING: &str = "a stale token changes nothing";
/// What `verify` says.
pub const REPLAYS: &str = "every history replays to its item, and the counts are those of the items";
/// The budget of failures.
pub const FAILURES_ARE_BOUNDED: &str = "`max_attempts` bounds failures";
/// Nothing is stuck.
pub const SETTLED_IN_THE_END: &str = "where nothing more can happen, every item is settled";

/// The promises.
pub const PROMISES: [Promise; 10] = [
    (COMPLETED_ONCE, |_, state| {
        state.disk.items.iter().all(|item| item.count(EventKind::AgentComplete) <= 1)
    }),
    (TOLD_WHEN_DURABLE, |_, state| is_known(state, &state.disk)),
    (NOTHING_TOLD_IS_LOST, |_, state| is_known(state, state.store())),
    (STALE_CHANGES_NOTHING, |_, state| !state.stale_write),
    (REPLAYS, Protocol::is_verified),
    ("counts are exact in the midst of it, too", |_, state| state.store().counts == state.store().recount()),
    (FAILURES_ARE_BOUNDED, |protocol, state| {
        let max = usize::from(protocol.bounds.max_attempts);
        state.disk.items.iter().all(|item| item.count(EventKind::AgentFailed) <= max)
    }),
    ("`max_crashes` bounds crashes", |protocol, state| {
        let max = usize::from(protocol.bounds.max_crashes);
        state.disk.items.iter().all(|item| item.row.crashes <= max + 1)
    }),
    (
        "an attempt is a first one, or follows a retry, a crash or an interruption",
        Protocol::is_every_start_due,
    ),
    (SETTLED_IN_THE_END, Protocol::is_settled),
];

/// Whether the store knows of everything that workers were told.
fn is_known(state: &State, store: &Disk) -> bool {
    store.items.iter().zip(&state.told).all(|(item, told)| {
        item.row.version >= told.version && (!told.completed || item.kind() == StatusKind::Completed)
    })
}

impl Protocol {
    /// What `verify` says of what is durable. What is not yet will be in a state to come.
    fn is_verified(&self, state: &State) -> bool {
        let mut hasher = DefaultHasher::new();
        state.disk.hash(&mut hasher);
        let content = hasher.finish();
        if self.verified.read().unwrap_or_else(PoisonError::into_inner).contains(&content) {
            return true;
        }
        let view = View::of(&state.disk);
        let passed = verify(&view, &view.job()).is_ok_and(|audit| audit.passed());
        if passed {
            self.verified.write().unwrap_or_else(PoisonError::into_inner).insert(content);
        }
        passed
    }

    /// How many stores with different content were verified.
    pub fn verified(&self) -> usize {
        self.verified.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn is_every_start_due(&self, state: &State) -> bool {
        let Trouble { worker_crashes, store_crashes, run_out, copies: _, interrupts } = self.bounds.trouble;
        let left = state.left;
        let troubles = (worker_crashes - left.worker_crashes)
            + (store_crashes - left.store_crashes)
            + (run_out - left.run_out)
            + (interrupts - left.interrupts);
        let most = usize::from(self.bounds.max_attempts) + usize::from(troubles);
        state.disk.items.iter().all(|item| {
            let starts = item.count(EventKind::AgentStart);
            starts <= 1 + item.count(EventKind::Retry) + item.count(EventKind::Interrupt) && starts <= most
        })
    }

    fn is_settled(&self, state: &State) -> bool {
        // What is unsynced can be synced, and what is under way can arrive.
        if !state.unsynced.is_empty() || !state.under_way.is_empty() {
            return true;
        }
        if state.disk.items.iter().all(|item| item.row.record.status.is_terminal()) {
            return true;
        }
        let mut moves = Vec::new();
        possible(state, &mut moves);
        moves.into_iter().any(|happens| self.next_state(state, happens).is_some())
    }
}
