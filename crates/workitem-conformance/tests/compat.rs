//! A program written against the original compiles here, and does what it did: only its `use` lines are new.

use workitem_dynamic as machine;

// `peers/` compiles the same file against the original.
#[path = "compat/program.rs"]
mod program;
