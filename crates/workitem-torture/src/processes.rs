//! Processes as `/proc` shows them: who belongs to a place, and what one of them takes.

use std::fs;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

/// The variable by which whatever is started in a place is known; its value is the place's folder.
pub const MARK: &str = "TORTURE";

/// A process that is alive.
#[derive(Debug, Clone)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Its command line.
    pub command: String,
}

/// Who carries the mark of a place, or works in it. Zombies do not count.
pub fn of_place(folder: &Path) -> Vec<Process> {
    let mark = format!("{MARK}={}", folder.display());
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        let is_marked = environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes());
        let works_here = fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(folder));
        // A zombie has neither.
        if pid != std::process::id() && (is_marked || works_here) {
            let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            found.push(Process { pid, command: command.chars().take(80).collect() });
        }
    }
    found
}

/// Who carries all of these variables.
pub fn carrying(variables: &[(&str, &str)]) -> Vec<u32> {
    let wanted: Vec<String> = variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let carries = |pid: &u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let all: Vec<&[u8]> = environment.split(|byte| *byte == 0).collect();
        wanted.iter().all(|wanted| all.contains(&wanted.as_bytes()))
    };
    pids().filter(carries).collect()
}

/// Who was started by a process, and is alive.
pub fn children(parent: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse().ok()))
}

/// Sends a signal to a process, if it is still there.
pub fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    // Gone in the meantime is as well.
    _ = pid.map(|pid| kill_process(pid, signal));
}

/// What a process takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// KiB of memory that are its own now: without the files that it has mapped.
    pub memory: u64,
    /// KiB of memory that it ever had.
    pub peak: u64,
    /// Its threads.
    pub threads: u64,
    /// Its open files.
    pub files: u64,
}

/// What a process takes now; nothing if it is gone.
pub fn usage(pid: u32) -> Option<Usage> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let value = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    let files = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() as u64;
    Some(Usage { memory: value("RssAnon:")?, peak: value("VmHWM:")?, threads: value("Threads:")?, files })
}

/// Bytes of all files below a folder.
pub fn bytes_below(folder: &Path) -> u64 {
    let mut bytes = 0;
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        bytes += match entry.metadata() {
            Ok(found) if found.is_dir() => bytes_below(&entry.path()),
            Ok(found) => found.len(),
            Err(_) => 0,
        };
    }
    bytes
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_process_is_found_by_its_mark_and_by_its_folder_until_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let marked = Command::new("sleep").arg("60").env(MARK, folder.path()).spawn().unwrap();
        let working = Command::new("sleep").arg("60").env_clear().current_dir(folder.path()).spawn().unwrap();
        let pids = || {
            let mut pids: Vec<u32> = of_place(folder.path()).iter().map(|process| process.pid).collect();
            pids.sort_unstable();
            pids
        };
        let mut both = [marked.id(), working.id()];
        both.sort_unstable();
        assert_eq!(pids(), both);
        let used = usage(marked.id()).unwrap();
        assert!(used.threads == 1 && used.files >= 3 && used.peak > 0, "{used:?}");
        for mut child in [marked, working] {
            signal(child.id(), Signal::KILL);
            child.wait().unwrap();
        }
        assert_eq!(pids(), [0; 0]);
        assert_eq!(usage(both[0]), None);
    }

    #[test]
    fn bytes_are_counted_in_folders_too() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("a")).unwrap();
        fs::write(folder.path().join("a/b"), [0; 100]).unwrap();
        fs::write(folder.path().join("c"), [0; 11]).unwrap();
        assert_eq!(bytes_below(folder.path()), 111);
    }
}
