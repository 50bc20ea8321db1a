//! The work item state machine as types: an illegal transition does not compile.
//!
//! A [`WorkItem<S>`] is a value that can be used once. Every method that changes it consumes it and
//! returns it in its next state; a state has methods only for the events that are legal in it.
//!
//! ```
//! use chrono::{DateTime, Utc};
//! use workitem_typestate::{MaxAttempts, Settled, WorkItem};
//!
//! let now = DateTime::<Utc>::UNIX_EPOCH;                // time is always an argument
//! let item = WorkItem::new("42");                       // WorkItem<Pending>
//! let item = item.start("agent-1", now);                // WorkItem<InProgress>
//! let item = item.fail("exit 7");                       // WorkItem<Failed>
//! match item.settle(&MaxAttempts(3), now) {
//!     Settled::Retry(item) => assert_eq!(item.failures(), 1),       // WorkItem<Pending>
//!     Settled::DeadLetter(item) => println!("given up: {}", item.error()),
//! }
//! ```
//!
//! There is no `complete` on a pending item:
//!
//! ```compile_fail
//! # use workitem_typestate::WorkItem;
//! # use workitem_types::AgentResult;
//! fn cheat(result: Box<AgentResult>) {
//!     let _ = WorkItem::new("42").complete(result);
//! }
//! ```
//!
//! and the compiler says which state has it. For code that is generic over events there is [`LegalIn`], which holds
//! for the same seven pairs of state and event.
//!
//! # Doors
//!
//! - **Out**: `WorkItemRecord::from(item)`, infallible.
//! - **In**: [`AnyWorkItem::rehydrate`], checked; the only way to make an item that is not new. Match
//!   [`AnyWorkItem`] once, and everything after that is typed again.
//! - **To a store**: [`WorkItem::step`] makes a [`Step`], the proof that a record was reached by legal
//!   transitions. A store accepts nothing else.
//!
//! # The rules
//!
//! | from | method | event | to |
//! |---|---|---|---|
//! | [`Pending`] | `start` | [`AgentStart`] | [`InProgress`] |
//! | [`InProgress`] | `complete` | [`AgentComplete`] | [`Completed`] |
//! | [`InProgress`] | `fail` | [`AgentFailed`] | [`Failed`] |
//! | [`InProgress`] | `interrupt` | [`Interrupt`] | [`Pending`] |
//! | [`Failed`] | `retry` | [`Retry`] | [`Pending`] |
//! | [`Failed`] | `dead_letter` | [`MoveToDeadLetter`] | [`DeadLettered`] |
//! | [`Failed`] | `fail` | [`AgentFailed`] | [`Failed`] |
//!
//! `attempts` counts starts and `failures` counts failures; both survive every transition.

// A new state or event must break the build at every place that has to decide.
#![warn(clippy::wildcard_enum_match_arm)]

mod any;
mod events;
mod item;
mod rehydrate;
mod settle;
mod state;
mod step;

pub use any::{AnyWorkItem, WrongState};
pub use events::{AgentComplete, AgentFailed, AgentStart, Interrupt, LegalIn, MoveToDeadLetter, Retry};
pub use item::WorkItem;
pub use rehydrate::Inconsistent;
pub use settle::{MaxAttempts, RetryPolicy, Settled, SettledStep};
pub use state::{Completed, DeadLettered, Failed, InProgress, Pending, State};
pub use step::{SealedStep, Step, StepEvent};
