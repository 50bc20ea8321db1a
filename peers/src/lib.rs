//! The machine beside the one it comes from: `prodigy` 0.4.4, compiled in and run live.
//!
//! The proof (`workitem-conformance`) shows that three descriptions of the machine are one. It cannot show that they
//! are the original's: for that it holds answers that were written down once. Here the original itself is asked.
//!
//! - [`original`] — what it offers, under its own names;
//! - [`ours`] — what `workitem-dynamic` offers under the same names;
//! - [`to_original`], [`to_ours`] — values of the one as values of the other, field by field;
//! - [`assert_same`] — they are one value.
//!
//! Tests:
//!
//! - `tests/traces.rs` — arbitrary statuses, and sequences of events to 200;
//! - `tests/departures.rs` — where the two differ on purpose;
//! - `tests/grid.rs` — the 180 answers that are written down are what the original says;
//! - `tests/values.rs` — observers, bulk functions, results;
//! - `tests/json.rs` — what the one writes the other reads;
//! - `tests/compat.rs` — one program, compiled against each.
//!
//! ```
//! use workitem_peers::{assert_same, original, ours};
//!
//! let theirs = original::transition_work_item(
//!     original::WorkItemStatus::Failed { error: "exit 7".into(), retry_count: 1 },
//!     original::WorkItemEvent::AgentFailed { error: "exit 8".into() },
//! )
//! .expect("a failed item can fail once more");
//! assert_same(&ours::WorkItemStatus::Failed { error: "exit 8".into(), retry_count: 2 }, &theirs);
//! ```

pub mod original;
mod translate;

use std::fmt::Debug;

use serde::Serialize;
pub use workitem_dynamic as ours;

pub use translate::{to_original, to_ours};

/// Fails unless both are one value: field by field, as JSON, and as `Debug` prints them.
///
/// # Panics
///
/// If they are not.
#[track_caller]
pub fn assert_same(ours: &ours::WorkItemStatus, theirs: &original::WorkItemStatus) {
    assert_eq!(ours, &to_ours::status(theirs.clone()), "not the original's (right): look at {CELLS}");
    assert_looks_the_same(ours, theirs);
}

/// Fails unless both are the same in writing: as JSON to the letter, and as `Debug` prints them.
///
/// # Panics
///
/// If they are not.
#[track_caller]
pub fn assert_looks_the_same(ours: &(impl Serialize + Debug), theirs: &(impl Serialize + Debug)) {
    assert_eq!(json(ours), json(theirs), "not the original's JSON (right): look at {TYPES}");
    assert_eq!(
        format!("{ours:?}"),
        format!("{theirs:?}"),
        "not the original's `Debug` (right): look at {TYPES}"
    );
}

/// The value as JSON.
///
/// # Panics
///
/// If it cannot be written.
pub fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("what the machines hold can be written")
}

/// Where the rules of a status are, for whoever reads a failure.
pub const CELLS: &str = "crates/workitem-dynamic/src/cells.rs and status.rs";
/// Where the types are.
pub const TYPES: &str = "crates/workitem-types/src";
