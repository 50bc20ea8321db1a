//! The processes that belong to an agent, found in `/proc`.
//!
//! A process belongs to an agent if it is in its process group, carries its marks in its environment, or
//! descends from one that does. That finds children in a session of their own (`setsid`, `timeout`, a
//! shell with job control). It cannot find a process that left the group *and* lost its parent *and*
//! cleared its environment; and it finds nothing where there is no Linux `/proc`.
//!
//! Zombies do not count: they run no more, whether or not somebody collects them.

use std::collections::HashSet;
use std::fs;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, getpid, kill_process, kill_process_group, test_kill_process};

/// A process as `/proc` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: Pid,
    pub(super) group: Option<Pid>,
    parent: Option<Pid>,
    /// When it started, in clock ticks: tells it from a later process of the same number.
    started: u64,
    is_zombie: bool,
}

/// The processes that fulfil a condition, and their descendants; never this process.
///
/// Who was seen once stays in it until its end, even when nothing but the parent it has lost gave it away.
pub(super) struct Family<F> {
    belongs: F,
    seen: HashSet<(Pid, u64)>,
}

impl<F: Fn(&Process) -> bool> Family<F> {
    pub(super) fn new(belongs: F) -> Self {
        Self { belongs, seen: HashSet::new() }
    }

    /// Those that are alive now.
    pub(super) fn living(&mut self) -> Vec<Process> {
        let me = getpid();
        let mut others: Vec<_> =
            processes().filter(|process| process.pid != me && !process.is_zombie).collect();
        let is_one = |process: &Process| self.seen.contains(&process.identity()) || (self.belongs)(process);
        let mut found: Vec<_> = others.extract_if(.., |process| is_one(process)).collect();
        let mut children_of = 0;
        while children_of < found.len() {
            let parent = Some(found[children_of].pid);
            found.extend(others.extract_if(.., |process| process.parent == parent));
            children_of += 1;
        }
        self.seen.extend(found.iter().map(Process::identity));
        found
    }

    /// How many there ever were.
    pub(super) fn total(&self) -> usize {
        self.seen.len()
    }
}

impl Process {
    const fn identity(&self) -> (Pid, u64) {
        (self.pid, self.started)
    }
}

/// Whether there is such a process.
pub(crate) fn is_alive(process: u32) -> bool {
    let pid = i32::try_from(process).ok().and_then(Pid::from_raw);
    // Of another user's it is not told, but it is there.
    pid.is_some_and(|pid| !matches!(test_kill_process(pid), Err(Errno::SRCH)))
}

/// Sends a signal to a process, if it is still there and may be signalled.
pub(super) fn signal(pid: Pid, signal: Signal) {
    // ESRCH: gone in the meantime, as was wished. EPERM: not ours to end; the caller sees it live on.
    let _ = kill_process(pid, signal);
}

/// Sends a signal to all of a process group, if there is one.
pub(super) fn signal_group(group: Pid, signal: Signal) {
    // To the system, group 1 means every process there is.
    if group != Pid::INIT {
        // As above.
        let _ = kill_process_group(group, signal);
    }
}

fn processes() -> impl Iterator<Item = Process> {
    let entries = if cfg!(target_os = "linux") { fs::read_dir("/proc").ok() } else { None };
    entries.into_iter().flatten().filter_map(|entry| {
        let name = entry.ok()?.file_name();
        let pid = Pid::from_raw(name.to_str()?.parse().ok()?)?;
        parse_stat(pid, &fs::read(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?)
    })
}

/// Reads `/proc/PID/stat`: `PID (NAME) STATE PARENT GROUP …`, where NAME may hold anything.
fn parse_stat(pid: Pid, stat: &[u8]) -> Option<Process> {
    let name_end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(&stat[name_end + 1..]).ok()?;
    let fields: Vec<_> = rest.split_ascii_whitespace().take(20).collect();
    // A process that is being collected belongs to group -1.
    let number = |index: usize| fields.get(index)?.parse().ok().filter(|number: &i32| *number > 0);
    let threads: u32 = fields.get(17)?.parse().ok()?;
    let started = fields.get(19)?.parse().ok()?;
    // A process whose main thread has ended shows as a zombie while its other threads run on.
    let is_zombie = matches!(*fields.first()?, "Z" | "X" | "x") && threads <= 1;
    Some(Process {
        pid,
        parent: number(1).and_then(Pid::from_raw),
        group: number(2).and_then(Pid::from_raw),
        started,
        is_zombie,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pid(raw: i32) -> Pid {
        Pid::from_raw(raw).unwrap()
    }

    #[test]
    fn a_process_is_alive_until_it_is_collected() {
        assert!(is_alive(std::process::id()));
        assert!(!is_alive(0) && !is_alive(u32::MAX) && !is_alive(i32::MAX.cast_unsigned()));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        assert!(is_alive(child.id()), "nobody has collected it yet");
        child.wait().unwrap();
        assert!(!is_alive(child.id()));
    }

    #[test]
    fn stat_lines_are_read_whatever_the_name() {
        let tail = "40 41 41 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 99 5";
        let line = format!("42 (a) R (b) S {tail}");
        let process = parse_stat(pid(42), line.as_bytes()).unwrap();
        let expected = Process {
            pid: pid(42),
            parent: Some(pid(40)),
            group: Some(pid(41)),
            started: 99,
            is_zombie: false,
        };
        assert_eq!(process, expected);
        assert!(parse_stat(pid(42), format!("42 (x) Z {tail}").as_bytes()).unwrap().is_zombie);
        let threads = tail.replace("20 0 1 0", "20 0 3 0");
        assert!(!parse_stat(pid(42), format!("42 (x) Z {threads}").as_bytes()).unwrap().is_zombie);
        let collected = "0 -1 -1 0 -1 4227084 1 0 0 0 0 0 0 0 20 0 0 0 99 5";
        let collected = parse_stat(pid(42), format!("42 (x) Z {collected}").as_bytes()).unwrap();
        assert_eq!((collected.parent, collected.group, collected.is_zombie), (None, None, true));
        assert_eq!(parse_stat(pid(42), b"42 (x"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_is_never_found() {
        let me = getpid();
        assert!(processes().any(|process| process.pid == me));
        assert!(Family::new(|_| true).living().iter().all(|process| process.pid != me));
    }
}
