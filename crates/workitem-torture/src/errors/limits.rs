//! Limits that the system sets to a process: open files, the size of a file, processes and threads.
//!
//! Only the soft limit is lowered, and agents raise it again: what is tried is the program.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};

use anyhow::Result;
use rustix::process::geteuid;

use super::words::unclear;
use crate::checker::Moment;
use crate::stage::{DONE, NOTE, Stage, numbered};

/// Items of a job, two at a time.
const ITEMS: usize = 6;
/// What is said when not even the program's libraries can be loaded: it has not begun yet.
const NOT_LOADED: &str = "error while loading shared libraries";

/// How runs went under limits that get wider.
#[derive(Default)]
struct Ends {
    not_loaded: usize,
    stopped: usize,
    done: usize,
}

impl Ends {
    fn told(&self) -> String {
        let Self { not_loaded, stopped, done } = self;
        let not_loaded = match not_loaded {
            0 => String::new(),
            n => format!("{n} limits with which no program starts, "),
        };
        format!("{not_loaded}{stopped} with which it stopped with 5, {done} with which all was done")
    }
}

/// A job under a limit, and the same command without.
fn job(
    stage: &mut Stage,
    (name, limit): (&str, &str),
    (limited, free): (&[&str], &[&str]),
    script: &str,
    ends: &mut Ends,
) -> Result<()> {
    let map = ["map", "--job", name, "--json", "-j", "2", "--", "sh", "-c", script];
    let run = stage.start(limited, &map, &numbered(ITEMS), &[])?;
    let ended = stage.ends(name, run, &[0, 5, 127])?;
    match ended.code {
        0 => ends.done += 1,
        127 => {
            ends.not_loaded += 1;
            let is_not_loaded = ended.stderr.contains(NOT_LOADED);
            stage.expect(is_not_loaded, || format!("{limit}: it exited with 127: {}", ended.stderr));
        }
        _ => ends.stopped += 1,
    }
    if let Some(unclear) =
        unclear(&ended, &["workitem.db", "thread", "agent", "process", "signals", "files", "`sh`"])
    {
        stage.wrong(format!("{limit}: {unclear}"));
    }
    if stage.place.store().exists() {
        stage.check(name, Moment::Cut)?;
    }
    let run = stage.start(free, &map, &numbered(ITEMS), &[])?;
    stage.ends(name, run, &[0])?;
    stage.finished(name, ITEMS, 0)
}

pub fn descriptors(stage: &mut Stage) -> Result<()> {
    let script = format!(
        "ulimit -n 256; {NOTE}{DONE}[ $((WORKITEM_ID % 3)) != 0 ] || {{ head -c 50000 /dev/zero; echo; }}"
    );
    let mut ends = Ends::default();
    for most in (3..=40).step_by(stage.of(6, 1)) {
        let limit = format!("--nofile={most}:4096");
        job(stage, (&format!("files-{most}"), &limit), (&["prlimit", &limit], &[]), &script, &mut ends)?;
    }
    stage.expect(ends.stopped > 0 && ends.done > 0, || format!("limits of no use: {}", ends.told()));
    stage.fact = ends.told();
    Ok(())
}

/// Runs a command with pipes for what it prints and says, which no limit of files is about.
const PIPED: &str =
    r#"{ "$@" 2>&1 >&3 3>&- | cat >&2; exit ${PIPESTATUS[0]}; } 3>&1 | cat; exit ${PIPESTATUS[0]}"#;

pub fn file_size(stage: &mut Stage) -> Result<()> {
    let script = format!(
        "ulimit -f unlimited; {NOTE}{DONE}[ $((WORKITEM_ID % 3)) != 0 ] || head -c 300000 /dev/zero >&2"
    );
    let mut ends = Ends::default();
    let most: &[usize] = if stage.is_full {
        &[0, 1, 4, 5, 31, 32, 33, 64, 100, 150, 200, 250, 290, 400, 4_096]
    } else {
        &[0, 33, 150, 4_096]
    };
    for kib in most {
        // Not at the end of a page, so that the last write that has any room has not enough.
        let limit = format!("--fsize={}:unlimited", (*kib << 10) + stage.rng.usize(1..1_000));
        // Each has a store of its own: what another has written is not to be in its way.
        let limited = ["bash", "-c", PIPED, "bash", "prlimit", &limit];
        job(stage, (&format!("size-{kib}"), &limit), (&limited, &[]), &script, &mut ends)?;
        fs::remove_dir_all(stage.place.file(".workitem"))?;
    }
    stage.expect(ends.stopped > 0 && ends.done > 0, || format!("limits of no use: {}", ends.told()));
    stage.fact = ends.told();
    Ok(())
}

pub fn processes(stage: &mut Stage) -> Result<()> {
    if !geteuid().is_root() {
        eprintln!("errors: only root can become a user without processes: this scene is left out");
        "left out: only root can become a user without processes".clone_into(&mut stage.fact);
        return Ok(());
    }
    // A user of nobody else's: the limit is about all that its user runs.
    let user = 60_000 + std::process::id() % 5_000;
    fs::copy(stage.place.program(), stage.place.file("workitem"))?;
    for folder in [stage.place.path().to_path_buf(), stage.place.file(""), stage.place.path().join("runs")] {
        fs::set_permissions(&folder, Permissions::from_mode(0o755))?;
        chown(&folder, Some(user), Some(user))?;
    }
    let user = user.to_string();
    // It takes no process, and starts none.
    let script =
        "echo \"$WORKITEM_ID $WORKITEM_ATTEMPT\" >> \"started.$WORKITEM_JOB\"; echo \"$WORKITEM_ID done\"";
    let become_ = ["setpriv", "--reuid", &user, "--regid", &user, "--clear-groups"];
    let copy = ["sh", "-c", "shift; exec ./workitem \"$@\"", "sh"];
    let free = [&become_[..], &copy].concat();
    let mut ends = Ends::default();
    for most in (1..=10).step_by(stage.of(3, 1)) {
        let limit = format!("--nproc={most}:{most}");
        let limited = [&become_[..], &["prlimit", &limit], &copy].concat();
        job(stage, (&format!("processes-{most}"), &limit), (&limited, &free), script, &mut ends)?;
    }
    stage.expect(ends.stopped > 0 && ends.done > 0, || format!("limits of no use: {}", ends.told()));
    stage.fact = ends.told();
    Ok(())
}
