//! Agents that are commands.
//!
//! Each attempt is one process, started without a shell, in a process group of its own: its standard
//! input is empty, its output is kept, its environment says what it works on. What it promises:
//!
//! - when [`run`](Agent::run) returns, nothing of the agent's process group runs any more: **what an
//!   agent leaves running in its group when it exits is ended** (SIGKILL);
//! - an agent whose time is up, or whose orchestrator stops, gets SIGTERM with all of its group and
//!   descendants, then SIGKILL after the grace; that finds processes in sessions of their own, too, if
//!   they kept their environment or their parent (Linux);
//! - output is kept up to a limit and counted beyond it; however much an agent writes, it neither blocks
//!   nor takes memory.
//!
//! A process that has left the group of an agent which ends by itself is let be: it is a daemon on purpose.

mod capture;
mod describe;
mod environment;
mod family;
mod field;
mod leader;
mod orphans;
mod running;
mod template;
#[cfg(test)]
mod tests;
mod variable;

use std::ffi::OsString;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Signal, setpriority_process};
use serde_json::Value;
use workitem_store::{AttemptOutput, BlobName, Cause, StreamKind};
use workitem_types::{AgentResult, ItemId};

pub(crate) use self::environment::remove_item_files;
pub(crate) use self::family::is_alive;
use self::field::text_of;
pub use self::field::{BadPath, FieldPath, NoField};
pub(crate) use self::orphans::end_orphans;
pub use self::template::{RenderError, Template, TemplateError};
pub use self::variable::Variable;

pub(crate) use self::capture::Capture;
use self::describe::{ending, plain, with_last_line};
use self::environment::{ItemFile, MAX_STRING};
use self::running::{Over, Running, Stop};
use crate::agent::{Agent, Ended, Fault, How, Task};

/// Most bytes of one stream of one attempt that are kept, unless said otherwise: 64 MiB.
pub const OUTPUT_LIMIT: u64 = 64 << 20;

/// How long an agent may take to end after SIGTERM, unless said otherwise: 5 s.
pub const GRACE: Duration = Duration::from_secs(5);

/// An agent that runs a command for each item.
///
/// Exit code 0 completes the item; any other exit, death by a signal, too much time and failure to start
/// are failures, each with a [`Cause`] of its own and the last line of standard error in the text.
///
/// ```
/// use std::time::Duration;
/// use workitem_orchestrator::{ProcessAgent, Template};
///
/// let template = Template::parse(["wc", "-l", "{}"].map(Into::into).into())?;
/// let agent = ProcessAgent::new(template, "/").grace(Duration::from_secs(1));
/// # let _ = agent;
/// # Ok::<(), workitem_orchestrator::TemplateError>(())
/// ```
#[derive(Debug, Clone)]
pub struct ProcessAgent {
    template: Template,
    folder: PathBuf,
    grace: Duration,
    output_limit: u64,
    scratch: PathBuf,
    feeds_item: bool,
    nice: Option<i32>,
    environment: Vec<Variable>,
}

impl ProcessAgent {
    /// An agent that runs `template` in `folder`.
    pub fn new(template: Template, folder: impl Into<PathBuf>) -> Self {
        let scratch = std::env::temp_dir();
        Self {
            template,
            folder: folder.into(),
            grace: GRACE,
            output_limit: OUTPUT_LIMIT,
            scratch,
            feeds_item: false,
            nice: None,
            environment: Vec::new(),
        }
    }

    /// How long an agent may take to end after SIGTERM; then it gets SIGKILL.
    #[must_use]
    pub fn grace(self, grace: Duration) -> Self {
        Self { grace, ..self }
    }

    /// Most bytes that are kept of each stream of an attempt.
    #[must_use]
    pub fn output_limit(self, bytes: u64) -> Self {
        Self { output_limit: bytes, ..self }
    }

    /// Where items go that are too long for the environment, while their agent runs. By default the
    /// system's folder for temporary files.
    #[must_use]
    pub fn scratch(self, folder: impl Into<PathBuf>) -> Self {
        Self { scratch: folder.into(), ..self }
    }

    /// Give the command its item on standard input, which is empty otherwise: a string's characters, any other value as
    /// compact JSON, and a newline.
    #[must_use]
    pub fn feed_item(self, feeds_item: bool) -> Self {
        Self { feeds_item, ..self }
    }

    /// How nice the command is to other processes: from -20, which only root may give, to 19, which takes what they
    /// leave. By default as nice as the orchestrator.
    #[must_use]
    pub fn nice(self, nice: Option<i32>) -> Self {
        Self { nice, ..self }
    }

    /// What the command finds in its environment besides what the orchestrator has there. With a `PATH`, the command is
    /// looked for there, and each start takes longer: it is a fork.
    #[must_use]
    pub fn environment(self, variables: Vec<Variable>) -> Self {
        Self { environment: variables, ..self }
    }

    /// The command.
    pub const fn template(&self) -> &Template {
        &self.template
    }

    /// Whether an item can be given to the command, to be found out before anything runs.
    ///
    /// # Errors
    ///
    /// [`RenderError`] if it cannot.
    pub fn check(&self, id: &ItemId, item: &Value) -> Result<(), RenderError> {
        self.template.check(id, item)
    }

