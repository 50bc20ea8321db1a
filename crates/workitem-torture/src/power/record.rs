//! A life of a store, seen by `strace`: every change of a file, every word that was said, every agent that was started.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use fastrand::Rng;

use super::disk::{Disk, Files, Survival};
use super::trace::{self, CALLS, Call};

/// The store's file, in the folder that is looked at.
pub const STORE: &str = ".workitem/workitem.db";
/// An agent for `sh -c`, with the item as `$1`. It prints its id, and much more if the item is big. What fails, fails
/// until `MENDED` is set; one kills its orchestrator.
pub const AGENT: &str = r#"if [ -z "$MENDED" ]; then case $1 in
    bad) exit 7;; flaky) [ "$WORKITEM_ATTEMPT" = 2 ] || exit 75;; killer) kill -9 $PPID; sleep 9;; esac; fi
echo "out $WORKITEM_ID"; case $1 in big) seq 1 9000;; esac"#;

/// One run of the program.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// Its arguments, before those of the agent.
    pub arguments: &'static [&'static str],
    /// Its input.
    pub input: &'static str,
    /// The exit code, or minus the signal.
    pub code: i32,
    /// The sync at which it is killed, with all that it has written and not synced.
    pub last_sync: Option<u32>,
}

/// A step.
pub const fn step(arguments: &'static [&'static str], input: &'static str, code: i32) -> Step {
    Step { arguments, input, code, last_sync: None }
}

/// A run that is killed as its `n`-th sync begins.
const fn cut_off(arguments: &'static [&'static str], input: &'static str, n: u32) -> Step {
    Step { arguments, input, code: -9, last_sync: Some(n) }
}

const ONE: &[&str] = &["map", "--job", "one", "--json", "-j", "2", "--max-attempts", "2"];
/// A job that is killed, unless what fails is mended.
pub const TWO: &[&str] = &["map", "--job", "two", "--json", "-j", "1"];

/// Runs that are killed at a sync: as it is built now, that of a claim in the one and of what became of it in the other.
const FOUR: &[&str] = &["map", "--job", "four", "--json", "-j", "1"];
const FIVE: &[&str] = &["map", "--job", "five", "--json", "-j", "1"];

/// All that can be done to a store: a job with dead letters, which are retried, with items that are added, one whose run
/// is killed, the end of the first, and runs that are killed at a sync, after which it is asked what there is.
pub const LIFE: &[Step] = &[
    step(ONE, "a\nbig\nbad\nb\nflaky\nbig\nbad\nc\nd\n", 3),
    step(&["status", "one"], "", 0),
    step(&["dlq", "retry", "one", "--json"], "", 0),
    step(&["add", "one"], "e\nbig\nf\n", 0),
    step(&["resume", "one", "--json"], "", 0),
    step(TWO, "a\nb\nbig\nc\nkiller\nd\nbig\n", -9),
    step(&["jobs"], "", 0),
    step(&["resume", "two", "--json"], "", 0),
    step(&["gc", "one"], "", 0),
    step(&["map", "--job", "three", "--json", "-j", "2"], "a\nbig\nb\n", 0),
    cut_off(FOUR, "a\n", 6),
    step(&["output", "four"], "", 0),
    cut_off(FIVE, "a\n", 7),
    step(&["output", "five"], "", 0),
];

/// What is done in tests: enough to meet every kind of write once.
pub const SHORT: &[Step] = &[
    step(&["map", "--job", "one", "--json", "-j", "2"], "a\nbig\nbad\nb\n", 3),
    step(&["dlq", "retry", "one", "--json"], "", 0),
    step(&["add", "one"], "e\n", 0),
    step(&["resume", "one", "--json"], "", 0),
    cut_off(FOUR, "a\n", 6),
    step(&["output", "four"], "", 0),
    cut_off(FIVE, "a\n", 7),
    step(&["output", "five"], "", 0),
];

impl Step {
    /// The job that it is about.
    pub fn job(&self) -> &'static str {
        match self.arguments {
            ["map", "--job", job, ..] | ["dlq", _, job, ..] | [_, job, ..] => job,
            _ => "",
        }
    }

    /// Whether what fails the first time is mended. A map is the first time.
    pub fn is_mended(&self) -> bool {
        self.arguments[0] != "map"
    }

    fn has_agent(&self) -> bool {
        self.arguments[0] == "map"
    }

    /// The program with the arguments of this step, started by `through`.
    pub fn command(&self, through: Command, program: &Path) -> Command {
        let mut command = through;
        command.arg(program).args(self.arguments);
        if self.has_agent() {
            command.args(["--", "sh", "-c", AGENT, "sh", "{}"]);
        }
        command
    }
}

