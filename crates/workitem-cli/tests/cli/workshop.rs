//! A folder to work in, the program to run in it, and an end to everything it started.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// How long something may take before it counts as hanging.
const PATIENCE: Duration = Duration::from_mins(1);

/// In the environment of everything a workshop starts.
const MARK: &str = "WORKITEM_TEST_WORKSHOP";

/// Waits until `condition` holds.
#[track_caller]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        sleep(Duration::from_millis(5));
    }
}

/// A folder in which the program runs. Whatever was started in it ends with it.
pub struct Workshop {
    folder: TempDir,
    mark: String,
    runs: AtomicU32,
}

impl Workshop {
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("workitem-test-").tempdir().unwrap();
        let mark = folder.path().display().to_string();
        let shop = Self { folder, mark, runs: AtomicU32::new(0) };
        fs::create_dir(shop.path("work")).unwrap();
        fs::create_dir(shop.path("tmp")).unwrap();
        fs::create_dir(shop.path("bin")).unwrap();
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_workitem"), shop.path("bin/workitem")).unwrap();
        shop
    }

    /// What stands beside the folder in which the program runs.
    fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file in the folder in which the program runs.
    pub fn file(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path("work").join(name)
    }

    pub fn exists(&self, name: impl AsRef<Path>) -> bool {
        self.file(name).exists()
    }

    pub fn write(&self, name: impl AsRef<Path>, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.file(name);
        fs::write(&path, contents).unwrap();
        path
    }

    /// The lines of a file that agents append to; none if there is no such file.
    pub fn read_lines(&self, name: impl AsRef<Path>) -> Vec<String> {
        let text = fs::read_to_string(self.file(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// A script for `sh` that can be run as `./NAME`.
    pub fn script(&self, name: &str, body: &str) {
        let path = self.write(name, format!("#!/bin/sh\n{body}\n"));
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    }

    /// Files that agents left in the system's folder for temporary files.
    pub fn scratch_files(&self) -> usize {
        fs::read_dir(self.path("tmp")).unwrap().count()
    }

    /// Another program, with everything as `workitem` would find it; `workitem` is in its `PATH`.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("WORKITEM_") {
                command.env_remove(name);
            }
        }
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .current_dir(self.path("work"))
            .env(MARK, &self.mark)
            .env("TMPDIR", self.path("tmp"))
            // Not what whoever runs the tests has for themselves.
            .env("XDG_CONFIG_HOME", self.file("xdg"))
            .env("PATH", format!("{}:{path}", self.path("bin").display()));
        command
    }

    /// Runs `workitem` to its end.
    #[track_caller]
    pub fn run(&self, args: &[&str], stdin: impl AsRef<[u8]>) -> Output {
        self.spawn(args, stdin).wait()
    }

    /// Runs `workitem` to its end, with nothing to read.
    #[track_caller]
    pub fn ask(&self, args: &[&str]) -> Output {
        self.run(args, "")
    }

    /// Starts `workitem`.
    pub fn spawn(&self, args: &[&str], stdin: impl AsRef<[u8]>) -> Running {
        let mut command = self.command("workitem");
        command.args(args);
        self.start(command, stdin)
    }

    /// Runs a script to its end.
    #[track_caller]
    pub fn sh(&self, script: &str, stdin: impl AsRef<[u8]>) -> Output {
        let mut command = self.command("sh");
        command.args(["-c", script]);
        self.start(command, stdin).wait()
    }

    /// Starts a command that reads `stdin` and prints into files.
    pub fn start(&self, mut command: Command, stdin: impl AsRef<[u8]>) -> Running {
        let name = |what: &str, n: u32| self.path(format!("{n}.{what}"));
        let n = self.runs.fetch_add(1, Ordering::Relaxed);
        fs::write(name("in", n), stdin).unwrap();
        command.stdin(File::open(name("in", n)).unwrap());
        self.start_reading(command, n)
    }

    /// Starts `workitem`, and gives the end of a pipe that it reads from.
    pub fn spawn_piped(&self, args: &[&str]) -> (Running, std::io::PipeWriter) {
        let mut command = self.command("workitem");
        let (reader, writer) = std::io::pipe().unwrap();
        command.args(args).stdin(reader);
        (self.start_reading(command, self.runs.fetch_add(1, Ordering::Relaxed)), writer)
    }

    fn start_reading(&self, mut command: Command, n: u32) -> Running {
        let (out, err) = (self.path(format!("{n}.out")), self.path(format!("{n}.err")));
        command.stdout(File::create(&out).unwrap()).stderr(File::create(&err).unwrap());
        let what = format!("{command:?}").replace(&self.mark, "…");
        Running { what, child: command.spawn().unwrap(), out, err }
    }

    /// Waits until the first job of the store is there, and locked.
    #[track_caller]
    pub fn await_job(&self) {
        eventually("the job is there", || self.exists(".workitem/workitem.db.locks/1"));
    }

    /// `status --json`.
    #[track_caller]
    pub fn status(&self, job: &str) -> Value {
        self.ask(&["status", job, "--json"]).exits(0).json()
    }

    /// Counts by state, as `[pending, in progress, completed, failed, dead-lettered]`.
    #[track_caller]
    pub fn counts(&self, job: &str) -> [u64; 5] {
        let status = self.status(job);
        let states = ["pending", "in_progress", "completed", "failed", "dead_lettered"];
        let counts = states.map(|state| status["counts"][state].as_u64().unwrap());
        assert_eq!(status["counts"]["total"].as_u64(), Some(counts.iter().sum()), "{status}");
        counts
    }

    /// `items --json`, by id.
    #[track_caller]
    pub fn items(&self, job: &str) -> BTreeMap<String, Value> {
        let items = self.ask(&["items", job, "--json"]).exits(0).json_lines();
        items.into_iter().map(|item| (item["id"].as_str().unwrap().to_owned(), item)).collect()
    }

    /// Ids of the items in a state, in input order.
    #[track_caller]
    pub fn ids(&self, job: &str, state: &str) -> Vec<String> {
        let items = self.ask(&["items", job, "--state", state, "--json"]).exits(0).json_lines();
        items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
    }

    /// Checks what must hold of any job at rest, and that `verify` says so.
    #[track_caller]
    pub fn verify(&self, job: &str) {
        let audit = self.ask(&["verify", job, "--json"]).exits(0).json();
        assert_eq!(audit["passed"], true, "{audit}");
    }

    /// The store's file, around the program.
    pub fn database(&self) -> Connection {
        let database = Connection::open(self.file(".workitem/workitem.db")).unwrap();
        database.busy_timeout(PATIENCE).unwrap();
        database
    }

    /// How many items were recorded as completed more than once.
    pub fn recorded_twice(&self) -> u64 {
        let query = "SELECT count(*) FROM (SELECT 1 FROM history WHERE event = 1
                     GROUP BY job, seq HAVING count(*) > 1)";
        self.database().query_row(query, [], |row| row.get(0)).unwrap()
    }

    /// Agents that are alive, and their descendants: the item each of these processes works on.
    pub fn agents(&self) -> Vec<String> {
        self.living().into_iter().filter_map(|(_, mut env)| env.remove("WORKITEM_ID")).collect()
    }

    /// Everything alive that was started here, with its environment.
    fn living(&self) -> Vec<(Pid, BTreeMap<String, String>)> {
        let mut living = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let pid = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
            let read = |file: &str| fs::read(entry.path().join(file)).unwrap_or_default();
            let Some(pid) = pid else { continue };
            // A zombie has no environment any more.
            let environ = read("environ");
            let variables = environ.split(|byte| *byte == 0).filter_map(|variable| {
                let (name, value) = std::str::from_utf8(variable).ok()?.split_once('=')?;
                Some((name.to_owned(), value.to_owned()))
            });
            let variables: BTreeMap<String, String> = variables.collect();
            if variables.get(MARK) == Some(&self.mark) {
                living.push((pid, variables));
            }
        }
        living
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let living = self.living();
            if living.is_empty() || Instant::now() > deadline {
                return;
            }
            for (pid, _) in living {
                let _ = kill_process(pid, Signal::KILL);
            }
            sleep(Duration::from_millis(2));
        }
    }
}

