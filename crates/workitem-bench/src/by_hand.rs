//! The machine as one would write it without a library: the measure of ours.
//!
//! They share the nouns with ours, so that what differs is the rule alone.

mod by_value;
mod in_place;
mod typestate;

pub use by_value::ByValue;
pub use in_place::InPlace;
pub use typestate::Typestate;
