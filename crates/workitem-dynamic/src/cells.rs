//! The thirty cells, each written out: what every event does in every state.
//!
//! Every transition of one status or item comes here; where the crate repeats a rule (interrupting many at
//! once, listing what would be legal), tests hold it against this. Nothing is allocated or cloned: payloads move
//! from the event into the status, and an error moves from one status into the next.

use std::mem;

use chrono::{DateTime, Utc};
use workitem_types::{Event, Status, StatusKind};

use crate::refused::Refused;

/// What the two levels do differently: how they count.
pub(crate) trait Count {
    /// An agent starts.
    fn start(&mut self);
    /// An agent at work fails: the `retry_count` to write down.
    fn fail(&mut self) -> usize;
    /// A failed item fails once more: the `retry_count` to write down in place of the old one.
    fn fail_again(&mut self, retry_count: usize) -> usize;
}

/// The event happens to `status` at `now`, or is refused and leaves everything as it was.
#[expect(
    clippy::inline_always,
    reason = "each level gets the cells themselves: a call costs half as much again"
)]
#[inline(always)]
pub(crate) fn happen<R>(
    status: &mut Status<R>,
    event: Event<R>,
    now: DateTime<Utc>,
    count: &mut impl Count,
) -> Result<(), Refused<R>> {
    let next = match status {
        Status::Pending => match event {
            Event::AgentStart { agent_id } => {
                count.start();
                Status::InProgress { agent_id, started_at: now }
            }
            event @ Event::AgentComplete { .. } => return refuse(StatusKind::Pending, event),
            event @ Event::AgentFailed { .. } => return refuse(StatusKind::Pending, event),
            event @ Event::Interrupt => return refuse(StatusKind::Pending, event),
            event @ Event::Retry => return refuse(StatusKind::Pending, event),
            event @ Event::MoveToDeadLetter => return refuse(StatusKind::Pending, event),
        },
        Status::InProgress { .. } => match event {
            event @ Event::AgentStart { .. } => return refuse(StatusKind::InProgress, event),
            Event::AgentComplete { result } => Status::Completed { result },
            Event::AgentFailed { error } => Status::Failed { error, retry_count: count.fail() },
            Event::Interrupt => Status::Pending,
            event @ Event::Retry => return refuse(StatusKind::InProgress, event),
            event @ Event::MoveToDeadLetter => return refuse(StatusKind::InProgress, event),
        },
        Status::Completed { .. } => match event {
            event @ Event::AgentStart { .. } => return refuse(StatusKind::Completed, event),
            event @ Event::AgentComplete { .. } => return refuse(StatusKind::Completed, event),
            event @ Event::AgentFailed { .. } => return refuse(StatusKind::Completed, event),
            event @ Event::Interrupt => return refuse(StatusKind::Completed, event),
            event @ Event::Retry => return refuse(StatusKind::Completed, event),
            event @ Event::MoveToDeadLetter => return refuse(StatusKind::Completed, event),
        },
        Status::Failed { error: last_error, retry_count } => match event {
            event @ Event::AgentStart { .. } => return refuse(StatusKind::Failed, event),
            event @ Event::AgentComplete { .. } => return refuse(StatusKind::Failed, event),
            Event::AgentFailed { error } => {
                Status::Failed { error, retry_count: count.fail_again(*retry_count) }
            }
            event @ Event::Interrupt => return refuse(StatusKind::Failed, event),
            Event::Retry => Status::Pending,
            Event::MoveToDeadLetter => {
                Status::DeadLettered { error: mem::take(last_error), retry_count: *retry_count, dlq_at: now }
            }
        },
        Status::DeadLettered { .. } => match event {
            event @ Event::AgentStart { .. } => return refuse(StatusKind::DeadLettered, event),
            event @ Event::AgentComplete { .. } => return refuse(StatusKind::DeadLettered, event),
            event @ Event::AgentFailed { .. } => return refuse(StatusKind::DeadLettered, event),
            event @ Event::Interrupt => return refuse(StatusKind::DeadLettered, event),
            event @ Event::Retry => return refuse(StatusKind::DeadLettered, event),
            event @ Event::MoveToDeadLetter => return refuse(StatusKind::DeadLettered, event),
        },
    };
    *status = next;
    Ok(())
}

const fn refuse<R>(from: StatusKind, event: Event<R>) -> Result<(), Refused<R>> {
    Err(Refused::new(from, event))
}