/// A program that runs.
pub struct Running {
    what: String,
    child: Child,
    out: PathBuf,
    err: PathBuf,
}

impl Running {
    /// What it has printed so far.
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.out).unwrap()).into_owned()
    }

    /// What it has said so far.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.err).unwrap()).into_owned()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// `kill -9`; nothing but this process is told.
    pub fn kill(mut self) -> Output {
        self.child.kill().unwrap();
        self.wait()
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(self) -> Output {
        self.wait_at_most(PATIENCE)
    }

    /// Waits for the end of what may take longer.
    #[track_caller]
    pub fn wait_at_most(mut self, patience: Duration) -> Output {
        let deadline = Instant::now() + patience;
        let mut pause = Duration::from_micros(500);
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "{} hangs; it said: {}", self.what, self.stderr());
            sleep(pause);
            pause = (2 * pause).min(Duration::from_millis(10));
        };
        let (stdout, stderr) = (fs::read(&self.out).unwrap(), self.stderr());
        let output = Output { what: self.what.clone(), status, stdout, stderr };
        assert!(!output.stderr.contains("panicked"), "{}", output.describe());
        output
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a program has done.
pub struct Output {
    what: String,
    status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Output {
    /// The exit code, or minus the signal that ended it.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| -self.status.signal().unwrap())
    }

