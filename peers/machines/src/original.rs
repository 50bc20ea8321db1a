//! `prodigy` 0.4.4: `transition_work_item`, by value.
//!
//! Used as its own tests use it: the status is moved in, and what it clones is its own doing.
//! It cannot keep an item's counters, or give back what it refuses.

use std::hint::black_box;

use workitem_bench::{Inputs, Kept, LEGAL, Machine, Outcome, Refusing};
use workitem_peers::original::{
    AgentResult, TransitionError, WorkItemEvent, WorkItemStatus, transition_work_item,
};
use workitem_peers::{to_original, to_ours};

/// The original.
pub struct Original;

/// A machine with the original's inputs, which does nothing.
pub struct Nothing;

impl Machine for Nothing {
    const ID: &'static str = "original_inputs";
    const NAME: &'static str = "dropping the original's inputs";
    const STATUS: &'static [usize] = &[];
    type Result = AgentResult;
    type Completed = Inputs<AgentResult>;

    fn live(inputs: Inputs<AgentResult>) -> Inputs<AgentResult> {
        inputs
    }

    fn outcome(inputs: Inputs<AgentResult>) -> Outcome {
        let result = to_ours::result(*inputs.result);
        Outcome { id: inputs.id.into_string(), result, counted: None }
    }
}

impl Machine for Original {
    const ID: &'static str = "original";
    const NAME: &'static str = "prodigy 0.4.4, the original";
    const STATUS: &'static [usize] = &[size_of::<WorkItemStatus>()];
    type Result = AgentResult;
    type Completed = (String, WorkItemStatus);

    fn live(inputs: Inputs<AgentResult>) -> Self::Completed {
        let Inputs { id, first_agent, error, second_agent, result, now: _ } = inputs;
        let happen = |mut status, event| {
            black_box(&mut status);
            transition_work_item(status, black_box(event)).expect(LEGAL)
        };
        let status = happen(WorkItemStatus::Pending, WorkItemEvent::AgentStart { agent_id: first_agent });
        let status = happen(status, WorkItemEvent::AgentFailed { error });
        let status = happen(status, WorkItemEvent::Retry);
        let status = happen(status, WorkItemEvent::AgentStart { agent_id: second_agent });
        (id.into_string(), happen(status, WorkItemEvent::AgentComplete { result }))
    }

    fn outcome((id, status): Self::Completed) -> Outcome {
        let WorkItemStatus::Completed { result } = status else { panic!("{status:?}") };
        Outcome { id, result: to_ours::result(*result), counted: None }
    }
}

/// A failed status, and the completion of the agent that was thought to have failed.
#[derive(Debug, Clone)]
pub struct Late {
    status: WorkItemStatus,
    event: WorkItemEvent,
}

impl Late {
    fn new() -> Self {
        let workitem_bench::Late { item, event } = workitem_bench::Late::new();
        Self { status: to_original::status(item.status), event: to_original::event(event) }
    }
}

impl Refusing for Nothing {
    const ID: &'static str = "original_late_inputs";
    const NAME: &'static str = "dropping the original's status and event";
    type Late = Late;
    type Left = Late;

    fn late() -> Late {
        Late::new()
    }

    fn refuse(late: Late) -> Late {
        late
    }

    fn kept(_: Late) -> Kept {
        Kept { item: true, event: true, message: String::new() }
    }
}

impl Refusing for Original {
    const ID: &'static str = "refused_original";
    const NAME: &'static str = "prodigy 0.4.4, the original";
    type Late = Late;
    type Left = Result<WorkItemStatus, TransitionError>;

    fn late() -> Late {
        Late::new()
    }

    fn refuse(Late { status, event }: Late) -> Self::Left {
        transition_work_item(status, event)
    }

    fn kept(left: Self::Left) -> Kept {
        // The error is two texts: status and event went in by value, and neither comes out.
        let message = left.expect_err("nothing leads from `Failed` to `Completed`").to_string();
        Kept { item: false, event: false, message }
    }
}
