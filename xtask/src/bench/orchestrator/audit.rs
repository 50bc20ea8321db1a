//! Nothing is bought by doing less: after each run every item must be completed and the history must replay; and every
//! group that was written must have reached the disk.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{Bench, lines, spent};

/// Items of the run whose syncs are counted: tracing slows down.
const TRACED: usize = 2_000;

/// The job `bench` in the default store of `folder` must have completed all of its items, each by two events.
pub fn completed(bench: &Bench, folder: &Path, items: usize) -> Result<()> {
    let said = |arguments: &[&str]| -> Result<String> {
        let output = Command::new(&bench.workitem).args(arguments).current_dir(folder).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let status: Value = serde_json::from_str(&said(&["status", "bench", "--json"])?)?;
    let completed = &status["counts"]["completed"];
    ensure!(completed == items, "{completed} of {items} items are completed");
    let verified = said(&["verify", "bench"])?;
    let expected = format!("{items} items, {} events replayed: nothing is wrong", 2 * items);
    ensure!(verified.contains(&expected), "expected `{expected}`, found `{}`", verified.trim());
    Ok(())
}

/// How often a job synced.
pub struct Synced {
    pub items: usize,
    pub syncs: usize,
    /// Groups in which items were claimed. Each is a sync, and so is each group of outcomes, of which there must be one
    /// at least.
    pub groups: usize,
}

/// Runs a job as the timed ones are run, and counts what reaches the disk.
pub fn synced(bench: &Bench) -> Result<Synced> {
    let folder = bench.folder()?;
    let log = folder.path().join("syncs");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-q", "--seccomp-bpf", "-e", "trace=fsync,fdatasync", "-e", "signal=none", "-o"]);
    strace.arg(&log).arg(&bench.workitem);
    strace.args(["map", "--quiet", "-j", "2", "--job", "bench", "--", "/bin/true"]).current_dir(&folder);
    spent::run(&mut strace, &lines(TRACED))?;
    completed(bench, folder.path(), TRACED)?;
    let syncs = std::fs::read_to_string(&log)?.lines().filter(|line| is_sync(line)).count();
    let groups = groups(bench, &folder.path().join(".workitem/workitem.db"))?;
    ensure!(syncs > groups, "{groups} groups of items were claimed, and {syncs} syncs seen");
    Ok(Synced { items: TRACED, syncs, groups })
}

fn is_sync(line: &str) -> bool {
    line.contains("sync(") && line.ends_with("= 0")
}

fn groups(bench: &Bench, store: &Path) -> Result<usize> {
    let counted = spent::run(Command::new(&bench.load).arg("groups").arg(store), "")?;
    let said: Value = serde_json::from_str(&counted.stdout)?;
    Ok(usize::try_from(said["groups"].as_u64().context("it says how many groups")?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_sync_that_succeeded_is_one() {
        assert!(is_sync("77    fdatasync(5)                      = 0"));
        assert!(!is_sync("77    fdatasync(5) = -1 EIO (Input/output error)"));
        assert!(!is_sync("77    +++ exited with 0 +++"));
    }
}
