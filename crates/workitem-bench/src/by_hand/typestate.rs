//! One struct for the item, one for each state, one method for each legal event.

use chrono::{DateTime, Utc};
use workitem_types::{AgentResult, ItemId};

use crate::{Inputs, Machine, Outcome};

/// Types written by hand.
pub struct Typestate;

/// An item in state `S`.
pub struct Item<S> {
    id: ItemId,
    attempts: usize,
    failures: usize,
    state: S,
}

struct Pending;

#[expect(dead_code, reason = "this life drops it, as most do")]
struct InProgress {
    agent_id: String,
    started_at: DateTime<Utc>,
}

#[expect(dead_code, reason = "this life drops it, as most do")]
struct Failed {
    error: String,
}

/// The state in which a life ends.
pub struct Completed {
    result: Box<AgentResult>,
}

#[expect(dead_code, reason = "it has a size; this life does not lead there")]
struct DeadLettered {
    error: String,
    dlq_at: DateTime<Utc>,
}

impl Item<Pending> {
    fn new(id: ItemId) -> Self {
        Self { id, attempts: 0, failures: 0, state: Pending }
    }

    fn start(self, agent_id: String, now: DateTime<Utc>) -> Item<InProgress> {
        let Self { id, attempts, failures, state: Pending } = self;
        Item { id, attempts: attempts + 1, failures, state: InProgress { agent_id, started_at: now } }
    }
}

impl Item<InProgress> {
    fn complete(self, result: Box<AgentResult>) -> Item<Completed> {
        let Self { id, attempts, failures, state: _ } = self;
        Item { id, attempts, failures, state: Completed { result } }
    }

    fn fail(self, error: String) -> Item<Failed> {
        let Self { id, attempts, failures, state: _ } = self;
        Item { id, attempts, failures: failures + 1, state: Failed { error } }
    }
}

impl Item<Failed> {
    fn retry(self) -> Item<Pending> {
        let Self { id, attempts, failures, state: _ } = self;
        Item { id, attempts, failures, state: Pending }
    }
}

impl Machine for Typestate {
    const ID: &'static str = "by_hand_typestate";
    const NAME: &'static str = "typestate by hand";
    const STATUS: &'static [usize] = &[
        size_of::<Pending>(),
        size_of::<InProgress>(),
        size_of::<Completed>(),
        size_of::<Failed>(),
        size_of::<DeadLettered>(),
    ];
    type Result = AgentResult;
    type Completed = Item<Completed>;

    fn live(inputs: Inputs) -> Item<Completed> {
        let Inputs { id, first_agent, error, second_agent, result, now } = inputs;
        Item::new(id).start(first_agent, now).fail(error).retry().start(second_agent, now).complete(result)
    }

    fn outcome(item: Item<Completed>) -> Outcome {
        let Item { id, attempts, failures, state: Completed { result } } = item;
        Outcome { id: id.into_string(), result: *result, counted: Some((attempts, failures)) }
    }
}
