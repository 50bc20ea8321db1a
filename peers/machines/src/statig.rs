//! statig 0.4: a handler for each state, with storage of its own, and storage that all share.
//!
//! Used as its docs show: a handler is given the event by reference and returns the next state, so payloads are cloned.
//! It cannot say that an event was not legal: whoever sends it is told nothing.

#![expect(missing_docs, reason = "the macro writes public items without docs")]
#![expect(unused_variables, clippy::ptr_arg, reason = "what a handler is given becomes a field of its state")]

use std::hint::black_box;

use chrono::{DateTime, Utc};
use statig::prelude::*;
use workitem_bench::{Inputs, Machine};
use workitem_types::{AgentResult, ItemId};

/// What happens, and when.
#[derive(Debug)]
pub enum Event {
    AgentStart { agent_id: String, now: DateTime<Utc> },
    AgentComplete { result: Box<AgentResult> },
    AgentFailed { error: String },
    Interrupt,
    Retry,
    MoveToDeadLetter { now: DateTime<Utc> },
}

/// What survives every transition.
#[derive(Debug)]
pub struct Item {
    id: ItemId,
    attempts: usize,
    failures: usize,
}

#[state_machine(initial = "State::pending()", state(derive(Debug)))]
impl Item {
    #[state]
    fn pending(&mut self, event: &Event) -> Outcome<State> {
        match event {
            Event::AgentStart { agent_id, now } => {
                self.attempts += 1;
                Transition(State::in_progress(agent_id.clone(), *now))
            }
            _ => Super,
        }
    }

    #[state]
    fn in_progress(
        &mut self,
        agent_id: &mut String,
        started_at: &mut DateTime<Utc>,
        event: &Event,
    ) -> Outcome<State> {
        match event {
            Event::AgentComplete { result } => Transition(State::completed(result.clone())),
            Event::AgentFailed { error } => {
                self.failures += 1;
                Transition(State::failed(error.clone(), self.failures))
            }
            Event::Interrupt => Transition(State::pending()),
            _ => Super,
        }
    }

    #[state]
    fn completed(result: &mut Box<AgentResult>) -> Outcome<State> {
        Super
    }

    #[state]
    fn failed(&mut self, error: &mut String, retry_count: &mut usize, event: &Event) -> Outcome<State> {
        match event {
            Event::Retry => Transition(State::pending()),
            Event::MoveToDeadLetter { now } => {
                Transition(State::dead_lettered(std::mem::take(error), *retry_count, *now))
            }
            Event::AgentFailed { error } => {
                self.failures += 1;
                Transition(State::failed(error.clone(), self.failures))
            }
            _ => Super,
        }
    }

    #[state]
    fn dead_lettered(
        error: &mut String,
        retry_count: &mut usize,
        dlq_at: &mut DateTime<Utc>,
    ) -> Outcome<State> {
        Super
    }
}

/// Handlers of states, gathered by a macro.
pub struct Statig;

impl Machine for Statig {
    const ID: &'static str = "statig";
    const NAME: &'static str = "statig 0.4";
    const STATUS: &'static [usize] = &[size_of::<State>()];
    type Result = AgentResult;
    type Completed = StateMachine<Item>;

    fn live(inputs: Inputs) -> StateMachine<Item> {
        let Inputs { id, first_agent, error, second_agent, result, now } = inputs;
        let mut item = Item { id, attempts: 0, failures: 0 }.state_machine();
        let mut happen = |event: Event| black_box(&mut item).handle(black_box(&event));
        happen(Event::AgentStart { agent_id: first_agent, now });
        happen(Event::AgentFailed { error });
        happen(Event::Retry);
        happen(Event::AgentStart { agent_id: second_agent, now });
        happen(Event::AgentComplete { result });
        item
    }

    fn outcome(item: StateMachine<Item>) -> workitem_bench::Outcome {
        let State::Completed { result } = item.state() else { panic!("{:?}", item.state()) };
        let Item { id, attempts, failures } = item.inner();
        workitem_bench::Outcome {
            id: id.as_str().to_owned(),
            result: AgentResult::clone(result),
            counted: Some((*attempts, *failures)),
        }
    }
}
