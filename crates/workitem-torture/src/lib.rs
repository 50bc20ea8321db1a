//! Tries to break the promise: **run at least once, recorded exactly once, nothing acknowledged is ever lost.**
//!
//! Each torture is a module and a subcommand of the program `workitem-torture`. It drives the real program or the real
//! store, does something terrible to it, and asks the one [`checker`] what is wrong now. Its plan comes from a seed,
//! which it prints, and `--seed` makes the same plan again. A small share of each runs as a test of `workitem-cli`;
//! `cargo xtask torture NAME` runs the whole of it and writes its part of docs/reliability.md from the [`Report`].
//!
//! - [`checker`] says which promises a store breaks;
//! - [`power`] loses power, and with it what was not synced;
//! - [`damage`] damages files and reads them, [`rows`] only what stands in them;
//! - [`kills`] is `kill -9` at random moments;
//! - [`points`] is death at every system call that changes a file;
//! - [`errors`] are calls that fail, full disks and limits;
//! - [`scene`] is what calls fail or kill in: a short job, and one act of it;
//! - [`fuzz`] tries bytes where data comes in;
//! - [`time`] sets the clock, and stops the program and its agents for a while;
//! - [`agents`] are hostile ones, and items that are;
//! - [`soak`] is a long life of one store, and of those who run its jobs;
//! - [`fleet`] is many workers on one PostgreSQL, and what can happen to them and to it;
//! - [`stage`] and [`processes`] are what those share;
//! - [`heard`] and [`place`] are runs of the program and what they have acknowledged.
//!
//! Not published.

pub mod agents;
pub mod checker;
pub mod damage;
mod each;
pub mod errors;
pub mod fleet;
pub mod fuzz;
pub mod heard;
pub mod kills;
pub mod model;
pub mod place;
pub mod points;
pub mod power;
pub mod processes;
mod report;
pub mod rows;
pub mod scene;
pub mod soak;
pub mod stage;
pub mod time;

pub use report::Report;
