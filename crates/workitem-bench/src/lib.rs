//! What the machines cost: one life of an item and one refusal, in ours and in machines written by hand. Not
//! published.
//!
//! - [`Machine`] — five transitions of a whole item, from birth to completion; [`live`] is what is measured;
//! - [`Refusing`] — an event that comes too late; [`refuse`] is what is measured;
//! - [`bulk`] — many statuses at once.
//!
//! Inputs are made before anything is counted, and everything that is left is dropped while it is counted.
//! [`Inputs`] and [`Late`] are machines too, which do nothing: what they cost is what any machine must pay for
//! dropping its inputs, and is subtracted. So what remains is what a machine adds.
//!
//! - `benches/instructions.rs` counts instructions, under callgrind;
//! - `benches/memory.rs` counts allocations and bytes, and says what a refusal keeps;
//! - `benches/time.rs` takes the time;
//! - `tests/outcomes.rs` — every machine comes to the same end;
//! - `tests/allocations.rs` — no path of our machines allocates.
//!
//! `cargo xtask bench` runs all of it beside other people's machines, which are in the workspace `peers`.

pub mod bulk;
pub mod by_hand;
mod harness;
mod inputs;
mod lives;
pub mod ours;
pub mod rows;

use std::hint::black_box;

use serde::de::DeserializeOwned;
use workitem_types::{AgentResult, WorkItemRecord};

pub use inputs::{Inputs, Late, NOW, result};

/// Why no event of a life can be refused.
pub const LEGAL: &str = "every event of this life is legal";

/// A machine that can lead an item through the life that is measured.
pub trait Machine {
    /// The name of its rows.
    const ID: &'static str;
    /// What it is, for people.
    const NAME: &'static str;
    /// Bytes of a status: one number, or one for each state where states are types.
    const STATUS: &'static [usize];
    /// What a completed item carries.
    type Result: Clone + DeserializeOwned;
    /// An item that has completed.
    type Completed;

    /// Starts, fails, is retried, starts again, completes.
    ///
    /// A machine for states known only at run time must not let the compiler know state or event: [`black_box`]
    /// hides both before each transition.
    fn live(inputs: Inputs<Self::Result>) -> Self::Completed;

    /// What the life came to.
    fn outcome(item: Self::Completed) -> Outcome;
}

/// Where a life ends: the same for every machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The item.
    pub id: String,
    /// What its agent handed back.
    pub result: AgentResult,
    /// Attempts and failures, if the machine counts them.
    pub counted: Option<(usize, usize)>,
}

impl Outcome {
    /// The outcome of an item that is known to have completed.
    ///
    /// # Panics
    ///
    /// If it has not.
    pub fn of(record: WorkItemRecord) -> Self {
        let WorkItemRecord { id, attempts, failures, status } = record;
        let workitem_types::Status::Completed { result } = status else { panic!("`{id}` is {status:?}") };
        Self { id: id.into_string(), result: *result, counted: Some((attempts, failures)) }
    }
}

/// A machine that can be told an event that is not legal.
pub trait Refusing {
    /// The name of its rows.
    const ID: &'static str;
    /// What it is, for people.
    const NAME: &'static str;
    /// What it is told, and in which state.
    type Late: Clone;
    /// Everything that is left.
    type Left;

    /// A failed item whose agent completes after all: nothing leads from there to `Completed`.
    fn late() -> Self::Late;

    /// The event is refused.
    fn refuse(late: Self::Late) -> Self::Left;

    /// What is left of item and event, and what the refusal says.
    fn kept(left: Self::Left) -> Kept;
}

/// What a refusal leaves to the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Whether the item is still there, unchanged.
    pub item: bool,
    /// Whether the event is still there, with its payload.
    pub event: bool,
    /// What the refusal says to people.
    pub message: String,
}

/// One life, and the end of what is left of it.
pub fn live<M: Machine>(inputs: Inputs<M::Result>) {
    let item = M::live(black_box(inputs));
    black_box(&item);
}

/// One refusal, and the end of what is left of it.
pub fn refuse<M: Refusing>(late: M::Late) {
    let left = M::refuse(black_box(late));
    black_box(&left);
}

/// Something to be done with every machine.
pub trait Visit {
    /// Does it with one that lives.
    fn machine<M: Machine>(&mut self);
    /// Does it with one that refuses.
    fn refusing<M: Refusing>(&mut self);
}

/// Visits every machine of this crate, in the order of the tables; the first of each kind is the one that does
/// nothing.
pub fn visit(visitor: &mut impl Visit) {
    visitor.machine::<Inputs>();
    visitor.machine::<by_hand::Typestate>();
    visitor.machine::<ours::Typed>();
    visitor.machine::<ours::TypedByEvent>();
    visitor.machine::<by_hand::InPlace>();
    visitor.machine::<ours::DynamicInPlace>();
    visitor.machine::<by_hand::ByValue>();
    visitor.machine::<ours::DynamicByValue>();
    visitor.machine::<ours::TypedInAField>();

    visitor.refusing::<Late>();
    visitor.refusing::<by_hand::InPlace>();
    visitor.refusing::<ours::DynamicInPlace>();
    visitor.refusing::<by_hand::ByValue>();
    visitor.refusing::<ours::DynamicByValue>();
}
