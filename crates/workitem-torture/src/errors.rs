//! I/O errors: calls that fail once or from then on for ever, disks that fill up or can only be read any more, and limits
//! of files, descriptors and processes.
//!
//! Whatever fails, the program says what happened and where, exits with a code that it documents, and never panics or
//! hangs. What it had acknowledged by then is there, what it could not make durable it has told nobody; and once the
//! obstacle is gone, a clean run settles every item.

mod disks;
mod injected;
mod limits;
mod log;
mod mount;
mod words;

use anyhow::Result;

use crate::Report;
use crate::stage::{self, Scene};

const WHAT: &str = "Then scenes in which nothing is feigned. In each the store or what the program needs runs short in the \
                    middle of a run; the checker looks, there is room again, and the job must come to its end.";

const SCENES: &[Scene] = &[
    Scene {
        name: "full",
        what: "the disk with the store fills up, at several sizes; then it gets room",
        play: disks::full,
    },
    Scene {
        name: "full-output",
        what: "only the disk with long outputs fills up; then it gets room",
        play: disks::full_output,
    },
    Scene {
        name: "full-store",
        what: "the disk with the store fills up, long outputs have one of their own; then it gets room",
        play: disks::full_store,
    },
    Scene {
        name: "read-only",
        what: "the file system finds an error and can only be read from then on (ext4, `errors=remount-ro`); then it is mended",
        play: disks::read_only,
    },
    Scene {
        name: "descriptors",
        what: "no more open files than so many, from too few to start up to enough",
        play: limits::descriptors,
    },
    Scene {
        name: "file-size",
        what: "no file may grow beyond a limit, of several: the last write before it is short",
        play: limits::file_size,
    },
    Scene {
        name: "processes",
        what: "an ordinary user with no more processes and threads than so many, from one up to enough",
        play: limits::processes,
    },
];

/// How to torture.
#[derive(Debug, Clone)]
pub struct Options {
    /// How scenes are played. Its rounds are theirs; its seed is that of the job in which calls fail, too; and it may have
    /// the name of a call in the place of a scene's.
    pub scenes: stage::Options,
    /// Only every so manieth call fails.
    pub every: u64,
    /// Jobs in which calls fail at the same time.
    pub at_once: usize,
}

/// Lets every call fail, then plays all scenes.
///
/// # Errors
///
/// If something cannot be started or looked at. What is found is no error but a part of the report.
pub fn run(options: &Options) -> Result<Report> {
    match options.scenes.only.as_deref() {
        Some(only) if injected::names().any(|name| name == only) => return injected::run(options),
        Some(_) => return stage::run("errors", WHAT, SCENES, &options.scenes),
        None => {}
    }
    let points = injected::run(options)?;
    let scenes = stage::run("errors", WHAT, SCENES, &options.scenes)?;
    Ok(Report {
        ran: points.ran + scenes.ran,
        found: points.found + scenes.found,
        seconds: points.seconds + scenes.seconds,
        text: format!("{}\n{}", points.text, scenes.text),
        ..scenes
    })
}
