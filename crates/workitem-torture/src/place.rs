//! A folder in which the program runs, and runs of it that can be cut off.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

/// How long a run may take before it counts as hanging. None takes longer than a second on an idle machine.
const PATIENCE: Duration = Duration::from_mins(2);

/// A folder of its own for runs of the program; removed with all that is in it, unless it is kept.
#[derive(Debug)]
pub struct Place {
    program: PathBuf,
    folder: TempDir,
    runs: AtomicU32,
}

impl Place {
    /// Makes a folder below `parent`, or where temporary files are.
    ///
    /// # Errors
    ///
    /// If it cannot be made.
    pub fn new(program: &Path, parent: Option<&Path>) -> Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("workitem-torture-");
        let folder = parent.map_or_else(|| builder.tempdir(), |parent| builder.tempdir_in(parent))?;
        fs::create_dir(folder.path().join("work"))?;
        fs::create_dir(folder.path().join("runs"))?;
        Ok(Self { program: program.to_path_buf(), folder, runs: AtomicU32::new(0) })
    }

    /// The program.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A file in the folder in which the program runs.
    pub fn file(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join("work").join(name)
    }

    /// The store's file.
    pub fn store(&self) -> PathBuf {
        self.file(".workitem/workitem.db")
    }

    /// Writes a file into that folder.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> Result<PathBuf> {
        let path = self.file(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// The program with arguments, perhaps started by others: `strace`, a shell that sets limits.
    pub fn command(&self, through: &[&str], arguments: &[&str]) -> Command {
        let words = through.iter().map(OsStr::new).chain([self.program.as_os_str()]);
        let words: Vec<&OsStr> = words.chain(arguments.iter().map(OsStr::new)).collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).current_dir(self.file(""));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("WORKITEM_") {
                command.env_remove(name);
            }
        }
        command.env("XDG_CONFIG_HOME", self.file("none")).env("TMPDIR", self.folder.path().join("runs"));
        command
    }

    /// Starts a command that reads `input`.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub fn start(&self, mut command: Command, input: Option<&Path>) -> Result<Run> {
        let n = self.runs.fetch_add(1, Ordering::Relaxed);
        let of = |stream: &str| self.folder.path().join("runs").join(format!("{n}.{stream}"));
        let (out, err) = (of("out"), of("err"));
        let input = input.unwrap_or_else(|| Path::new("/dev/null"));
        command.stdin(File::open(input)?).stdout(File::create(&out)?).stderr(File::create(&err)?);
        let what: Vec<_> = command.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
        let child =
            command.spawn().with_context(|| format!("cannot start {}", command.get_program().display()))?;
        Ok(Run { what: what.join(" "), child, out, err })
    }

    /// Leaves everything where it is, and says where that is.
    pub fn keep(self) -> PathBuf {
        self.folder.keep()
    }
}

/// A run of the program.
#[derive(Debug)]
pub struct Run {
    what: String,
    child: Child,
    out: PathBuf,
    err: PathBuf,
}

impl Run {
    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has not ended yet.
    ///
    /// # Errors
    ///
    /// If it cannot be asked for.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// What it has said so far.
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.err).unwrap_or_default()).into_owned()
    }

    /// `kill -9`, unless it ends before.
    ///
    /// # Errors
    ///
    /// If it cannot be waited for.
    pub fn kill_after(mut self, moment: Duration) -> Result<Ended> {
        let deadline = Instant::now() + moment;
        while Instant::now() < deadline && self.child.try_wait()?.is_none() {
            sleep(deadline.saturating_duration_since(Instant::now()).min(Duration::from_millis(1)));
        }
        self.child.kill()?;
        self.wait()
    }

    /// Waits for its end.
    ///
    /// # Errors
    ///
    /// If it hangs.
    pub fn wait(self) -> Result<Ended> {
        self.watch(PATIENCE, |_| ())
    }

    /// Waits for its end, and looks at it now and then.
    ///
    /// # Errors
    ///
    /// If it takes longer than `patience`.
    pub fn watch(mut self, patience: Duration, mut look: impl FnMut(u32)) -> Result<Ended> {
        let deadline = Instant::now() + patience;
        let mut pause = Duration::from_micros(200);
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if Instant::now() > deadline {
                bail!("`{}` hangs, after it said: {}", self.what, tail(&self.said()));
            }
            look(self.child.id());
            sleep(pause);
            pause = (2 * pause).min(Duration::from_millis(5));
        };
        let code = status.code().unwrap_or_else(|| -status.signal().unwrap_or(0));
        let (stdout, stderr) = (fs::read(&self.out)?, fs::read(&self.err)?);
        for file in [&self.out, &self.err] {
            fs::remove_file(file)?;
        }
        let stderr = String::from_utf8_lossy(&stderr).into_owned();
        Ok(Ended { what: std::mem::take(&mut self.what), code, stdout, stderr })
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The end of what was said: enough to see why.
pub fn tail(text: &str) -> &str {
    let from = text.char_indices().rev().nth(1_000).map_or(0, |(index, _)| index);
    text[from..].trim()
}

/// What a run has done.
#[derive(Debug)]
pub struct Ended {
    /// How it was started.
    pub what: String,
    /// Its exit code, or minus the signal that ended it.
    pub code: i32,
    /// What it printed.
    pub stdout: Vec<u8>,
    /// What it said.
    pub stderr: String,
}

impl Ended {
    /// Whether it was cut off.
    pub const fn is_killed(&self) -> bool {
        self.code == -9
    }
}
