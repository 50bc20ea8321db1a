//! Checks every crate of a workspace, several at a time.
//!
//! ```console
//! $ cargo run -p workitem-orchestrator --example check_crates -- . cargo fmt --check --manifest-path {}/Cargo.toml
//! ok      crates/workitem-types      0.4s
//! FAILED  crates/workitem-store      0.5s  exit 1: Diff in …
//! 12 crates checked, 1 failed
//! ```
//!
//! Shows: commands as agents, an observer that tells what is over, and a store that need not outlive the program.

use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use workitem_orchestrator::{
    Event, Observer, Options, Orchestrator, Outcome, ProcessAgent, Stop, Template, now,
};
use workitem_store::{MemoryStore, NewItem, NewJob, Store};

/// What is run for each crate unless said otherwise. `{}` is its folder.
const COMMAND: [&str; 6] = ["cargo", "check", "--quiet", "--all-targets", "--manifest-path", "{}/Cargo.toml"];

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args, &mut io::stdout())? {
        0 => Ok(()),
        failed => Err(format!("{failed} failed").into()),
    }
}

/// Runs a command over the crates of a workspace, and says how many failed: `WORKSPACE COMMAND...`.
pub(crate) fn run(args: &[String], out: &mut dyn Write) -> Result<usize, Box<dyn Error>> {
    let workspace = Path::new(args.first().map_or(".", String::as_str));
    let command: Vec<OsString> = match args.get(1..) {
        None | Some([]) => COMMAND.map(Into::into).to_vec(),
        Some(command) => command.iter().map(Into::into).collect(),
    };

    let store = Arc::new(MemoryStore::new());
    let job = store.create_job(&NewJob { name: None, spec: serde_json::Value::Null, now: now() })?;
    let crates = crates(workspace)?;
    store.submit(job.id, &crates)?;
    store.seal(job.id, "the crates as they are now")?;

    let agent = ProcessAgent::new(Template::parse(command)?, workspace);
    // A build that waits for ever, for a lock or for input, is a failure.
    let options = Options { timeout: Some(Duration::from_mins(10)), ..Options::default() };
    let mut tell = Tell(out);
    let summary = Orchestrator::new(store, job)?.run(&agent, &options, &Stop::new()?, &mut tell)?;
    let failed = summary.counts.by_status.dead_lettered;
    writeln!(out, "{} crates checked, {failed} failed", crates.len())?;
    Ok(failed)
}

/// The folders below `crates` that have a manifest, as items.
fn crates(workspace: &Path) -> Result<Vec<NewItem>, Box<dyn Error>> {
    let mut folders = Vec::new();
    let below = workspace.join("crates");
    for entry in fs::read_dir(&below).map_err(|error| format!("no crates in {}: {error}", below.display()))? {
        let entry = entry?;
        if entry.path().join("Cargo.toml").exists() {
            folders.push(format!("crates/{}", entry.file_name().to_string_lossy()));
        }
    }
    folders.sort();
    Ok(folders
        .iter()
        .map(|folder| NewItem { id: folder.as_str().into(), payload: folder.as_str().into() })
        .collect())
}

/// Tells what is over, a line for each crate.
struct Tell<'a>(&'a mut dyn Write);

impl Observer for Tell<'_> {
    fn event(&mut self, event: &Event<'_>) {
        let Event::Ended { item, took, outcome, .. } = event else { return };
        let (word, error) = match outcome {
            Outcome::Completed => ("ok", ""),
            Outcome::DeadLettered { error, .. } | Outcome::Retrying { error, .. } => ("FAILED", *error),
            Outcome::Interrupted => ("stopped", ""),
        };
        let line = format!("{word:<7} {:<28} {:.1}s  {error}", item.as_str(), took.as_secs_f64());
        // Nobody needs to listen: the checks go on.
        let _ = writeln!(self.0, "{}", line.trim_end());
    }
}
