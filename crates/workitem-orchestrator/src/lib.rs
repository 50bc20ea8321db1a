//! Claims work items, runs agents over them, and records every outcome durably.
//!
//! An [`Orchestrator`] runs one job of one store: it claims items, hands each to an [`Agent`] — a
//! command ([`ProcessAgent`]), a closure ([`FnAgent`]) or your own —, and records how it ended. What it
//! promises:
//!
//! - an item is **run at least once, recorded exactly once**: an attempt is durable before its agent
//!   starts, an outcome before your [`Observer`] sees it;
//! - what a predecessor left behind is put in order first: its agents are ended, its items interrupted,
//!   so that one item never has two live agents;
//! - it changes an item only through the typed machine;
//! - memory is bounded by the number of slots, not by the number of items.
//!
//! ```
//! use std::sync::Arc;
//! use chrono::Utc;
//! use workitem_orchestrator::{FnAgent, Options, Orchestrator, Retry, Stop, Task};
//! use workitem_store::{MemoryStore, NewItem, NewJob, Store};
//!
//! let store = Arc::new(MemoryStore::new());
//! let job = store.create_job(&NewJob { name: None, spec: serde_json::Value::Null, now: Utc::now() })?;
//! let items: Vec<NewItem> = (1..=10).map(|n| NewItem { id: n.to_string().into(), payload: "hello".into() }).collect();
//! store.submit(job.id, &items)?;
//! store.seal(job.id, "digest of the input")?;
//!
//! let agent = FnAgent::new(|task: &Task<'_>| match task.item.as_str() {
//!     "7" => Err("seven is not to be had"),
//!     _ => Ok(format!("{} from {}", task.payload.to_value(), task.item)),
//! });
//! let options = Options { retry: Retry { max_attempts: 3, ..Retry::default() }, ..Options::default() };
//! let mut orchestrator = Orchestrator::new(store.clone(), job)?;
//! let summary = orchestrator.run(&agent, &options, &Stop::new()?, &mut ())?;
//! assert_eq!((summary.completed, summary.failures), (9, 3));
//! assert_eq!(summary.counts.by_status.dead_lettered, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A store that outlives the program is `SqliteStore` of `workitem-sqlite`; the rest stays as it is. Started again over
//! the same job, the program goes on where it stopped, however that was.
//!
//! What goes on inside is told to whoever listens with [`tracing`]: runs at `info` and `warn`, attempts at `debug`, claims and
//! writes at `trace`. Ids are told, inputs, outputs and errors are not. While nobody listens it costs nothing to speak of.
//!
//! Whole programs to begin with are in `examples/`: `check_crates` runs a command over every crate of a workspace,
//! `hash_files` a closure over every file of a folder, to be stopped by Ctrl-C and started again, and `own_agent` asks a
//! service over TCP.
//!
//! # What is where
//!
//! | to | there is |
//! |---|---|
//! | run a closure, or a command without a shell | [`FnAgent`], [`ProcessAgent`] with its [`Template`] |
//! | run anything else | [`Agent`], which is given a [`Task`] |
//! | say how many at a time, how long, how often | [`Options`], [`Retry`], [`Backoff`] |
//! | stop: when agents have finished, soon, or at once | [`Stop`], from any thread |
//! | hear what happened, once it is durable | [`Observer`] |
//! | know how it ended | [`Summary`], [`RunError`] |

mod agent;
mod cancel;
mod clock;
mod closure;
mod driver;
mod observer;
mod orchestrator;
mod pace;
mod poll;
mod process;
mod rate;
mod retry;
mod rules;
mod slots;
mod stop;
mod sync;
#[cfg(test)]
mod testing;
mod world;

pub use agent::{Agent, Ended, Fault, How, Task};
pub use cancel::{Cancel, Stage};
pub use clock::now;
pub use closure::{FnAgent, Returned};
pub use observer::{Event, Observer, Outcome, Progress, Running};
pub use orchestrator::{Options, Orchestrator, RunError, Summary};
pub use process::{
    BadPath, FieldPath, GRACE, NoField, OUTPUT_LIMIT, ProcessAgent, RenderError, Template, TemplateError,
    Variable,
};
pub use rate::Rate;
pub use retry::{Backoff, Retry, Worth};
pub use rules::{Rule, StopRules};
pub use stop::{Stop, Stopping};
#[cfg(feature = "simulation")]
pub use world::{Finished, World};
