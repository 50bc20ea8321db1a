//! One epoch: a long run from its start to the removal of its job, with others beside it.

use std::path::Path;
use std::sync::Mutex;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use fastrand::Rng;
use workitem_sqlite::SqliteStore;
use workitem_store::Store;

use super::Outcome;
use super::samples::{Samples, judged};
use super::side::{AGENT, Side, item};
use crate::checker::{Acknowledged, Moment, check_job};
use crate::place::{Ended, Place, Run};
use crate::processes::{MARK, Usage, bytes_below, usage};
use crate::stage::{PATIENCE, eventually, lines_of};

/// How much more of threads and open files the long run may have when it has nothing to do again.
const IDLE: u64 = 2;

pub struct Epoch<'a> {
    place: &'a Place,
    n: u32,
    length: Duration,
    rng: Rng,
    samples: &'a Path,
    job: String,
}

impl<'a> Epoch<'a> {
    pub fn new(place: &'a Place, n: u32, length: Duration, rng: Rng, samples: &'a Path) -> Self {
        Self { place, n, length, rng, samples, job: format!("long-{n}") }
    }

    /// Lives to its end. What kept it from that is among what was wrong.
    pub fn live(mut self) -> Outcome {
        let mut outcome = Outcome::default();
        if let Err(error) = self.lives(&mut outcome) {
            outcome.wrong.push(format!("{error:#}"));
        }
        outcome
    }

    fn lives(&mut self, outcome: &mut Outcome) -> Result<()> {
        let over = Instant::now() + self.length;
        // A run that waits for its first items: one agent stays until the epoch is over.
        let run = self.start_long()?;
        let starts = format!("started.{}", self.job);
        eventually("the long run is at it", || self.place.file(&starts).exists())?;
        sleep(Duration::from_millis(300));
        outcome.idle[0] = usage_of(&run)?;
        let [feeds, beside, more] = [self.rng.fork(), self.rng.fork(), self.rng.fork()];
        let (shared, this) = (Mutex::new(&mut *outcome), &*self);
        let samples = thread::scope(|scope| {
            let sides = [beside, more].into_iter().enumerate().map(|(i, rng)| {
                let shared = &shared;
                scope.spawn(move || this.side_jobs(i, rng, over, shared))
            });
            let sides: Vec<_> = sides.collect();
            let feeder = scope.spawn(|| this.feed(feeds, over));
            let samples = this.watch(&run, over);
            let mut ended = vec![feeder.join().map_err(|_| anyhow!("a thread panicked"))?];
            for side in sides {
                ended.push(side.join().map_err(|_| anyhow!("a thread panicked"))?);
            }
            ended.into_iter().collect::<Result<Vec<()>>>()?;
            samples
        })?;
        outcome.idle[1] = self.idle_again(&run)?;
        outcome.grown = samples.grown();
        outcome.most = samples.most();
        samples.write(self.samples, self.n)?;
        let [before, after] = outcome.idle;
        if after.threads > before.threads + IDLE || after.files > before.files + IDLE {
            outcome.wrong.push(format!("with nothing to do the long run had {before:?}, and has {after:?}"));
        }
        outcome.wrong.extend(judged(outcome.grown));
        self.end(run, outcome)
    }

    fn start_long(&self) -> Result<Run> {
        let map = [
            "map",
            "--job",
            &self.job,
            "--json",
            "-j",
            "4",
            "--max-attempts",
            "2",
            "--backoff",
            "10ms..50ms",
        ];
        let agent = ["--", "sh", "-c", AGENT, "agent", "{}"];
        let input = self.place.write(&format!("input.{}", self.job), "stay\n")?;
        let mut command = self.place.command(&[], &[&map[..], &agent].concat());
        command.env(MARK, self.place.path());
        self.place.start(command, Some(&input))
    }

    /// Adds items to the long job until the epoch is over.
    fn feed(&self, mut rng: Rng, over: Instant) -> Result<()> {
        while Instant::now() < over {
            let items: String = (0..rng.usize(1..8)).map(|_| item(&mut rng)).collect();
            self.asks(&["add", &self.job, "-q"], &items)?;
            // As fast as they are run and no faster.
            while Instant::now() < over && self.pending()? > 40 {
                sleep(Duration::from_millis(50));
            }
            sleep(Duration::from_millis(rng.u64(10..200)));
        }
        Ok(())
    }

