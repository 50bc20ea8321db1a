//! rust-fsm 0.8: a transition function of two references.
//!
//! Used as its docs say for states with data: without the macro, `StateMachineImpl` by hand, and payloads are cloned.
//! It cannot keep anything beside the state, such as counters; a refusal says only that there is no such transition.

use std::hint::black_box;

use chrono::{DateTime, Utc};
use rust_fsm::{StateMachine, StateMachineImpl};
use workitem_bench::{Inputs, LEGAL, Machine, Outcome};
use workitem_types::{AgentResult, ItemId, WorkItemEvent, WorkItemStatus};

/// The status of an item, as the crate wants it.
#[derive(Debug)]
pub struct Rules;

/// What happens, and when.
#[derive(Debug)]
pub struct Input {
    event: WorkItemEvent,
    now: DateTime<Utc>,
}

impl StateMachineImpl for Rules {
    type Input = Input;
    type State = WorkItemStatus;
    type Output = ();
    const INITIAL_STATE: WorkItemStatus = WorkItemStatus::Pending;

    fn transition(status: &WorkItemStatus, Input { event, now }: &Input) -> Option<WorkItemStatus> {
        match (status, event) {
            (WorkItemStatus::Pending, WorkItemEvent::AgentStart { agent_id }) => {
                Some(WorkItemStatus::InProgress { agent_id: agent_id.clone(), started_at: *now })
            }
            (WorkItemStatus::InProgress { .. }, WorkItemEvent::AgentComplete { result }) => {
                Some(WorkItemStatus::Completed { result: result.clone() })
            }
            (WorkItemStatus::InProgress { .. }, WorkItemEvent::AgentFailed { error }) => {
                Some(WorkItemStatus::Failed { error: error.clone(), retry_count: 1 })
            }
            (WorkItemStatus::InProgress { .. }, WorkItemEvent::Interrupt)
            | (WorkItemStatus::Failed { .. }, WorkItemEvent::Retry) => Some(WorkItemStatus::Pending),
            (WorkItemStatus::Failed { error, retry_count }, WorkItemEvent::MoveToDeadLetter) => {
                let (error, retry_count) = (error.clone(), *retry_count);
                Some(WorkItemStatus::DeadLettered { error, retry_count, dlq_at: *now })
            }
            (WorkItemStatus::Failed { retry_count, .. }, WorkItemEvent::AgentFailed { error }) => {
                Some(WorkItemStatus::Failed { error: error.clone(), retry_count: retry_count + 1 })
            }
            _ => None,
        }
    }

    fn output(_: &WorkItemStatus, _: &Input) -> Option<()> {
        None
    }
}

/// A transition function, wrapped.
pub struct RustFsm;

impl Machine for RustFsm {
    const ID: &'static str = "rust_fsm";
    const NAME: &'static str = "rust-fsm 0.8";
    const STATUS: &'static [usize] = &[size_of::<WorkItemStatus>()];
    type Result = AgentResult;
    type Completed = (ItemId, StateMachine<Rules>);

    fn live(inputs: Inputs) -> Self::Completed {
        let Inputs { id, first_agent, error, second_agent, result, now } = inputs;
        let mut status = StateMachine::<Rules>::new();
        let mut happen = |event| {
            black_box(&mut status).consume(black_box(&Input { event, now })).expect(LEGAL);
        };
        happen(WorkItemEvent::AgentStart { agent_id: first_agent });
        happen(WorkItemEvent::AgentFailed { error });
        happen(WorkItemEvent::Retry);
        happen(WorkItemEvent::AgentStart { agent_id: second_agent });
        happen(WorkItemEvent::AgentComplete { result });
        (id, status)
    }

    fn outcome((id, status): Self::Completed) -> Outcome {
        let WorkItemStatus::Completed { result } = status.state() else { panic!("{:?}", status.state()) };
        Outcome { id: id.into_string(), result: AgentResult::clone(result), counted: None }
    }
}
