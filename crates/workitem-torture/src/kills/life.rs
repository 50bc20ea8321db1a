//! The life of one job, from its first `map` to its `gc`, cut off again and again.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use fastrand::Rng;
use workitem_sqlite::SqliteStore;
use workitem_store::{Job, Store, StoreError};

use super::Shared;
use super::tally::{Left, Verb};
use crate::checker::{Moment, check_job};
use crate::heard::{AGENT, Heard, big};
use crate::place::{Ended, Place};

/// Items of a job that is only submitted: several batches.
const INTAKE: usize = 12_000;
/// How often a dead letter may need to be tried again by runs that nobody kills.
const RETRIES: usize = 5;

pub struct Life<'a> {
    shared: &'a Shared<'a>,
    place: &'a Place,
    job: &'static str,
    rng: Rng,
    heard: Heard,
    /// Items that it had.
    items: usize,
    /// Nothing is left to do, as far as a run has said.
    finished: bool,
    wrong: Vec<String>,
}

/// What is done to a run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Killed,
    LetBe,
}

impl<'a> Life<'a> {
    pub fn new(shared: &'a Shared<'a>, place: &'a Place, job: &'static str, rng: Rng) -> Self {
        Self {
            shared,
            place,
            job,
            rng,
            heard: Heard::default(),
            items: 0,
            finished: false,
            wrong: Vec::new(),
        }
    }

    /// Lives, and says what was wrong with that: nothing, if all is well.
    pub fn live(mut self) -> Result<Vec<String>> {
        let is_intake = self.rng.u8(..8) == 0;
        let lived = if is_intake { self.submitted() } else { self.worked() };
        let mut tally = self.shared.tally();
        tally.jobs += 1;
        tally.items += self.items as u64;
        tally.agents += self.heard.agents() as u64;
        drop(tally);
        match lived {
            Err(error) if self.wrong.is_empty() => {
                Err(error.context(format!("job `{}` in {}", self.job, self.place.path().display())))
            }
            Ok(()) | Err(_) => Ok(self.wrong),
        }
    }

    /// A job whose items come in several batches, and are never run.
    fn submitted(&mut self) -> Result<()> {
        let items: String = (0..INTAKE).map(|_| "ok\n").collect();
        let input = self.place.write(&format!("input.{}", self.job), items)?;
        let map = self.map(1, "1", "1000");
        for _ in 0..self.rng.usize(2..8) {
            self.step(Verb::Submit, &map, Some(&input), Fate::Killed)?;
            if self.heard.acknowledged.items.is_some() {
                break;
            }
        }
        self.removed(&["--unfinished", "--with-letters"])
    }

    /// A job that is run to its end.
    fn worked(&mut self) -> Result<()> {
        let items: String = (0..self.rng.usize(5..100)).map(|_| self.item()).collect();
        let input = self.place.write(&format!("input.{}", self.job), items)?;
        let crashes = if self.rng.u8(..8) == 0 { "2" } else { "1000" };
        let (parallel, attempts) = (self.rng.u8(1..=8), self.rng.u8(1..=3).to_string());
        let map = self.map(parallel, &attempts, crashes);
        while self.heard.acknowledged.items.is_none() {
            let fate = if self.rng.u8(..6) == 0 { Fate::LetBe } else { Fate::Killed };
            self.step(Verb::Submit, &map, Some(&input), fate)?;
        }
        for _ in 0..self.rng.usize(4..20) {
            match self.rng.u8(..10) {
                0 | 1 => self.add()?,
                2 => drop(self.step(Verb::Gc, &["gc".to_owned()], None, Fate::Killed)?),
                3 | 4 => drop(self.step(Verb::Map, &map, Some(&input), Fate::Killed)?),
                _ => self.resume(Fate::Killed)?,
            }
            if self.finished && self.rng.bool() {
                break;
            }
        }
        self.resume(Fate::LetBe)?;
        self.mended()?;
        self.printed()?;
        self.removed(&[])
    }