    /// Checks the exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code(), code, "{}", self.describe());
        self
    }

    /// Checks that it said something in which all of these occur.
    #[track_caller]
    pub fn says(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.stderr.contains(word), "expected `{word}` of {}", self.describe());
        }
        self
    }

    /// Checks that it failed with one clear sentence, and perhaps what to do next.
    #[track_caller]
    pub fn complains(self, code: i32, words: &[&str]) -> Self {
        let output = self.exits(code).says(words);
        let lines: Vec<&str> = output.stderr.lines().collect();
        let is_clear = matches!(lines.len(), 1 | 2)
            && lines[0].starts_with("workitem: ")
            && lines.iter().skip(1).all(|line| line.starts_with("  "));
        assert!(is_clear, "{}", output.describe());
        output
    }

    #[track_caller]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    #[track_caller]
    pub fn lines(&self) -> Vec<&str> {
        self.text().lines().collect()
    }

    #[track_caller]
    pub fn sorted_lines(&self) -> Vec<&str> {
        let mut lines = self.lines();
        lines.sort_unstable();
        lines
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.describe()))
    }

    #[track_caller]
    pub fn json_lines(&self) -> Vec<Value> {
        parse_lines(self.text())
    }

    /// What was said, as JSON lines: `--json`.
    #[track_caller]
    pub fn events(&self) -> Vec<Value> {
        parse_lines(&self.stderr)
    }

    fn describe(&self) -> String {
        let Self { what, status, stdout, stderr } = self;
        let stdout: String = String::from_utf8_lossy(stdout).chars().take(2_000).collect();
        let stderr: String = stderr.chars().take(4_000).collect();
        format!("{what}\n{status}\n-- stdout\n{stdout}\n-- stderr\n{stderr}")
    }
}

#[track_caller]
fn parse_lines(text: &str) -> Vec<Value> {
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    text.lines().map(parse).collect()
}

/// Items as lines of an input.
pub fn lines(items: impl IntoIterator<Item = impl ToString>) -> String {
    items.into_iter().map(|item| item.to_string() + "\n").collect()
}
