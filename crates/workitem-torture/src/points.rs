//! Crash points: the program dies at its n-th system call of a kind that changes a file, for every n until a run
//! survives. The call itself does not happen any more. Then the checker looks, a clean run goes on, and it looks again.
//!
//! Unlike a random moment, this leaves no place between two writes untried.

use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::Result;

use crate::Report;
use crate::checker::Moment;
use crate::each::each;
use crate::scene::{Act, Scene, strace};

/// What changes a file or makes it durable. SQLite writes with `pwrite64`; files of long output and locks with `write`.
const CALLS: [&str; 8] =
    ["pwrite64", "write", "fsync", "fdatasync", "ftruncate", "unlink", "rename", "mkdir"];
/// So many runs in a row must survive before no higher n is tried: threads share their work differently each time.
const SURVIVORS: u32 = 2;

/// How to torture.
#[derive(Debug, Clone)]
pub struct Options {
    /// The program.
    pub program: PathBuf,
    /// Different jobs.
    pub rounds: u64,
    /// Only every so manieth n.
    pub every: u64,
    /// The seed of the first job; the others follow.
    pub seed: u64,
    /// What the program is doing when it dies.
    pub acts: Vec<Act>,
    /// Jobs that are tried at the same time.
    pub at_once: usize,
    /// Where stores are made; where temporary files are, if nothing is said.
    pub folder: Option<PathBuf>,
}

/// A kind of system call, in one act of one job.
#[derive(Clone, Copy)]
struct Chain {
    seed: u64,
    act: Act,
    call: usize,
}

/// Points of each call and act.
type Points = [[u64; Act::ALL.len()]; CALLS.len()];

/// Tries every point.
///
/// # Errors
///
/// If something cannot be started or looked at. What is found is no error but a part of the report.
pub fn run(options: &Options) -> Result<Report> {
    let started = Instant::now();
    eprintln!("points: seed {}", options.seed);
    let mut chains = Vec::new();
    for call in 0..CALLS.len() {
        for round in 0..options.rounds {
            let seed = options.seed.wrapping_add(round);
            chains.extend(options.acts.iter().map(|act| Chain { seed, act: *act, call }));
        }
    }
    let (found, points) = (AtomicU64::new(0), Mutex::new(Points::default()));
    each(&chains, options.at_once, |chain| {
        let (tried, wrong) = chain.run(options)?;
        found.fetch_add(wrong, Ordering::Relaxed);
        let mut points = points.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        points[chain.call][chain.act as usize] += tried;
        Ok(())
    })?;
    let points = points.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    Ok(Report {
        torture: "points".to_owned(),
        ran: points.iter().flatten().sum(),
        found: found.into_inner(),
        seed: options.seed,
        seconds: started.elapsed().as_secs_f64(),
        text: text(options, &points),
    })
}

impl Chain {
    /// One n after the other; how many of them killed, and how often something was wrong.
    fn run(self, options: &Options) -> Result<(u64, u64)> {
        let (mut n, mut points, mut found, mut survived) = (1, 0, 0, 0);
        while survived < SURVIVORS {
            let (was_killed, wrong) = self.point(options, n)?;
            points += u64::from(was_killed);
            survived = if was_killed { 0 } else { survived + 1 };
            if let Some(wrong) = wrong {
                found += 1;
                eprintln!("points: `{}` dies at {} {n}: {wrong}", self.act.name(), CALLS[self.call]);
                eprintln!("points: again: cargo xtask torture points --rounds 1 --seed {}", self.seed);
            }
            n += options.every;
        }
        Ok((points, found))
    }

    fn point(self, options: &Options, n: u64) -> Result<(bool, Option<String>)> {
        let mut scene = Scene::new(&options.program, options.folder.as_deref(), self.act, self.seed)?;
        let inject = format!("inject={}:signal=KILL:when={n}", CALLS[self.call]);
        let ended = scene.act(&strace(&inject))?;
        scene.expect(&ended, &[-9, 0, 3]);
        scene.check(Moment::Cut)?;
        scene.finish()?;
        Ok((ended.is_killed(), scene.judge()))
    }
}

fn text(options: &Options, points: &Points) -> String {
    let mut text = format!(
        "Death at the n-th system call of a kind, for every n until a run survives ({} jobs, two to five agents at a time), \
         by `strace`; then `resume`, or the same `map`.\n\n| | ",
        options.rounds
    );
    text.push_str(&Act::ALL.map(|act| format!("`{}`", act.name())).join(" | "));
    text.push_str(" |\n|---|");
    text.push_str(&"---|".repeat(Act::ALL.len()));
    text.push('\n');
    for (call, points) in CALLS.iter().zip(points).filter(|(_, points)| points.iter().any(|n| *n > 0)) {
        let cells = Act::ALL.map(|act| points[act as usize].to_string());
        let _ = writeln!(text, "| {call} | {} |", cells.join(" | "));
    }
    text
}
