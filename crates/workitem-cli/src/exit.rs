//! Exit codes. They are part of the interface: scripts branch on them.

use std::process::ExitCode;

/// How the program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Every item is completed, or the question was answered.
    Ok = 0,
    /// The command line or the input makes no sense. Nothing was run.
    Usage = 2,
    /// Some items are dead-lettered, or the job was cancelled.
    DeadLetters = 3,
    /// The job is not finished and can be resumed.
    Interrupted = 4,
    /// The store failed, or `verify` or `doctor` found something wrong.
    Store = 5,
    /// Another process runs the job.
    Busy = 6,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        (exit as u8).into()
    }
}
