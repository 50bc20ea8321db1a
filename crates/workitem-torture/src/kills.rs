//! `kill -9` of the program at random moments, in everything that it does: submitting, running, resuming, adding, trying
//! dead letters again, removing jobs. After each kill the checker looks; at the end of each job a clean run settles every
//! item, the output is what the agents printed, and a clean `gc` leaves nothing.
//!
//! Two jobs share a store, so that each is killed beside another one that writes. A life of a job follows from its seed;
//! where within it a signal arrives, the machine decides.

mod life;
mod tally;

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use fastrand::Rng;

use crate::Report;
use crate::heard::big;
use crate::place::Place;
use life::Life;
use tally::Tally;

/// After so many stores it is told how far it is.
const TELL: u64 = 100;

/// How to torture.
#[derive(Debug, Clone)]
pub struct Options {
    /// The program.
    pub program: PathBuf,
    /// Kills, at least.
    pub kills: u64,
    /// Where random choices begin.
    pub seed: u64,
    /// Stores that are in use at the same time.
    pub stores: u64,
    /// Where stores are made; where temporary files are, if nothing is said.
    pub folder: Option<PathBuf>,
}

/// What all lives share.
struct Shared<'a> {
    options: &'a Options,
    /// How long a run of one item takes here: the measure of all moments.
    pace: Duration,
    next: AtomicU64,
    tally: Mutex<Tally>,
    found: AtomicU64,
}

/// Kills until there were enough kills.
///
/// # Errors
///
/// If something cannot be started or looked at. What is found is no error but a part of the report.
pub fn run(options: &Options) -> Result<Report> {
    let started = Instant::now();
    eprintln!("kills: seed {}", options.seed);
    let shared = Shared {
        options,
        pace: pace(options)?,
        next: AtomicU64::new(0),
        tally: Mutex::default(),
        found: AtomicU64::new(0),
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..options.stores).map(|_| scope.spawn(|| shared.work())).collect();
        let ended =
            workers.into_iter().map(|worker| worker.join().map_err(|_| anyhow!("a thread panicked"))?);
        ended.collect::<Result<Vec<()>>>()
    })?;
    let tally = shared.tally();
    Ok(Report {
        torture: "kills".to_owned(),
        ran: tally.kills(),
        found: shared.found.load(Ordering::Relaxed),
        seed: options.seed,
        seconds: started.elapsed().as_secs_f64(),
        text: tally.text(),
    })
}

/// How long it takes to make a store and run one item.
fn pace(options: &Options) -> Result<Duration> {
    let place = Place::new(&options.program, options.folder.as_deref())?;
    let input = place.write("input", "ok\n")?;
    let mut took = Vec::new();
    for n in 0..3 {
        let (started, job) = (Instant::now(), n.to_string());
        let map = ["map", "--job", &job, "-q", "--", "sh", "-c", "true"];
        place.start(place.command(&[], &map), Some(&input))?.wait()?;
        took.push(started.elapsed());
    }
    took.sort_unstable();
    Ok(took[1])
}

impl Shared<'_> {
    /// One store after the other.
    fn work(&self) -> Result<()> {
        while self.tally().kills() < self.options.kills && self.found.load(Ordering::Relaxed) == 0 {
            let n = self.next.fetch_add(1, Ordering::Relaxed);
            self.store(self.options.seed.wrapping_add(n))?;
            if n % TELL == TELL - 1 {
                eprintln!("kills: {} so far", self.tally().kills());
            }
        }
        Ok(())
    }

    /// A store, with two jobs that live beside each other.
    fn store(&self, seed: u64) -> Result<()> {
        let place = Place::new(&self.options.program, self.options.folder.as_deref())?;
        place.write("big", big())?;
        let live = |job: &'static str, rng: Rng| Life::new(self, &place, job, rng).live();
        let mut rng = Rng::with_seed(seed);
        let wrong = thread::scope(|scope| {
            let (one, other) = (rng.fork(), rng.fork());
            let other = scope.spawn(|| live("other", other));
            let one = live("one", one)?;
            let other = other.join().map_err(|_| anyhow!("a thread panicked"))??;
            anyhow::Ok([one, other].concat())
        })?;
        if wrong.is_empty() {
            return Ok(());
        }
        self.found.fetch_add(wrong.len() as u64, Ordering::Relaxed);
        let kept = place.keep();
        for what in wrong {
            eprintln!("kills: {what}");
        }
        eprintln!("kills: look at {}; again: cargo xtask torture kills --seed {seed}", kept.display());
        Ok(())
    }

    fn tally(&self) -> std::sync::MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
