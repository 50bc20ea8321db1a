//! What an orchestrator takes that waits for slow agents, and how many items it calls in progress.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{Bench, lines, spent};

/// Items of which two run at a time.
const ITEMS: usize = 10;
/// How long it is watched.
const WATCHED: Duration = Duration::from_secs(20);
/// How often it is asked what is in progress.
const ASKED: usize = 20;

pub struct Idle {
    pub watched: Duration,
    /// Of one core.
    pub share: f64,
    pub most_in_progress: u64,
}

pub fn measure(bench: &Bench) -> Result<Idle> {
    eprintln!("waiting for slow agents");
    let folder = bench.folder()?;
    let mut map = Command::new(&bench.workitem);
    map.args(["map", "--quiet", "-j", "2", "--job", "bench", "--", "sleep", "600"]).current_dir(&folder);
    let mut map = map.stdin(Stdio::piped()).spawn()?;
    map.stdin.take().context("it is piped")?.write_all(lines(ITEMS).as_bytes())?;
    let watched = watch(bench, folder.path(), &map);
    let pid = Pid::from_child(&map);
    kill_process(pid, Signal::INT)?;
    let ended = map.wait()?;
    ensure!(ended.code() == Some(4), "Ctrl-C ended it with {ended}, not as interrupted");
    watched
}

fn watch(bench: &Bench, folder: &Path, map: &Child) -> Result<Idle> {
    thread::sleep(Duration::from_secs(2));
    let share = spent::share_of_a_core(map, WATCHED)?;
    let mut most = 0;
    for _ in 0..ASKED {
        let status =
            Command::new(&bench.workitem).args(["status", "bench", "--json"]).current_dir(folder).output()?;
        let status: Value = serde_json::from_slice(&status.stdout)?;
        let in_progress = status["counts"]["in_progress"].as_u64().context("it says how many")?;
        ensure!(in_progress > 0, "nothing is in progress: {status}");
        most = most.max(in_progress);
        thread::sleep(Duration::from_millis(50));
    }
    Ok(Idle { watched: WATCHED, share, most_in_progress: most })
}
