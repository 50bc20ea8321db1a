//! Calls that fail: the n-th of a kind in each thread, once or from then on for ever, for every n until no thread makes
//! that many; by `strace`, which does not let the call happen.
//!
//! Agents are not spared, and an agent that cannot write has failed: that is the item's matter. Of files only those of the
//! store fail to open: without a library no program starts at all.

use std::fmt::Write;
use std::fs;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Instant;

use anyhow::Result;
use fastrand::Rng;

use super::Options;
use super::log::Log;
use super::words::{said, unclear};
use crate::Report;
use crate::each::each;
use crate::place::Place;
use crate::scene::{Act, Scene};
use crate::stage::end_processes;

/// A kind of call, and the errors that it may have.
struct Call {
    /// The system calls, as `strace` takes them.
    names: &'static str,
    /// In which files.
    of: Files,
    errors: &'static [&'static str],
    /// What an error that is due to it names, one of these.
    places: &'static [&'static str],
}

/// In which files a call fails. Where it does so in any, the thread that writes to the store comes first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Files {
    Any,
    Store,
    Outputs,
}

const MEDIUM: &[&str] = &["EIO", "ENOSPC"];
/// The store's file; what stands beside it has its name.
const STORE: &[&str] = &["workitem.db", "standard output"];

const CALLS: [Call; 12] = [
    Call::of_files("pwrite64"),
    Call::of_files("write"),
    Call { of: Files::Outputs, ..Call::of_files("write") },
    Call::of_files("fsync"),
    Call { of: Files::Outputs, ..Call::of_files("fsync") },
    Call::of_files("fdatasync"),
    Call::of_files("ftruncate"),
    Call::of_files("unlink"),
    Call::of_files("rename"),
    Call::of_files("mkdir"),
    Call { of: Files::Store, errors: &["EIO", "ENOSPC", "EMFILE"], ..Call::of_files("openat") },
    Call {
        names: "clone,clone3,vfork,fork",
        of: Files::Any,
        errors: &["EAGAIN"],
        places: &["thread", "agent", "process", "signals", "`sh`"],
    },
];

impl Call {
    const fn of_files(names: &'static str) -> Self {
        Self { names, of: Files::Any, errors: MEDIUM, places: STORE }
    }

    fn told(&self) -> String {
        let of = match self.of {
            Files::Any => "",
            Files::Store => " in the store",
            Files::Outputs => " of long output",
        };
        self.names.replace(',', ", ") + of
    }
}

/// So many runs in a row must get away before no higher n is tried: threads share their work differently each time.
const SPARED: u32 = 2;
/// No job of a scene has an item with a higher number.
const MOST_ITEMS: usize = 20;

/// One kind of call in one act, and how it fails.
#[derive(Clone, Copy)]
struct Chain {
    seed: u64,
    act: Act,
    call: usize,
    error: &'static str,
    for_ever: bool,
}

/// What became of the runs in which a call has failed.
#[derive(Default, Clone, Copy)]
struct Tally {
    tried: u64,
    /// It ended with an error.
    stopped: u64,
}

#[derive(Default)]
struct Tallies {
    cells: [[Tally; Act::ALL.len()]; CALLS.len()],
    found: u64,
}

/// What the calls are called.
pub fn names() -> impl Iterator<Item = String> {
    CALLS.iter().map(Call::told)
}

/// Lets all calls fail, one after the other.
pub fn run(options: &Options) -> Result<Report> {
    let started = Instant::now();
    let seed = options.scenes.seed;
    eprintln!("errors: seed {seed}");
    let mut chains = all(seed);
    if !options.scenes.is_full {
        share(&mut chains, &mut Rng::with_seed(seed));
    }
    if let Some(only) = &options.scenes.only {
        chains.retain(|chain| CALLS[chain.call].told() == *only);
    }
    let tallies = Mutex::new(Tallies::default());
    each(&chains, options.at_once, |chain| chain.run(options, &tallies))?;
    let tallies = tallies.into_inner().unwrap_or_else(PoisonError::into_inner);
    let seconds = started.elapsed().as_secs_f64();
    let ran = tallies.cells.iter().flatten().map(|cell| cell.tried).sum();
    eprintln!("errors: {ran} calls failed in {seconds:.0} s");
    Ok(Report {
        torture: "errors".to_owned(),
        ran,
        found: tallies.found,
        seed,
        seconds,
        text: text(&tallies, options),
    })
}

fn all(seed: u64) -> Vec<Chain> {
    let mut chains = Vec::new();
    for (call, kind) in CALLS.iter().enumerate() {
        for act in Act::ALL {
            for error in kind.errors {
                let chain = |for_ever| Chain { seed, act, call, error, for_ever };
                chains.extend([false, true].map(chain));
            }
        }
    }
    chains
}

/// Leaves one chain of each call.
fn share(chains: &mut Vec<Chain>, rng: &mut Rng) {
    rng.shuffle(chains);
    // In the other acts little is written.
    chains.retain(|chain| matches!(chain.act, Act::Map | Act::Resume));
    chains.sort_by_key(|chain| chain.call);
    chains.dedup_by_key(|chain| chain.call);
}