/// A life that was recorded.
pub struct Recording {
    /// The folder in which it happened, which stays: jobs run there.
    pub folder: PathBuf,
    /// What happened.
    pub calls: Vec<Call>,
    /// At which line each step began; and the end.
    pub begins: Vec<usize>,
}

/// Lives it, in the empty folder `work` of a place.
pub fn record(program: &Path, folder: &Path, life: &[Step]) -> Result<Recording> {
    let folder = folder.canonicalize()?;
    let work = folder.join("work");
    for (n, step) in life.iter().enumerate() {
        let file = |what: &str| folder.join(format!("runs/{n}.{what}"));
        fs::write(file("in"), step.input)?;
        let mut strace = Command::new("strace");
        strace.args(["-f", "--detach-on=execve", "-y", "-xx", "-s", "1000000", "-e"]);
        strace.arg(format!("trace={CALLS}")).args(["-e", "abbrev=!execve", "-e", "signal=none", "-o"]);
        strace.arg(file("trace"));
        if let Some(n) = step.last_sync {
            // Which of the two calls syncs its file, SQLite decides when it is built.
            strace.args(["-e", &format!("inject=fsync,fdatasync:signal=KILL:when={n}")]);
        }
        let mut command = step.command(strace, program);
        clean(&mut command, &folder, step.is_mended());
        let (out, err) = (File::create(file("out"))?, File::create(file("err"))?);
        command.current_dir(&work).stdin(File::open(file("in"))?).stdout(out).stderr(err);
        let status = command.status().context("cannot start strace")?;
        let code = status.code().unwrap_or_else(|| -status.signal().unwrap_or(0));
        let said = || fs::read_to_string(file("err")).unwrap_or_default();
        ensure!(code == step.code, "{:?} exits with {code}, not {}: {}", step.arguments, step.code, said());
    }
    let recording = read(&folder, life)?;
    is_whole(&recording)?;
    Ok(recording)
}

/// Reads what was recorded before.
pub fn read(folder: &Path, life: &[Step]) -> Result<Recording> {
    let folder = folder.canonicalize()?;
    let work = folder.join("work");
    let (mut calls, mut begins) = (Vec::new(), vec![0]);
    for n in 0..life.len() {
        let file = folder.join(format!("runs/{n}.trace"));
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let begin = begins[n];
        calls.extend(trace::read(&text, begin, &work)?);
        begins.push(begin + text.lines().count() + 1);
    }
    Ok(Recording { folder: work, calls, begins })
}

/// Nothing of the caller's own environment has a say.
pub fn clean(command: &mut Command, folder: &Path, mended: bool) {
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("WORKITEM_")) {
        command.env_remove(name);
    }
    command.env("XDG_CONFIG_HOME", folder.join("none")).env_remove("MENDED").stdin(Stdio::null());
    if mended {
        command.env("MENDED", "1");
    }
}

/// The disk that is imagined and never loses power has what the real one has: the trace has told everything.
fn is_whole(recording: &Recording) -> Result<()> {
    let end = recording.begins.last().copied().unwrap_or_default();
    let disk = Disk::at(end, &recording.calls);
    let imagined = disk.lose(Survival::Chance(1.0), &mut Rng::with_seed(0));
    let mut found = Files::new();
    look(&recording.folder, &recording.folder, &mut found)?;
    let differ = |path: &&PathBuf| imagined.get(*path) != found.get(*path);
    let paths: BTreeSet<&PathBuf> = imagined.keys().chain(found.keys()).filter(differ).collect();
    ensure!(paths.is_empty(), "the trace does not lead to what is there: {paths:?}");
    Ok(())
}

fn look(top: &Path, folder: &Path, found: &mut Files) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.strip_prefix(top)?.to_path_buf();
        if path.is_dir() {
            found.insert(name, None);
            look(top, &path, found)?;
        } else if !name.to_string_lossy().ends_with("-shm") {
            found.insert(name, Some(fs::read(&path)?));
        }
    }
    Ok(())
}

/// What an agent prints for an item.
pub fn printed(id: &str, payload: &str) -> Vec<u8> {
    let mut printed = format!("out {id}\n");
    if payload == "big" {
        printed.extend((1..=9_000).map(|n| format!("{n}\n")));
    }
    printed.into_bytes()
}

/// Variables of an agent, as they were seen.
pub fn variable<'a>(variables: &'a BTreeMap<String, String>, name: &str) -> &'a str {
    variables.get(name).map_or("", String::as_str)
}
