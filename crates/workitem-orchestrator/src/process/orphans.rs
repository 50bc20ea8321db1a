//! Ending agents that have outlived their orchestrator.

use std::collections::HashSet;
use std::io;
use std::time::{Duration, Instant};

use rustix::process::{Signal, getpgrp};

use super::environment::is_of_attempts;
use super::family::{Family, signal, signal_group};
use super::leader::{DEATH, TICK};

/// Ends every process that carries a `WORKITEM_RUN` starting with `run_prefix` and was started for one of
/// `attempts` (an item's id and the attempt), all its descendants, and its process group, at once and until
/// none is left. Says how many there were. What agents of other attempts left behind on purpose is let be.
///
/// After an orchestrator was killed its agents run on; this comes before anything is run again, so that
/// no item ever has two live agents. It never touches the calling process or its group as such, and does
/// nothing where there is no `/proc` (Linux has it).
///
/// # Errors
///
/// - [`InvalidInput`](io::ErrorKind::InvalidInput) if `run_prefix` is empty: it would mean every agent of everybody.
/// - [`TimedOut`](io::ErrorKind::TimedOut), naming one, if some cannot be ended: a process of another
///   user, or one that hangs in the kernel.
pub(crate) fn end_orphans(run_prefix: &str, attempts: &HashSet<(String, usize)>) -> io::Result<usize> {
    if run_prefix.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the prefix of the run is empty"));
    }
    let deadline = Instant::now() + DEATH;
    let mut family = Family::new(|process| is_of_attempts(process.pid, run_prefix, attempts));
    let mut pause = Duration::from_millis(1);
    loop {
        let orphans = family.living();
        let Some(first) = orphans.first() else { return Ok(family.total()) };
        if Instant::now() >= deadline {
            let pid = first.pid.as_raw_nonzero();
            let error = format!("process {pid} of an earlier run could not be ended");
            return Err(io::Error::new(io::ErrorKind::TimedOut, error));
        }
        for orphan in &orphans {
            if let Some(group) = orphan.group.filter(|group| *group != getpgrp()) {
                signal_group(group, Signal::KILL);
            }
            signal(orphan.pid, Signal::KILL);
        }
        std::thread::sleep(pause);
        pause = (2 * pause).min(5 * TICK);
    }
}
