//! The same life of an item in other people's machines, and what it costs there. Not published.
//!
//! [`workitem_bench`] says what is measured, and how; `cargo xtask bench` runs it beside ours, by hand and these:
//!
//! - [`original`] — `prodigy` 0.4.4, where the machine comes from;
//! - [`statum`], [`smlang`], [`statig`], [`rust_fsm`] — what one would take to write such a machine.

pub mod original;
pub mod rust_fsm;
pub mod smlang;
pub mod statig;
pub mod statum;

use workitem_bench::{Inputs, Visit};

/// Visits every machine of this crate; what does nothing comes before those that have its inputs.
pub fn visit(visitor: &mut impl Visit) {
    visitor.machine::<Inputs>();
    visitor.machine::<statum::Statum>();
    visitor.machine::<smlang::Smlang>();
    visitor.machine::<statig::Statig>();
    visitor.machine::<rust_fsm::RustFsm>();
    visitor.machine::<original::Nothing>();
    visitor.machine::<original::Original>();

    visitor.refusing::<original::Nothing>();
    visitor.refusing::<original::Original>();
}
