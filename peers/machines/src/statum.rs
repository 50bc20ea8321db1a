//! statum 0.9: the machine is in `peers/statum`, a crate of its own, so that its check can be timed alone.
//!
//! Its head says how it is used and what it cannot express. Here it is compiled in, as it would be in a program: from a
//! crate of its own its methods would not be inlined.

#[path = "../../statum/src/lib.rs"]
pub mod machine;

use workitem_bench::{Inputs, Machine, Outcome};
use workitem_types::AgentResult;

use machine::{Completed, Item, Letter, Work};

/// Types written by macros.
pub struct Statum;

impl Machine for Statum {
    const ID: &'static str = "statum";
    const NAME: &'static str = "statum 0.9";
    const STATUS: &'static [usize] =
        &[0, size_of::<Work>(), size_of::<Box<AgentResult>>(), size_of::<String>(), size_of::<Letter>()];
    type Result = AgentResult;
    type Completed = Item<Completed>;

    fn live(inputs: Inputs) -> Item<Completed> {
        let Inputs { id, first_agent, error, second_agent, result, now } = inputs;
        machine::new(id.into_string())
            .start(first_agent, now)
            .fail(error)
            .retry()
            .start(second_agent, now)
            .complete(result)
    }

    fn outcome(item: Item<Completed>) -> Outcome {
        let Item { id, attempts, failures, state_data, .. } = item;
        Outcome { id, result: *state_data, counted: Some((attempts, failures)) }
    }
}
