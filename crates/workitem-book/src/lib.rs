//! The Rust code of the book and the README, compiled and run as doc tests. Not published.
//!
//! There is nothing to call here: `cargo test -p workitem-book` is what it is for. Commands that the pages show are
//! run by the tests of `workitem-cli`, which has the program.

/// A page, by its path from this file.
#[cfg(doctest)]
macro_rules! pages {
    ($($name:ident: $path:literal)*) => {
        $(#[doc = include_str!($path)]
        struct $name;)*
    };
}

#[cfg(doctest)]
pages! {
    Readme: "../../../README.md"
    Cli: "../../../docs/cli.md"
    Comparison: "../../../docs/comparison.md"
    CompileFail: "../../../docs/compile-fail.md"
    Design: "../../../docs/design.md"
    Embedding: "../../../docs/embedding.md"
    FirstJob: "../../../docs/first-job.md"
    Problem: "../../../docs/problem.md"
    Proof: "../../../docs/proof.md"
    Reliability: "../../../docs/reliability.md"
    Store: "../../../docs/store.md"
    Tour: "../../../docs/tour.md"
    Transitions: "../../../docs/transitions.md"
}
