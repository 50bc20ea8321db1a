//! One enum, one match on state and event, changed in place; what is not legal gives the event back.

use std::hint::black_box;

use chrono::{DateTime, Utc};
use workitem_types::{AgentResult, Event, Status, WorkItemEvent, WorkItemRecord, WorkItemStatus};

use crate::{Inputs, Kept, LEGAL, Late, Machine, NOW, Outcome, Refusing, lives};

/// An enum written by hand, in place.
pub struct InPlace;

pub(super) fn apply(
    item: &mut WorkItemRecord,
    event: WorkItemEvent,
    now: DateTime<Utc>,
) -> Result<(), WorkItemEvent> {
    let WorkItemRecord { id: _, attempts, failures, status } = item;
    *status = match (&mut *status, event) {
        (Status::Pending, Event::AgentStart { agent_id }) => {
            *attempts += 1;
            Status::InProgress { agent_id, started_at: now }
        }
        (Status::InProgress { .. }, Event::AgentComplete { result }) => Status::Completed { result },
        (Status::InProgress { .. } | Status::Failed { .. }, Event::AgentFailed { error }) => {
            *failures += 1;
            Status::Failed { error, retry_count: *failures }
        }
        (Status::InProgress { .. }, Event::Interrupt) | (Status::Failed { .. }, Event::Retry) => {
            Status::Pending
        }
        (Status::Failed { error, retry_count }, Event::MoveToDeadLetter) => {
            Status::DeadLettered { error: std::mem::take(error), retry_count: *retry_count, dlq_at: now }
        }
        (_, event) => return Err(event),
    };
    Ok(())
}

impl Machine for InPlace {
    const ID: &'static str = "by_hand_in_place";
    const NAME: &'static str = "enum by hand, in place";
    const STATUS: &'static [usize] = &[size_of::<WorkItemStatus>()];
    type Result = AgentResult;
    type Completed = WorkItemRecord;

    fn live(inputs: Inputs) -> WorkItemRecord {
        lives::in_place!(inputs, apply)
    }

    fn outcome(item: WorkItemRecord) -> Outcome {
        Outcome::of(item)
    }
}

impl Refusing for InPlace {
    const ID: &'static str = "refused_by_hand_in_place";
    const NAME: &'static str = "enum by hand, in place";
    type Late = Late;
    type Left = (WorkItemRecord, Result<(), WorkItemEvent>);

    fn late() -> Late {
        Late::new()
    }

    fn refuse(late: Late) -> Self::Left {
        lives::refused_in_place!(late, apply)
    }

    fn kept((item, refused): Self::Left) -> Kept {
        let event = refused.expect_err("nothing leads from `Failed` to `Completed`");
        Late::kept(Late { item, event })
    }
}
