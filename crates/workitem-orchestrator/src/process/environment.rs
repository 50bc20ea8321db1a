//! What an agent's process finds in its environment.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Pid;

use super::variable::Variable;
use crate::agent::Task;

/// With this begins the name of everything that says what an agent works on.
pub(super) const OURS: &str = "WORKITEM_";

const JOB: &str = "WORKITEM_JOB";
const ID: &str = "WORKITEM_ID";
const ATTEMPT: &str = "WORKITEM_ATTEMPT";
const RUN: &str = "WORKITEM_RUN";
const ITEM: &str = "WORKITEM_ITEM";
const ITEM_FILE: &str = "WORKITEM_ITEM_FILE";

/// Most bytes that Linux takes for one argument or one `NAME=value`, its NUL included (`MAX_ARG_STRLEN`
/// with pages of 4 KiB).
pub(super) const MAX_STRING: usize = 128 << 10;

/// Gives `command` what every agent finds in its environment.
///
/// What stands there otherwise is inherited, but for `variables`. `PATH` is not touched unless one of them is: with a
/// `PATH` of its own `Command` forks the whole process instead of using `posix_spawn`, if it has to look for the program.
pub(super) fn set(
    command: &mut Command,
    variables: &[Variable],
    task: &Task<'_>,
    scratch: &Path,
) -> io::Result<Option<ItemFile>> {
    command
        .envs(variables.iter().map(|variable| (variable.name(), variable.value())))
        .env(JOB, task.job)
        .env(ID, task.item.as_str())
        .env(ATTEMPT, task.attempt.to_string())
        .env(RUN, task.run);
    let json = task.payload.as_json();
    // The name, `=`, the value, NUL.
    if ITEM.len() + 1 + json.len() < MAX_STRING {
        command.env(ITEM, json).env_remove(ITEM_FILE);
        return Ok(None);
    }
    let file = ItemFile::create(scratch, task.run, json)?;
    command.env(ITEM_FILE, &file.path).env_remove(ITEM);
    Ok(Some(file))
}

/// The marks by which a process of this attempt is known: `NAME=value` of its environment.
pub(super) fn marks(task: &Task<'_>) -> [String; 3] {
    [format!("{RUN}={}", task.run), format!("{ID}={}", task.item), format!("{ATTEMPT}={}", task.attempt)]
}

/// Whether a process was started with all of `marks` in its environment.
pub(super) fn is_marked(pid: Pid, marks: &[String]) -> bool {
    let environment = started_with(pid);
    marks.iter().all(|mark| environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes()))
}

/// Whether a process was started for one of these attempts, in a run whose `WORKITEM_RUN` starts with
/// `prefix`.
pub(super) fn is_of_attempts(pid: Pid, prefix: &str, attempts: &HashSet<(String, usize)>) -> bool {
    let environment = started_with(pid);
    let value = |name: &str| {
        let mut values = environment.split(|byte| *byte == 0).filter_map(|variable| {
            variable.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b"="))
        });
        values.next().and_then(|value| str::from_utf8(value).ok())
    };
    value(RUN).is_some_and(|run| run.starts_with(prefix))
        && value(ID).zip(value(ATTEMPT)).is_some_and(|(id, attempt)| {
            attempt.parse().is_ok_and(|attempt| attempts.contains(&(id.to_owned(), attempt)))
        })
}

/// The environment that a process was started with; empty if it may not be read: then it is none of ours.
fn started_with(pid: Pid) -> Vec<u8> {
    fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero())).unwrap_or_default()
}

/// An item too long for the environment, in a file that only its owner can read. Removed when dropped.
#[derive(Debug)]
pub(super) struct ItemFile {
    path: PathBuf,
}

impl ItemFile {
    /// The file, open for reading; it lives on while it is.
    pub(super) fn open(&self) -> io::Result<File> {
        File::open(&self.path)
    }

    /// The run is in its name, so that what a dead one has left can be told from what is in use.
    pub(super) fn create(folder: &Path, run: &str, text: &str) -> io::Result<Self> {
        // An agent may run in another folder.
        let folder = std::path::absolute(folder)?;
        loop {
            let path = folder.join(format!("workitem-{run}-{:016x}.json", fastrand::u64(..)));
            let mut file = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(error),
            };
            let created = Self { path };
            file.write_all(text.as_bytes())?;
            return Ok(created);
        }
    }
}

/// Removes the item files of runs whose `WORKITEM_RUN` starts with `prefix`, but for those whose process, which comes
/// next in it, `lives`: they may have agents. What cannot be removed only takes up room.
pub(crate) fn remove_item_files(folder: &Path, prefix: &str, lives: impl Fn(u32) -> bool) {
    let prefix = format!("workitem-{prefix}");
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let run = name.to_str().and_then(|name| name.strip_prefix(&prefix));
        let process = run.map(|run| run.split('-').next().unwrap_or_default().parse());
        if process.is_some_and(|process| !process.is_ok_and(&lives)) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

impl Drop for ItemFile {
    fn drop(&mut self) {
        // The agent may have removed it itself.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_has_a_file_only_while_it_is_needed() {
        let folder = tempfile::tempdir().unwrap();
        let file = ItemFile::create(folder.path(), "1-2-run", "text").unwrap();
        assert_eq!(io::read_to_string(file.open().unwrap()).unwrap(), "text");
        drop(file);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(ItemFile::create(&folder.path().join("none"), "1-2-run", "text").is_err());
    }

    #[test]
    fn only_what_a_dead_run_has_left_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let names =
            ["workitem-1-2-3-a.json", "workitem-1-2-4-a.json", "workitem-1-3-3-a.json", "other-1-2-3.json"];
        for name in names {
            fs::write(folder.path().join(name), "").unwrap();
        }
        remove_item_files(folder.path(), "1-2-", |process| process == 4);
        assert_eq!(names.map(|name| folder.path().join(name).exists()), [false, true, true, true]);
    }
}