    /// Once nothing fails any more, every letter can be dealt with.
    fn mended(&mut self) -> Result<()> {
        self.place.write(&format!("mended.{}", self.job), "")?;
        let retry = ["dlq", "retry", self.job, "--json"].map(str::to_owned);
        for _ in 0..self.rng.usize(1..6) {
            if self.letters()? > 0 {
                self.step(Verb::Retry, &retry, None, Fate::Killed)?;
            }
        }
        for _ in 0..RETRIES {
            if self.letters()? > 0 {
                self.step(Verb::Retry, &retry, None, Fate::LetBe)?;
            }
        }
        self.resume(Fate::LetBe)?;
        let left = self.letters()?;
        if left > 0 {
            self.wrong(&format!("{left} dead letters are open, though nothing fails any more"));
        }
        Ok(())
    }

    /// What is kept of the output is what the agents have printed.
    fn printed(&mut self) -> Result<()> {
        let (store, output) = (self.store()?, self.place.command(&[], &["output", self.job]));
        let output = self.place.start(output, None)?.wait()?;
        let job = store.job(self.job)?;
        let mut expected = Vec::new();
        let all = workitem_store::ItemQuery { status: None, after: 0, limit: 1_000_000 };
        for item in store.items(job.id, &all)? {
            if self.heard.acknowledged.completed.contains(item.record.id.as_str()) {
                expected.extend_from_slice(format!("{} done\n", item.record.id).as_bytes());
                if store.payload(job.id, item.seq)?.to_value() == "big" {
                    expected.extend(big());
                }
            }
        }
        if output.code != 0 || output.stdout != expected {
            let (found, expected) = (output.stdout.len(), expected.len());
            self.wrong(&format!("the agents printed {expected} bytes, `output` prints others, {found}"));
        }
        Ok(())
    }

    /// Removes the job; nothing of it is left.
    fn removed(&mut self, flags: &[&str]) -> Result<()> {
        let id = self.found()?.map(|job| job.id);
        let gc: Vec<String> = ["gc", self.job].iter().chain(flags).map(ToString::to_string).collect();
        for _ in 0..self.rng.usize(1..4) {
            if self.found()?.is_some() {
                self.step(Verb::Gc, &gc, None, Fate::Killed)?;
            }
        }
        // With 6 the other job's `gc` just had this one's lock.
        while self.found()?.is_some() && self.step(Verb::Gc, &gc, None, Fate::LetBe)? == 6 {}
        self.step(Verb::Gc, &["gc".to_owned()], None, Fate::LetBe)?;
        if self.found()?.is_some() {
            self.wrong("it is still there after a clean `gc`");
        }
        let left = id.map(|id| self.place.file(format!(".workitem/workitem.db.output/{id}")));
        if let Some(left) = left.filter(|left| left.exists()) {
            self.wrong(&format!("{} is left after a clean `gc`", left.display()));
        }
        Ok(())
    }

    fn add(&mut self) -> Result<()> {
        let items: String = (0..self.rng.usize(1..5)).map(|_| self.item()).collect();
        let input = self.place.write(&format!("added.{}", self.job), items)?;
        self.finished = false;
        let add = ["add", self.job].map(str::to_owned);
        self.step(Verb::Add, &add, Some(&input), Fate::Killed).map(drop)
    }

    fn resume(&mut self, fate: Fate) -> Result<()> {
        let parallel = self.rng.u8(1..=8).to_string();
        let resume = ["resume", self.job, "--json", "-j", &parallel].map(str::to_owned);
        self.step(Verb::Resume, &resume, None, fate).map(drop)
    }

    fn map(&self, parallel: u8, attempts: &str, crashes: &str) -> Vec<String> {
        let parallel = parallel.to_string();
        let map = ["map", "--job", self.job, "--json", "-j", &parallel, "--max-attempts", attempts];
        let agent = ["--max-crashes", crashes, "--", "sh", "-c", AGENT, "agent", "{}", self.job];
        map.into_iter().chain(agent).map(str::to_owned).collect()
    }

