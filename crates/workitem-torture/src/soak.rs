//! A long life: jobs of all kinds, over and over against one store, beside an orchestrator that goes on for long.
//!
//! The time is divided into epochs. In each a *long* job is run by one process, which others feed; beside it *side* jobs
//! come and go, and are killed, paused, cancelled, mended and removed. At the end of an epoch everything is removed. What
//! the long run takes - memory, threads, open files - must not grow within an epoch, and the store's folder not from one
//! epoch to the next: a line is fitted to the samples, and what is there when nothing runs is compared.

mod epoch;
mod samples;
mod side;

use std::fmt::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;
use fastrand::Rng;

use crate::Report;
use crate::place::{Place, tail};
use crate::processes::{Usage, bytes_below};
use crate::stage::end_processes;
use epoch::Epoch;

/// Most minutes of an epoch: what grows has shown itself by then, and room that a job takes is given back.
const EPOCH: f64 = 5.0;
/// Bytes that the store's folder may have more at the end of an epoch than at the end of the first.
const ROOM: u64 = 1 << 20;

/// How to torture.
#[derive(Debug, Clone)]
pub struct Options {
    /// The program.
    pub program: PathBuf,
    /// Where random choices begin.
    pub seed: u64,
    /// How long; two epochs at least.
    pub minutes: f64,
    /// Where the store is made, and the samples are left; where temporary files are, if nothing is said.
    pub folder: Option<PathBuf>,
}

/// What an epoch came to.
#[derive(Debug, Default)]
struct Outcome {
    wrong: Vec<String>,
    /// Agents of the long job that started.
    attempts: u64,
    /// Side jobs, and how often one of their runs was killed.
    jobs: u64,
    kills: u64,
    /// The long run with nothing to do, before and after.
    idle: [Usage; 2],
    /// What the fitted lines say it grew by in the epoch: KiB of memory, threads, open files.
    grown: [f64; 3],
    /// Most bytes of the store's folder.
    most: u64,
    /// Bytes of it when everything is removed.
    left: u64,
}

/// Lives for so long.
///
/// # Errors
///
/// If something cannot be started or looked at. What is found is no error but a part of the report.
pub fn run(options: &Options) -> Result<Report> {
    let started = Instant::now();
    eprintln!("soak: seed {}", options.seed);
    let epochs = (options.minutes / EPOCH).ceil().max(2.0);
    let length = Duration::from_secs_f64(options.minutes * 60.0 / epochs);
    let place = Place::new(&options.program, options.folder.as_deref())?;
    let folder = options.folder.clone().unwrap_or_else(std::env::temp_dir);
    let samples = folder.join(format!("workitem-soak-{}.tsv", options.seed));
    let mut rng = Rng::with_seed(options.seed);
    let mut outcomes: Vec<Outcome> = Vec::new();
    let mut n = 0;
    while f64::from(n) < epochs && outcomes.iter().all(|outcome| outcome.wrong.is_empty()) {
        let mut outcome = Epoch::new(&place, n, length, rng.fork(), &samples).live();
        outcome.left = bytes_below(&place.file(".workitem"));
        if let Some(first) = outcomes.first().map(|first| first.left)
            && outcome.left > first + ROOM
        {
            outcome.wrong.push(format!("the store's folder grows: {first} bytes, now {}", outcome.left));
        }
        let Outcome { attempts, jobs, kills, grown, left, .. } = &outcome;
        eprintln!(
            "soak: epoch {n}: {attempts} attempts, {jobs} jobs beside, {kills} kills, grown {grown:.1?}, {left} bytes left"
        );
        outcomes.push(outcome);
        n += 1;
    }
    let left = end_processes(place.path());
    let wrong: Vec<String> = outcomes.iter().flat_map(|outcome| outcome.wrong.iter().cloned()).collect();
    let wrong = wrong.into_iter().chain(left.into_iter().map(|left| format!("a process is left: {left}")));
    let mut found = 0;
    for what in wrong {
        eprintln!("soak: {}", tail(&what));
        found += 1;
    }
    if found > 0 {
        let (kept, samples) = (place.keep(), samples.display());
        eprintln!(
            "soak: look at {} and {samples}; again: cargo xtask torture soak --seed {}",
            kept.display(),
            options.seed
        );
    }
    let ran = outcomes.iter().map(|outcome| outcome.attempts).sum();
    let seconds = started.elapsed().as_secs_f64();
    Ok(Report {
        torture: "soak".to_owned(),
        ran,
        found,
        seed: options.seed,
        seconds,
        text: text(&outcomes, length),
    })
}

fn text(outcomes: &[Outcome], length: Duration) -> String {
    let [jobs, kills] = [|outcome: &Outcome| outcome.jobs, |outcome: &Outcome| outcome.kills]
        .map(|of| outcomes.iter().map(of).sum::<u64>());
    let mut text = format!(
        "{} epochs of {:.1} minutes against one store: a long run that others feed (what ran are its attempts: short and \
         long ones, failing, tried again, with large outputs, leaving children), and beside it {jobs} jobs that were killed \
         {kills} times, added to, paused, cancelled, resumed, mended and removed. Memory, threads and open files are those \
         of the long run with nothing to do, before and after; behind them, what the lines fitted to the samples of the \
         epoch say that it grew by. The last column is the store's folder when everything is removed.\n\n\
         | attempts | memory KiB | threads | open files | folder at most | folder in the end |\n|---|---|---|---|---|---|\n",
        outcomes.len(),
        length.as_secs_f64() / 60.0,
    );
    for Outcome { attempts, idle: [before, after], grown, most, left, .. } in outcomes {
        let _ = writeln!(
            text,
            "| {attempts} | {} → {} ({:+.0}) | {} → {} ({:+.1}) | {} → {} ({:+.1}) | {} KiB | {} KiB |",
            before.memory,
            after.memory,
            grown[0],
            before.threads,
            after.threads,
            grown[1],
            before.files,
            after.files,
            grown[2],
            most >> 10,
            left >> 10,
        );
    }
    text
}