    /// Starts the command.
    fn spawn(&self, task: &Task<'_>) -> Result<(Child, Option<ItemFile>), NotStarted> {
        let item =
            if self.feeds_item || self.template.uses_item() { task.payload.to_value() } else { Value::Null };
        let argv =
            self.template.render(task.item, &item).map_err(|error| NotStarted::Item(error.to_string()))?;
        let (program, arguments) =
            argv.split_first().ok_or_else(|| NotStarted::Item("the command is empty".to_owned()))?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(&self.folder)
            .process_group(0)
            .stdin(self.input(task, &item)?)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let item_file = environment::set(&mut command, &self.environment, task, &self.scratch)
            .map_err(|error| self.no_item_file(&error))?;
        if let Some(nice) = self.nice {
            // Of this thread, which starts nothing but agents; they inherit it.
            setpriority_process(None, nice).map_err(|errno| {
                let why = plain(&errno.into());
                NotStarted::System(format!("could not run agents with a niceness of {nice}: {why}"))
            })?;
        }
        match command.spawn() {
            Ok(child) => Ok((child, item_file)),
            Err(error) => {
                let program = program.to_string_lossy();
                let what =
                    format!("could not start `{}`: {}", program.escape_debug(), self.why(&error, &argv));
                Err(if is_want_of_room(&error) { NotStarted::System(what) } else { NotStarted::Item(what) })
            }
        }
    }

    /// What the command reads.
    fn input(&self, task: &Task<'_>, item: &Value) -> Result<Stdio, NotStarted> {
        if !self.feeds_item {
            return Ok(Stdio::null());
        }
        // A file and not a pipe: whether and when the command reads it is no concern of anybody's.
        let text = text_of(item) + "\n";
        let file = ItemFile::create(&self.scratch, task.run, &text).and_then(|file| file.open());
        Ok(file.map_err(|error| self.no_item_file(&error))?.into())
    }

    fn no_item_file(&self, error: &io::Error) -> NotStarted {
        let folder = self.scratch.display();
        NotStarted::System(format!("could not put an item into a file in {folder}: {}", plain(error)))
    }

    /// Why a command could not be started: what the system said, or what it meant.
    fn why(&self, error: &io::Error, argv: &[OsString]) -> String {
        let longest = argv.iter().map(|argument| argument.len()).max().unwrap_or(0);
        match Errno::from_io_error(error) {
            Some(Errno::TOOBIG) if longest >= MAX_STRING => format!(
                "an argument has {longest} bytes, and the system takes no more than {}; \
                 read the item from the file in WORKITEM_ITEM_FILE instead",
                MAX_STRING - 1
            ),
            Some(Errno::TOOBIG) => "its arguments and environment together are more than the system takes; \
                 read the item from WORKITEM_ITEM or the file in WORKITEM_ITEM_FILE instead"
                .to_owned(),
            Some(Errno::NOENT) if !self.folder.is_dir() => {
                format!("there is no folder {}", self.folder.display())
            }
            _ => plain(error),
        }
    }
}

impl Agent for ProcessAgent {
    fn run(&self, task: &Task<'_>) -> Result<Ended, Fault> {
        if task.cancel.is_cancelled() {
            return Ok(Ended { how: How::Interrupted, output: AttemptOutput::default() });
        }
        let (child, _item_file) = match self.spawn(task) {
            Ok(started) => started,
            Err(NotStarted::Item(error)) => {
                let how = How::Failed { error, cause: Cause::NotStarted };
                return Ok(Ended { how, output: AttemptOutput::default() });
            }
            Err(NotStarted::System(error)) => return Err(Fault::System(error)),
        };
        let capture = |stream| {
            let name = BlobName { job: task.job_id, seq: task.seq, attempt: task.attempt, stream };
            Capture::new(task.blobs, name, self.output_limit)
        };
        let running = Running::new(child, capture(StreamKind::Stdout), capture(StreamKind::Stderr));
        let over = running.watch(task, self.grace)?;
        let how = outcome(task, &over);
        let output = AttemptOutput { stdout: over.stdout.finish()?, stderr: over.stderr.finish()? };
        Ok(Ended { how, output })
    }
}

/// Why a command did not start, for people.
enum NotStarted {
    /// The item or the command is at fault.
    Item(String),
    /// The system is: no other item would start either.
    System(String),
}

/// Whether a command did not start because the system has no more processes, open files or memory.
fn is_want_of_room(error: &io::Error) -> bool {
    let wants = [Errno::MFILE, Errno::NFILE, Errno::AGAIN, Errno::NOMEM];
    Errno::from_io_error(error).is_some_and(|errno| wants.contains(&errno))
}

/// Ctrl-C and a closed terminal reach everybody in the foreground, an agent that has not left for a group of its own yet
/// among them. The orchestrator is told with it: within this time, if that is how the agent ended.
const SAME_SIGNAL: Duration = Duration::from_millis(500);

fn is_of_the_terminal(status: ExitStatus) -> bool {
    let of_the_terminal = [Signal::INT, Signal::HUP].map(Signal::as_raw);
    status.signal().is_some_and(|signal| of_the_terminal.contains(&signal))
}

fn outcome(task: &Task<'_>, over: &Over<'_>) -> How {
    let is_success = over.status.is_some_and(|status| status.success());
    let (cause, error) = match (over.stop, over.status) {
        (None | Some(Stop::Cancelled), _) if is_success => {
            let result = AgentResult::success(task.item.to_string(), None, task.started.elapsed());
            return How::Completed(Box::new(result));
        }
        (Some(Stop::Cancelled), _) => return How::Interrupted,
        (None, Some(status)) if is_of_the_terminal(status) && task.cancel.wait_timeout(SAME_SIGNAL) => {
            return How::Interrupted;
        }
        (Some(Stop::TimedOut), _) => {
            let limit = task.timeout.unwrap_or_default();
            (Cause::timed_out(limit), format!("timed out after {limit:?}"))
        }
        (None, Some(status)) => ending(status),
        (None, None) => (Cause::Error, "how the command ended is not known".to_owned()),
    };
    How::Failed { error: with_last_line(error, over.stderr.tail()), cause }
}
