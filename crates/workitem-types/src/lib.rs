//! The nouns of the work item state machine.
//!
//! A **work item** is one unit of work that an orchestrator hands to an agent. This crate names what
//! both machines talk about and holds no rule of when an item may change: those are in
//! `workitem-typestate` (checked by the compiler) and `workitem-dynamic` (checked at run time).
//!
//! - [`WorkItemStatus`] — where an item stands, with what belongs to that state;
//! - [`WorkItemEvent`] — what can happen to it;
//! - [`WorkItemRecord`] — a whole item: id, counters, status;
//! - [`AgentResult`] — what an agent hands back when it completes.
//!
//! Most programs see these names through the other crates' interfaces and depend on this one for [`AgentResult`] and
//! [`WorkItemRecord`].
//!
//! The generic types are [`Status<R>`] and [`Event<R>`], where `R` is the result of a completed item;
//! the names without a parameter are aliases with `R = AgentResult`. The JSON form of every type is
//! that of the crate `prodigy` 0.4.4, whose statuses can be read and written back unchanged.
//!
//! ```
//! use workitem_types::{StatusKind, WorkItemStatus};
//!
//! let status: WorkItemStatus = serde_json::from_str(r#"{"Failed":{"error":"exit 7","retry_count":2}}"#)?;
//! assert_eq!(status.kind(), StatusKind::Failed);
//! assert!(status.can_retry(3));
//! assert!(!status.can_retry(2));
//! # Ok::<(), serde_json::Error>(())
//! ```

// A new state or event must break the build at every place that has to decide.
#![warn(clippy::wildcard_enum_match_arm)]

mod counts;
mod event;
mod id;
mod kind;
mod record;
mod result;
mod status;

pub use counts::StatusCounts;
pub use event::{Event, WorkItemEvent};
pub use id::ItemId;
pub use kind::{EventKind, StatusKind};
pub use record::WorkItemRecord;
pub use result::{AgentResult, AgentStatus, CleanupStatus};
pub use status::{Status, WorkItemStatus};
