//! The work item state machine for states known only at run time.
//!
//! For code that cannot know the state before it has looked: a replay, a question, a program written against the
//! original. Code that has an item in its hand is better served by `workitem-typestate`, where what is refused here does
//! not compile.
//!
//! Seven of the thirty pairs of state and event are legal; the others are refused. A refusal loses
//! nothing: the state is untouched, and the event comes back in the [`Refused`].
//!
//! ```
//! use chrono::{DateTime, Utc};
//! use workitem_dynamic::{EventKind, StatusKind, WorkItemEvent, WorkItemStatus, apply};
//!
//! let now = DateTime::<Utc>::UNIX_EPOCH; // time is always an argument
//! let mut status = WorkItemStatus::Pending;
//! apply(&mut status, WorkItemEvent::AgentStart { agent_id: "agent-1".into() }, now)?;
//! apply(&mut status, WorkItemEvent::AgentFailed { error: "exit 7".into() }, now)?;
//! assert_eq!(status, WorkItemStatus::Failed { error: "exit 7".into(), retry_count: 1 });
//!
//! let refused = apply(&mut status, WorkItemEvent::Interrupt, now).unwrap_err();
//! assert_eq!(refused.from(), StatusKind::Failed);
//! assert_eq!(refused.legal(), [EventKind::AgentFailed, EventKind::Retry, EventKind::MoveToDeadLetter]);
//! # Ok::<(), workitem_dynamic::Refused>(())
//! ```
//!
//! # Two levels
//!
//! | | works on | a failure's `retry_count` |
//! |---|---|---|
//! | status | [`apply`], [`transition`] on a [`Status`] | 1 for the first failure of an attempt, as the original has it: a retry forgets |
//! | item | [`apply_item`], [`transition_item`] on a [`WorkItemRecord`] | the item's `failures`, which survive every transition |
//!
//! `apply…` works in place and `transition…` by value. None allocates, clones or reads the clock.
//!
//! # For code written against the original
//!
//! [`transition_work_item`], [`TransitionError`], [`apply_interrupt_to_all`], [`count_by_status`] and the nouns
//! have the names, shapes and JSON of the crate `prodigy` 0.4.4: only `use` lines change.

// A new state or event must break the build at every place that has to decide.
#![warn(clippy::wildcard_enum_match_arm)]

mod bulk;
mod cells;
mod item;
mod original;
mod refused;
mod status;

pub use bulk::{apply_interrupt_to_all, count_by_status, interrupt_all};
pub use item::{apply_item, transition_item};
pub use original::{TransitionError, transition_work_item};
pub use refused::{Refused, RefusedTransition};
pub use status::{apply, transition};
pub use workitem_types::{
    AgentResult, AgentStatus, CleanupStatus, Event, EventKind, ItemId, Status, StatusCounts, StatusKind,
    WorkItemEvent, WorkItemRecord, WorkItemStatus,
};
