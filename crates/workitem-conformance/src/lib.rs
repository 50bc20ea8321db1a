//! The proof that the typed and the dynamic machine are one. Not published.
//!
//! Nothing here lists what is legal. [`typed`] asks the compiler, by method and trait resolution; [`dynamic`]
//! asks the function; the tests compare their answers as whole values, with each other and with
//! `workitem-table`.
//!
//! - `tests/agree.rs` — all thirty cells, at both levels;
//! - `tests/sequences.rs` — arbitrary items, payloads and sequences of events;
//! - `tests/rehydrate.rs` — the door into the typed world lets in what is reachable and nothing else;
//! - `tests/table.rs` — the seven rows are the rules of both machines;
//! - `tests/original.rs` — 180 answers of the original;
//! - `tests/compat.rs` — code written against the original;
//! - `tests/compile_fail.rs` — what must not compile, and how the compiler says so.

pub mod arbitrary;
pub mod dynamic;
pub mod samples;
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

    /// The item, wherever it stands now.
    pub fn into_inner(self) -> T {
        match self {
            Self::Moved(item) | Self::Illegal(item) => item,
        }
    }
}
