//! The same enum, by value: a refusal gives item and event back, in a box to keep the result small.

use std::hint::black_box;

use chrono::{DateTime, Utc};
use workitem_types::{AgentResult, Event, Status, WorkItemEvent, WorkItemRecord, WorkItemStatus};

use super::in_place::apply;
use crate::{Inputs, Kept, LEGAL, Late, Machine, NOW, Outcome, Refusing, lives};

/// An enum written by hand, by value.
pub struct ByValue;

type Refused = Box<(WorkItemRecord, WorkItemEvent)>;

fn transition(
    mut item: WorkItemRecord,
    event: WorkItemEvent,
    now: DateTime<Utc>,
) -> Result<WorkItemRecord, Refused> {
    match apply(&mut item, event, now) {
        Ok(()) => Ok(item),
        Err(event) => Err(Box::new((item, event))),
    }
}

impl Machine for ByValue {
    const ID: &'static str = "by_hand_by_value";
    const NAME: &'static str = "enum by hand, by value";
    const STATUS: &'static [usize] = &[size_of::<WorkItemStatus>()];
    type Result = AgentResult;
    type Completed = WorkItemRecord;

    fn live(inputs: Inputs) -> WorkItemRecord {
        lives::by_value!(inputs, transition)
    }

    fn outcome(item: WorkItemRecord) -> Outcome {
        Outcome::of(item)
    }
}

impl Refusing for ByValue {
    const ID: &'static str = "refused_by_hand_by_value";
    const NAME: &'static str = "enum by hand, by value";
    type Late = Late;
    type Left = Result<WorkItemRecord, Refused>;

    fn late() -> Late {
        Late::new()
    }

    fn refuse(Late { item, event }: Late) -> Self::Left {
        transition(item, event, NOW)
    }

    fn kept(left: Self::Left) -> Kept {
        let (item, event) = *left.expect_err("nothing leads from `Failed` to `Completed`");
        Late::kept(Late { item, event })
    }
}
