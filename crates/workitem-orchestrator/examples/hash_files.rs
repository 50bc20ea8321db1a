//! Hashes every file below a folder, and can be stopped and started again at any time.
//!
//! ```console
//! $ cargo run -p workitem-orchestrator --example hash_files -- ~/Pictures hashes.db
//! ^C
//! stopped: 1204 of 5310 files hashed; run the same again to go on
//! $ cargo run -p workitem-orchestrator --example hash_files -- ~/Pictures hashes.db
//! 9f86d081884c7d65…  2019/beach.jpg
//! …
//! ```
//!
//! Shows: a closure as agent, what it is told of its item, cancellation in the middle of one, Ctrl-C, and results in the
//! order of the input. `kill -9` does no harm either: what was being hashed is hashed again.

use std::error::Error;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use sha2::{Digest, Sha256};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use workitem_orchestrator::{FnAgent, Options, Orchestrator, Stop, Task, now};
use workitem_sqlite::SqliteStore;
use workitem_store::{ItemQuery, Job, NewItem, NewJob, Store, StoreError};
use workitem_types::{AgentResult, WorkItemStatus};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    Ok(if run(&args, &mut io::stdout())? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Hashes what is not hashed yet, and prints all digests if that is all there is: `FOLDER STORE`.
pub(crate) fn run(args: &[String], out: &mut dyn Write) -> Result<bool, Box<dyn Error>> {
    let [folder, store] = args else { return Err("usage: hash_files FOLDER STORE".into()) };
    let folder = fs::canonicalize(folder).map_err(|error| format!("no folder {folder}: {error}"))?;
    let store: Arc<dyn Store> = Arc::new(SqliteStore::create(Path::new(store))?);
    let job = find_or_submit(&*store, &folder)?;

    let stop = Stop::new()?;
    stop_on_signals(stop.clone())?;
    let agent = FnAgent::new(|task: &Task<'_>| hash(task, &folder));
    let mut orchestrator = Orchestrator::new(store.clone(), job.clone())?;
    let summary = orchestrator.run(&agent, &Options::default(), &stop, &mut ())?;

    let by = &summary.counts.by_status;
    if !summary.counts.is_finished() {
        let (done, total) = (by.completed, by.total());
        writeln!(out, "stopped: {done} of {total} files hashed; run the same again to go on")?;
        return Ok(false);
    }
    print(&*store, &job, out)?;
    Ok(true)
}

/// One attempt at one file. An error is a failed attempt, but after a stop it is one that was interrupted.
fn hash(task: &Task<'_>, folder: &Path) -> Result<AgentResult, String> {
    let path = folder.join(task.item.as_str());
    let because = |error: io::Error| format!("cannot read {}: {error}", path.display());
    let mut file = File::open(&path).map_err(because)?;
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; 64 << 10]);
    loop {
        if task.should_stop() {
            return Err(format!("stopped in attempt {} at {}", task.attempt, path.display()));
        }
        match file.read(&mut buffer).map_err(because)? {
            0 => break,
            read => hasher.update(&buffer[..read]),
        }
    }
    let digest = hasher.finalize().iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    Ok(AgentResult::success(task.item.to_string(), Some(digest), task.started.elapsed()))
}

/// The first signal lets files be put back; another one ends everything at once, and still in good order.
fn stop_on_signals(stop: Stop) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::spawn(move || {
        for (n, _) in signals.forever().enumerate() {
            if n == 0 { stop.interrupt() } else { stop.kill() }
        }
    });
    Ok(())
}

/// The job of this folder; the files are those that were there when it was made.
fn find_or_submit(store: &dyn Store, folder: &Path) -> Result<Job, Box<dyn Error>> {
    let name = folder.to_str().ok_or("the folder's path is not UTF-8")?;
    let job = match store.job(name) {
        Err(StoreError::NoJob { .. }) => {
            let spec = serde_json::Value::Null;
            store.create_job(&NewJob { name: Some(name.to_owned()), spec, now: now() })?
        }
        found => found?,
    };
    if !job.is_sealed() {
        let mut files = Vec::new();
        list(folder, folder, &mut files)?;
        files.sort();
        let items: Vec<NewItem> = files
            .iter()
            .map(|file| NewItem { id: file.as_str().into(), payload: file.as_str().into() })
            .collect();
        // What is there already is passed over, so that it does no harm if the program died in here.
        store.submit(job.id, &items)?;
        store.seal(job.id, "the files that were there")?;
    }
    Ok(store.job(name)?)
}

/// Every file below `folder`, by its path from `top`.
fn list(top: &Path, folder: &Path, files: &mut Vec<String>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let (path, kind): (PathBuf, _) = entry.map(|entry| (entry.path(), entry.file_type()))?;
        let kind = kind?;
        if kind.is_dir() {
            list(top, &path, files)?;
        } else if kind.is_file() {
            let name = path.strip_prefix(top)?.to_str();
            files.push(name.ok_or_else(|| format!("{} is not UTF-8", path.display()))?.to_owned());
        }
    }
    Ok(())
}

/// Prints what became of each file, in order.
fn print(store: &dyn Store, job: &Job, out: &mut dyn Write) -> Result<(), Box<dyn Error>> {
    let mut query = ItemQuery { status: None, after: 0, limit: 1_000 };
    loop {
        let page = store.items(job.id, &query)?;
        let Some(last) = page.last() else { return Ok(()) };
        query.after = last.seq;
        for row in &page {
            match &row.record.status {
                WorkItemStatus::Completed { result } => {
                    writeln!(out, "{}  {}", result.output.as_deref().unwrap_or_default(), row.record.id)?;
                }
                WorkItemStatus::DeadLettered { error, .. } => writeln!(out, "{}: {error}", row.record.id)?,
                WorkItemStatus::Pending
                | WorkItemStatus::InProgress { .. }
                | WorkItemStatus::Failed { .. } => {}
            }
        }
    }
}
