//! smlang 0.8: a table of transitions, an enum of states, and actions that make the next state's data.
//!
//! Used as its docs show: events own their data and actions take it by value, so nothing is cloned; counters are in the
//! context. An action sees the data of the state it leaves by reference only: `MoveToDeadLetter` must clone the error.
//! A refused event is dropped, and the error says only that it was not legal.

use std::hint::black_box;

use chrono::{DateTime, Utc};
use smlang::statemachine;
use workitem_bench::{Inputs, LEGAL, Machine, Outcome};
use workitem_types::{AgentResult, ItemId};

/// An agent that starts, or is at work.
#[derive(Debug, PartialEq)]
pub struct Work {
    agent_id: String,
    at: DateTime<Utc>,
}

/// What is left of an attempt.
#[derive(Debug, PartialEq)]
pub struct Failure {
    error: String,
    retry_count: usize,
}

/// What is left of an item.
#[derive(Debug, PartialEq)]
pub struct Letter {
    failure: Failure,
    dlq_at: DateTime<Utc>,
}

statemachine! {
    name: Item,
    derive_states: [Debug],
    derive_events: [Debug],
    transitions: {
        *Pending + AgentStart(Work) / start = InProgress(Work),
        InProgress(Work) + AgentComplete(Box<AgentResult>) / complete = Completed(Box<AgentResult>),
        InProgress(Work) + AgentFailed(String) / fail = Failed(Failure),
        InProgress(Work) + Interrupt = Pending,
        Failed(Failure) + Retry = Pending,
        Failed(Failure) + MoveToDeadLetter(DateTime<Utc>) / dead_letter = DeadLettered(Letter),
        Failed(Failure) + AgentFailed(String) / fail_again = Failed(Failure),
    }
}

/// What survives every transition.
#[derive(Debug)]
pub struct Counted {
    id: ItemId,
    attempts: usize,
    failures: usize,
}

impl ItemStateMachineContext for Counted {
    fn start(&mut self, work: Work) -> Result<Work, ()> {
        self.attempts += 1;
        Ok(work)
    }

    fn complete(&mut self, _: &Work, result: Box<AgentResult>) -> Result<Box<AgentResult>, ()> {
        Ok(result)
    }

    fn fail(&mut self, _: &Work, error: String) -> Result<Failure, ()> {
        self.failures += 1;
        Ok(Failure { error, retry_count: self.failures })
    }

    fn fail_again(&mut self, _: &Failure, error: String) -> Result<Failure, ()> {
        self.failures += 1;
        Ok(Failure { error, retry_count: self.failures })
    }

    fn dead_letter(&mut self, failure: &Failure, now: DateTime<Utc>) -> Result<Letter, ()> {
        let Failure { error, retry_count } = failure;
        Ok(Letter { failure: Failure { error: error.clone(), retry_count: *retry_count }, dlq_at: now })
    }
}

/// An enum and a table, written by a macro.
pub struct Smlang;

impl Machine for Smlang {
    const ID: &'static str = "smlang";
    const NAME: &'static str = "smlang 0.8";
    const STATUS: &'static [usize] = &[size_of::<ItemStates>()];
    type Result = AgentResult;
    type Completed = ItemStateMachine<Counted>;

    fn live(inputs: Inputs) -> Self::Completed {
        let Inputs { id, first_agent, error, second_agent, result, now } = inputs;
        let mut item = ItemStateMachine::new(Counted { id, attempts: 0, failures: 0 });
        let mut happen = |event| {
            black_box(&mut item).process_event(black_box(event)).expect(LEGAL);
        };
        happen(ItemEvents::AgentStart(Work { agent_id: first_agent, at: now }));
        happen(ItemEvents::AgentFailed(error));
        happen(ItemEvents::Retry);
        happen(ItemEvents::AgentStart(Work { agent_id: second_agent, at: now }));
        happen(ItemEvents::AgentComplete(result));
        item
    }

    fn outcome(item: Self::Completed) -> Outcome {
        let ItemStates::Completed(result) = item.state() else { panic!("{:?}", item.state()) };
        let Counted { id, attempts, failures } = item.context();
        Outcome {
            id: id.as_str().to_owned(),
            result: AgentResult::clone(result),
            counted: Some((*attempts, *failures)),
        }
    }
}
