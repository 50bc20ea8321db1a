//! The seven legal transitions of a work item, as data.
//!
//! The rules stand three times in this project, written independently and proven equal: as types
//! (`workitem-typestate`), as a function (`workitem-dynamic`) and here, as rows that people, diagrams and
//! generators read. This crate depends on nothing and decides nothing; no machine looks a rule up in it.
//!
//! To change the machine, begin here: a row more or less turns tests red that name each place to follow.
//!
//! - [`ROWS`] — the seven legal transitions, each with what it changes and why it exists;
//! - [`cells`] — all thirty pairs of state and event;
//! - [`to_table`], [`to_mermaid`], [`to_dot`], [`to_json`] — the machine, printed.
//!
//! ```
//! let row = workitem_table::next("Failed", "Retry").expect("a failed item can be retried");
//! assert_eq!((row.to, row.method), ("Pending", "retry"));
//! assert!(workitem_table::next("Completed", "Retry").is_none());
//! ```

mod print;

pub use print::{to_dot, to_json, to_mermaid, to_table};

/// One legal transition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The state it leaves.
    pub from: &'static str,
    /// The event that causes it.
    pub event: &'static str,
    /// The typed method that makes it; an event has the same method wherever it is legal.
    pub method: &'static str,
    /// The state it leads to.
    pub to: &'static str,
    /// What else changes, beside the state.
    pub changes: &'static str,
    /// Why it exists.
    pub reason: &'static str,
}

/// The five states, in the order of the life cycle.
pub const STATES: [&str; 5] = ["Pending", "InProgress", "Completed", "Failed", "DeadLettered"];

/// The six events.
pub const EVENTS: [&str; 6] =
    ["AgentStart", "AgentComplete", "AgentFailed", "Interrupt", "Retry", "MoveToDeadLetter"];

/// The seven legal transitions. Every other pair of state and event is refused.
pub const ROWS: [Row; 7] = [
    Row {
        from: "Pending",
        event: "AgentStart",
        method: "start",
        to: "InProgress",
        changes: "attempts + 1; agent_id is set; started_at = now",
        reason: "An attempt counts from its start, so that one whose agent vanishes has still been made.",
    },
    Row {
        from: "InProgress",
        event: "AgentComplete",
        method: "complete",
        to: "Completed",
        changes: "result is set",
        reason: "Only an agent at work can finish the item, and what it hands back is kept for good.",
    },
    Row {
        from: "InProgress",
        event: "AgentFailed",
        method: "fail",
        to: "Failed",
        changes: "failures + 1; error is set; retry_count = failures",
        reason: "A failure is a state of its own, so that retrying and giving up are decisions and never accidents.",
    },
    Row {
        from: "InProgress",
        event: "Interrupt",
        method: "interrupt",
        to: "Pending",
        changes: "nothing else",
        reason: "An agent that was stopped did not fail: the attempt counts, a failure does not.",
    },
    Row {
        from: "Failed",
        event: "Retry",
        method: "retry",
        to: "Pending",
        changes: "nothing else; failures stays",
        reason: "Another attempt starts like the first, and the item remembers how often it failed.",
    },
    Row {
        from: "Failed",
        event: "MoveToDeadLetter",
        method: "dead_letter",
        to: "DeadLettered",
        changes: "error and retry_count are kept; dlq_at = now",
        reason: "An item that is given up keeps its last error, so that a person can mend the cause.",
    },
    Row {
        from: "Failed",
        event: "AgentFailed",
        method: "fail",
        to: "Failed",
        changes: "failures + 1; error is replaced; retry_count = failures",
        reason: "A failure that is reported again, or late, is counted and not lost.",
    },
];

/// A pair of state and event, legal or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    /// The state.
    pub from: &'static str,
    /// The event.
    pub event: &'static str,
    /// The typed method of the event: the one that an illegal cell lacks.
    pub method: &'static str,
    /// The transition, if there is one.
    pub row: Option<&'static Row>,
}

/// The transition that `event` causes in the state `from`; `None` if there is none.
pub fn next(from: &str, event: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.from == from && row.event == event)
}

/// The transitions that leave the state `from`, in the order of [`ROWS`].
pub fn rows_from(from: &str) -> impl Iterator<Item = &'static Row> {
    ROWS.iter().filter(move |row| row.from == from)
}

/// Whether no transition leaves the state.
///
/// ```
/// # use workitem_table::{is_terminal, STATES};
/// let terminal: Vec<_> = STATES.into_iter().filter(|state| is_terminal(state)).collect();
/// assert_eq!(terminal, ["Completed", "DeadLettered"]);
/// ```
pub fn is_terminal(state: &str) -> bool {
    rows_from(state).next().is_none()
}

/// The typed method of an event; `None` if there is no such event.
pub fn method(event: &str) -> Option<&'static str> {
    ROWS.iter().find(|row| row.event == event).map(|row| row.method)
}

/// All thirty pairs of state and event, state by state.
///
/// ```
/// let (legal, illegal): (Vec<_>, Vec<_>) = workitem_table::cells().partition(|cell| cell.row.is_some());
/// assert_eq!((legal.len(), illegal.len()), (7, 23));
/// ```
pub fn cells() -> impl Iterator<Item = Cell> {
    STATES.into_iter().flat_map(|from| {
        EVENTS.into_iter().filter_map(move |event| {
            Some(Cell { from, event, method: method(event)?, row: next(from, event) })
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_has_one_method_and_every_pair_a_cell() {
        for row in &ROWS {
            assert_eq!(method(row.event), Some(row.method), "{row:?}");
        }
        assert_eq!(cells().count(), STATES.len() * EVENTS.len());
    }

    #[test]
    fn rows_name_known_states_and_events_and_no_pair_twice() {
        for (i, row) in ROWS.iter().enumerate() {
            assert!(STATES.contains(&row.from) && STATES.contains(&row.to), "{row:?}");
            assert!(EVENTS.contains(&row.event), "{row:?}");
            assert!(
                ROWS[..i].iter().all(|other| (other.from, other.event) != (row.from, row.event)),
                "{row:?}"
            );
        }
    }

    #[test]
    fn reasons_are_sentences() {
        for row in &ROWS {
            assert!(row.reason.starts_with(char::is_uppercase) && row.reason.ends_with('.'), "{row:?}");
        }
    }
}