impl Chain {
    /// One n after the other.
    fn run(self, options: &Options, tallies: &Mutex<Tallies>) -> Result<()> {
        let (mut n, mut spared) = (1, 0);
        while spared < SPARED {
            let (failed, stopped, wrong) = self.point(options, n)?;
            spared = if failed { 0 } else { spared + 1 };
            let mut tallies = tallies.lock().unwrap_or_else(PoisonError::into_inner);
            if failed {
                let cell = &mut tallies.cells[self.call][self.act as usize];
                cell.tried += 1;
                cell.stopped += u64::from(stopped);
            }
            if let Some(wrong) = wrong {
                tallies.found += 1;
                eprintln!("errors: `{}`, {}: {wrong}", self.act.name(), self.what(n));
                let call = CALLS[self.call].told();
                eprintln!("errors: again: cargo xtask torture errors --seed {} --only '{call}'", self.seed);
            }
            n += options.every;
        }
        Ok(())
    }

    /// As `strace` takes it.
    fn what(self, n: u64) -> String {
        let (names, error) = (CALLS[self.call].names, self.error);
        format!("inject={names}:error={error}:when={n}{}", if self.for_ever { "+" } else { "" })
    }

    /// Whether a call has failed, whether the run ended with an error, and what was wrong.
    fn point(self, options: &Options, n: u64) -> Result<(bool, bool, Option<String>)> {
        let (program, folder) = (&options.scenes.program, options.scenes.folder.as_deref());
        let mut scene = Scene::new(program, folder, self.act, self.seed)?;
        let log = scene.place().path().join("strace");
        let words = self.strace(&scene, n);
        let ended = match scene.act(&words.iter().map(String::as_str).collect::<Vec<_>>()) {
            Ok(ended) => ended,
            Err(error) => {
                // It hangs.
                end_processes(scene.place().path());
                scene.wrong(format!("{error:#}"));
                return Ok((true, true, scene.judge()));
            }
        };
        let log = Log::read(&String::from_utf8_lossy(&fs::read(log)?));
        scene.expect(&ended, &[0, 3, 4, 5]);
        scene.check_end(&ended)?;
        scene.unsynced(&log.unsynced)?;
        if log.names_unsynced && ended.code != 5 {
            scene.wrong(format!("a folder could not be synced, and it ended with {}", ended.code));
        }
        // If it cannot write, it cannot say so.
        let is_mute = CALLS[self.call].names == "write" && said(&ended.stderr).is_none();
        if !is_mute && let Some(unclear) = unclear(&ended, CALLS[self.call].places) {
            scene.wrong(unclear);
        }
        scene.finish()?;
        Ok((log.failed > 0, matches!(ended.code, 4 | 5), scene.judge()))
    }

    /// `strace` that lets the call fail.
    fn strace(self, scene: &Scene, n: u64) -> Vec<String> {
        let names = CALLS[self.call].names;
        let log = scene.place().path().join("strace").display().to_string();
        let mut words = ["strace", "-f", "-y", "-qqq", "-o", &log, "-e", names, "-e", &self.what(n)]
            .map(str::to_owned)
            .to_vec();
        let files = files(scene.place(), CALLS[self.call].of);
        words.extend(files.into_iter().flat_map(|file| ["-P".to_owned(), file]));
        words
    }
}

/// Those files, as the program may name them; none stands for any.
fn files(place: &Place, of: Files) -> Vec<String> {
    let (store, mut files) = (place.store().display().to_string(), Vec::new());
    let beside: &[&str] = match of {
        Files::Any => return files,
        Files::Store => &["", "-wal", "-shm", "-journal", ".locks", ".locks/1", ".output", ".output/1"],
        Files::Outputs => &[".output", ".output/1"],
    };
    if of == Files::Store {
        files.push(".workitem/workitem.db".to_owned());
    }
    files.extend(beside.iter().map(|beside| store.clone() + beside));
    for item in 1..=MOST_ITEMS {
        files.extend([1, 2].map(|attempt| format!("{store}.output/1/{item}-{attempt}.stdout")));
    }
    files
}

fn text(tallies: &Tallies, options: &Options) -> String {
    let which = if options.every == 1 { String::new() } else { format!(" (of every {} one)", options.every) };
    let mut text = format!(
        "The n-th system call of a kind fails in each thread{which}, by `strace`: once, or from then on for ever; with EIO or \
         ENOSPC, opening with EMFILE too, starting a process or a thread with EAGAIN. That many were tried, and in brackets \
         how many of them ended the run with an error; in the others it went on. Then `resume`, or the same \
         command.\n\n| | "
    );
    text.push_str(&Act::ALL.map(|act| format!("`{}`", act.name())).join(" | "));
    text.push_str(" |\n|---|");
    text.push_str(&"---|".repeat(Act::ALL.len()));
    text.push('\n');
    let was_tried = |cells: &[Tally]| cells.iter().any(|cell| cell.tried > 0);
    for (call, cells) in CALLS.iter().zip(&tallies.cells).filter(|(_, cells)| was_tried(*cells)) {
        let cells = Act::ALL.map(|act| {
            let Tally { tried, stopped } = cells[act as usize];
            if tried == 0 { "–".to_owned() } else { format!("{tried} ({stopped})") }
        });
        let _ = writeln!(text, "| {} | {} |", call.told(), cells.join(" | "));
    }
    text
}