    /// One side job after the other.
    fn side_jobs(&self, i: usize, mut rng: Rng, over: Instant, outcome: &Mutex<&mut Outcome>) -> Result<()> {
        let mut n = 0;
        while Instant::now() < over {
            let name = format!("side-{}-{i}-{n}", self.n);
            let (wrong, kills) = Side::new(self.place, name, rng.fork()).live();
            let mut outcome = outcome.lock().map_err(|_| anyhow!("a thread panicked"))?;
            outcome.jobs += 1;
            outcome.kills += kills;
            outcome.wrong.extend(wrong);
            if !outcome.wrong.is_empty() {
                break;
            }
            n += 1;
        }
        Ok(())
    }

    /// Looks at the long run now and then.
    fn watch(&self, run: &Run, over: Instant) -> Result<Samples> {
        let (mut samples, begun) = (Samples::default(), Instant::now());
        let every = (self.length / 200).max(Duration::from_millis(50));
        while Instant::now() < over {
            let disk = bytes_below(&self.place.file(".workitem"));
            samples.add(begun.elapsed(), usage_of(run)?, disk);
            sleep(every);
        }
        Ok(samples)
    }

    /// What the long run takes once all that it was given is done.
    fn idle_again(&self, run: &Run) -> Result<Usage> {
        let deadline = Instant::now() + 2 * PATIENCE;
        while self.pending()? > 0 || self.store()?.counts(self.id()?)?.by_status.in_progress > 1 {
            if Instant::now() > deadline {
                bail!("the long run does not end what it was given");
            }
            sleep(Duration::from_millis(50));
        }
        sleep(Duration::from_millis(300));
        usage_of(run)
    }

    /// Ends the long run, mends what failed, and removes everything.
    fn end(&self, run: Run, outcome: &mut Outcome) -> Result<()> {
        for file in ["over", "mended"] {
            self.place.write(&format!("{file}.{}", self.job), "")?;
        }
        let ended = run.wait()?;
        outcome.attempts = lines_of(&self.place.file(format!("started.{}", self.job)))? as u64;
        if ![0, 3].contains(&ended.code) || ended.stderr.contains("panicked") {
            outcome.wrong.push(format!("the long run exited with {}: {}", ended.code, ended.stderr));
        }
        self.asks(&["dlq", "retry", &self.job, "-q"], "")?;
        let nothing = Acknowledged::default();
        let broken = check_job(&self.store()?, &self.job, &nothing, Moment::Finished)?;
        outcome.wrong.extend(broken.iter().map(ToString::to_string));
        self.asks(&["gc", &self.job], "")?;
        self.asks(&["gc"], "")?;
        let jobs = self.store()?.jobs()?;
        if !jobs.is_empty() && outcome.wrong.is_empty() {
            outcome.wrong.push(format!("jobs are left after a clean `gc`: {jobs:?}"));
        }
        let output = bytes_below(&self.place.file(".workitem/workitem.db.output"));
        if output > 0 && outcome.wrong.is_empty() {
            outcome.wrong.push(format!("{output} bytes of output are left after a clean `gc`, and no job"));
        }
        Ok(())
    }

    /// A command that is to succeed.
    fn asks(&self, arguments: &[&str], input: &str) -> Result<Ended> {
        let file = self.place.write(&format!("asked.{}", self.job), input)?;
        let mut command = self.place.command(&[], arguments);
        command.env(MARK, self.place.path());
        let ended = self.place.start(command, Some(&file))?.wait()?;
        anyhow::ensure!(ended.code == 0, "`{}` exited with {}: {}", ended.what, ended.code, ended.stderr);
        Ok(ended)
    }

    fn pending(&self) -> Result<usize> {
        Ok(self.store()?.counts(self.id()?)?.by_status.pending)
    }

    fn id(&self) -> Result<workitem_store::JobId> {
        Ok(self.store()?.job(&self.job)?.id)
    }

    fn store(&self) -> Result<SqliteStore> {
        Ok(SqliteStore::open(&self.place.store())?)
    }
}

fn usage_of(run: &Run) -> Result<Usage> {
    usage(run.id()).with_context(|| format!("the long run has ended: {}", run.said()))
}
