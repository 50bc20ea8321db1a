//! What goes wrong, as people read it: what happened, to which item or file, and what to do next.

use std::fmt;
use std::io;

use serde_json::{Value, json};
use workitem_orchestrator::RunError;
use workitem_store::StoreError;

use crate::exit::Exit;
use crate::input::InputError;
use crate::place::scheme;
use crate::text::quoted;

/// An error that ends the program.
#[derive(Debug)]
pub struct Error {
    /// The exit code.
    pub exit: Exit,
    what: String,
    next: Option<String>,
    is_unread: bool,
    may_pass: bool,
}

impl Error {
    /// The command line or the input makes no sense.
    pub fn usage(what: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, what: what.into(), next: None, is_unread: false, may_pass: false }
    }

    /// The job can be resumed.
    pub fn interrupted(what: impl Into<String>) -> Self {
        Self { exit: Exit::Interrupted, what: what.into(), next: None, is_unread: false, may_pass: false }
    }

    /// The job was cancelled.
    pub fn cancelled(what: impl Into<String>) -> Self {
        Self { exit: Exit::DeadLetters, what: what.into(), next: None, is_unread: false, may_pass: false }
    }

    /// The store or the system failed.
    pub fn system(what: impl Into<String>) -> Self {
        Self { exit: Exit::Store, what: what.into(), next: None, is_unread: false, may_pass: false }
    }

    /// The system has no room for more of what this process needs.
    pub fn limits(what: impl Into<String>) -> Self {
        Self::system(what)
            .next("raise the limits (`ulimit -n`, `ulimit -u`) or lower -j, then do the same again")
    }

    /// Says what to do next.
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// Standard output could not be written to.
    pub fn output(error: &io::Error) -> Self {
        let is_unread = error.kind() == io::ErrorKind::BrokenPipe;
        let failed = Self::system(format!("failed to write to standard output: {error}"));
        Self {
            is_unread,
            ..failed.next("make room where it goes; `workitem output` prints what was recorded")
        }
    }

    /// Standard output was not read until the end.
    pub fn unread() -> Self {
        Self { is_unread: true, ..Self::system("standard output was not read until its end") }
    }

    /// Whether standard output was closed by who read it, or not read any more: that is no failure.
    pub const fn is_unread(&self) -> bool {
        self.is_unread
    }

    /// What happened, without what to do.
    pub fn what(self) -> String {
        self.what
    }

    /// Whether it may be over by the next time, without anybody doing anything about it here.
    pub const fn may_pass(&self) -> bool {
        self.may_pass
    }

    /// The error as an event: `--json`.
    pub fn to_json(&self) -> Value {
        json!({ "event": "error", "exit": self.exit as u8, "error": self.what, "next": self.next })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        self.next.as_ref().map_or(Ok(()), |next| write!(f, "\n  {next}"))
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let what = error.to_string();
        match error {
            StoreError::Busy { .. } => Self { exit: Exit::Busy, ..Self::system(what) }
                .next("wait for it, stop it with Ctrl-C, or use another --job name"),
            StoreError::NoStore { .. } => {
                Self::usage(what).next("`workitem map` makes one; --store or WORKITEM_STORE names another")
            }
            StoreError::BadAddress { .. } => {
                Self::usage(what).next("mend what it names, or --store or WORKITEM_STORE")
            }
            StoreError::NoJob { .. } => Self::usage(what).next("`workitem jobs` lists them"),
            StoreError::NoItem { job, .. } => {
                Self::usage(what).next(format!("`workitem items {}` lists them", quoted(&job)))
            }
            StoreError::JobExists { .. } => Self::usage(what).next("use another --job name"),
            StoreError::Submitting { .. } => Self::usage(what).next("wait until its input is stored"),
            StoreError::Conflict { .. } | StoreError::BadItem { .. } | StoreError::Sealed { .. } => {
                Self::usage(what)
            }
            StoreError::NewerSchema { .. } => Self::system(what),
            StoreError::Damaged { .. } => {
                Self::system(what).next("restore the file from a backup, or use another --store")
            }
            StoreError::Engine { store, .. } => {
                let mend = match scheme(&store) {
                    Some(_) => {
                        "see that the server answers and takes what --store says, then do the same again"
                    }
                    None => "make room, mend the medium or use another --store, then `workitem resume`",
                };
                Self { may_pass: true, ..Self::system(what) }
                    .next(format!("{mend}: what was reported done stays done"))
            }
            StoreError::Fenced { .. } => Self::system(what),
            _ => Self::system(what),
        }
    }
}

impl From<InputError> for Error {
    fn from(error: InputError) -> Self {
        Self::usage(error.to_string()).next("mend the input or its options; nothing was run")
    }
}

impl From<RunError> for Error {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Store(error) => error.into(),
            RunError::Submitting { .. } => Self::interrupted(error.to_string())
                .next("its input was not stored completely: run the same `workitem map` again"),
            RunError::System(_) => Self::system(error.to_string())
                .next("raise the limits (`ulimit -n`, `ulimit -u`) or lower -j, then `workitem resume`"),
            RunError::Orphans(_) => {
                Self::system(error.to_string()).next("end them yourself, then `workitem resume`")
            }
            other => Self::system(other.to_string()),
        }
    }
}