    fn item(&mut self) -> &'static str {
        match self.rng.u8(..20) {
            0 => "bad\n",
            1 | 2 => "flaky\n",
            3 | 4 => "slow\n",
            5 | 6 => "big\n",
            _ => "ok\n",
        }
    }

    /// A run, and everything that must hold after it; its exit code.
    fn step(&mut self, verb: Verb, arguments: &[String], input: Option<&PathBuf>, fate: Fate) -> Result<i32> {
        let done = self.heard.acknowledged.completed.clone();
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let run = self.place.start(self.place.command(&[], &words), input.map(PathBuf::as_path))?;
        let ended = match fate {
            Fate::Killed => run.kill_after(self.moment())?,
            Fate::LetBe => run.wait()?,
        };
        let mut wrong = self.heard.run(&ended.stdout, &ended.stderr);
        let notes = self.place.file(format!("started.{}", self.job));
        wrong.extend(self.heard.starts(&notes, &done)?);
        wrong.extend(unexpected(verb, &ended, fate));
        if !ended.is_killed() && matches!(verb, Verb::Submit | Verb::Map | Verb::Resume | Verb::Retry) {
            self.finished = ended.code != 6;
        }
        self.items = self.items.max(self.heard.acknowledged.items.unwrap_or(0));
        let removes = verb == Verb::Gc && words.contains(&self.job);
        if removes && self.found()?.is_none() {
            // That it is there is no longer promised.
            self.heard.acknowledged = crate::checker::Acknowledged::default();
        }
        if let Some(store) = self.opened()? {
            let is_over = self.finished && verb != Verb::Gc && !ended.is_killed();
            let moment = if is_over { Moment::Finished } else { Moment::Cut };
            let broken = check_job(&store, self.job, &self.heard.acknowledged, moment)?;
            wrong.extend(broken.iter().map(ToString::to_string));
            self.heard.saw(&store, self.job)?;
        }
        let left = self.left()?;
        let mut tally = self.shared.tally();
        if ended.is_killed() {
            tally.killed(verb, left);
        } else {
            tally.ended += 1;
        }
        drop(tally);
        for what in &wrong {
            self.wrong(&format!("{what}, after `{}` exited with {}", ended.what, ended.code));
        }
        anyhow::ensure!(self.wrong.is_empty(), "something is wrong");
        Ok(ended.code)
    }

    /// When to kill: mostly early, since there it does most.
    fn moment(&mut self) -> Duration {
        let reach = [0.5, 1.0, 2.0, 4.0][self.rng.usize(..4)];
        self.shared.pace.mul_f64(self.rng.f64() * reach)
    }

    /// What there is of the job now.
    fn left(&self) -> Result<Left> {
        let (Some(store), Some(job)) = (self.opened()?, self.found()?) else { return Ok(Left::NoJob) };
        let counts = store.counts(job.id)?;
        Ok(match counts {
            _ if !job.is_sealed() => Left::Submitting,
            counts if counts.by_status.in_progress > 0 => Left::Running,
            counts if counts.is_finished() => Left::Finished,
            _ => Left::Idle,
        })
    }

    fn letters(&self) -> Result<usize> {
        let store = self.store()?;
        Ok(store.counts(store.job(self.job)?.id)?.open_letters)
    }

    fn found(&self) -> Result<Option<Job>> {
        let Some(store) = self.opened()? else { return Ok(None) };
        match store.job(self.job) {
            Err(StoreError::NoJob { .. }) => Ok(None),
            job => Ok(Some(job?)),
        }
    }

    fn store(&self) -> Result<SqliteStore> {
        self.opened()?.context("there is no store")
    }

    fn opened(&self) -> Result<Option<SqliteStore>> {
        match SqliteStore::open(&self.place.store()) {
            Err(StoreError::NoStore { .. }) => Ok(None),
            store => Ok(Some(store?)),
        }
    }

    fn wrong(&mut self, what: &str) {
        self.wrong.push(format!("job `{}`: {what}", self.job));
    }
}

/// What a run has said that should have ended otherwise.
fn unexpected(verb: Verb, ended: &Ended, fate: Fate) -> Option<String> {
    let is_fine = match (verb, ended.code) {
        (_, -9) => fate == Fate::Killed,
        // The other job's `gc` has this one's lock for a moment.
        (_, 0 | 6) => true,
        (Verb::Submit | Verb::Map | Verb::Resume | Verb::Retry, code) => code == 3,
        (Verb::Add | Verb::Gc, _) => false,
    };
    (!is_fine).then(|| format!("it said: {}", ended.stderr.trim()))
}
