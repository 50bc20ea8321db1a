//! The proof that the typed machine, the dynamic one and the table are one. Not published.
//!
//! `cargo test -p workitem-conformance` runs it in a minute, `cargo xtask prove` lets it look further.
//!
//! Nothing here lists what is legal. [`typed`] asks the compiler, by method and trait resolution; [`dynamic`]
//! asks the function; [`table`] does what the rows say. [`Machines`](machines::Machines) holds one item in all of
//! them and compares their answers as whole values.
//!
//! - `tests/agree.rs` — all thirty cells, at both levels;
//! - `tests/lives.rs` — every short sequence of events, and all longer ones with equal states merged;
//! - `tests/sequences.rs` — arbitrary items, payloads and sequences of events;
//! - `tests/laws.rs` — what holds of every life;
//! - `tests/rehydrate.rs` — the door into the typed world lets in what is reachable and nothing else;
//! - `tests/table.rs` — names, states and observers are one everywhere;
//! - `tests/original.rs` — 180 answers of the original;
//! - `tests/compat.rs` — code written against the original;
//! - `tests/compile_fail.rs` — what must not compile, and how the compiler says so;
//! - `tests/writable.rs` — what must.
//!
//! [`bounds`] says how far each test looks. `peers/` has the original itself beside the machine, and leans on this
//! crate for its random tests.

pub mod arbitrary;
pub mod bounds;
pub mod dynamic;
pub mod grid;
pub mod machines;
pub mod random;
pub mod reachable;
pub mod samples;
pub mod table;
pub mod typed;

/// What a machine makes of an event: `T` is a whole item, or a status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict<T> {
    /// The event is legal and led here.
    Moved(T),
    /// The event is not legal; this is what is left, untouched.
    Illegal(T),
}

impl<T> Verdict<T> {
    /// The same verdict on a part or a view of the item.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Verdict<U> {
        match self {
            Self::Moved(item) => Verdict::Moved(f(item)),
            Self::Illegal(item) => Verdict::Illegal(f(item)),
        }
    }

    /// The same verdict, borrowed.
    pub const fn as_ref(&self) -> Verdict<&T> {
        match self {
            Self::Moved(item) => Verdict::Moved(item),
            Self::Illegal(item) => Verdict::Illegal(item),
        }
    }

    /// Whether the event was legal.
    pub const fn is_legal(&self) -> bool {
        match self {
            Self::Moved(_) => true,
            Self::Illegal(_) => false,
        }
    }

    /// The item, wherever it stands now.
    pub fn into_inner(self) -> T {
        match self {
            Self::Moved(item) | Self::Illegal(item) => item,
        }
    }
}
