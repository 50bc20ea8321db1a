//! Short jobs in which a certain system call can be made to kill the program or to fail, by `strace`, and what must hold
//! afterwards.
//!
//! `strace` counts the calls of each thread by itself. Agents are followed too, since their orchestrator's threads can
//! only be followed together with them; of what is tampered with, they only write.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use workitem_sqlite::SqliteStore;
use workitem_store::{Captured, Kept, Store, StoreError};

use crate::checker::{Acknowledged, Moment, check_job};
use crate::heard::{AGENT, Heard, big};
use crate::place::{Ended, Place};

const JOB: &str = "job";
/// Items that `add` adds: all of them or none.
const ADDED: usize = 3;

/// What the program is doing when it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// A new store, a new job, and its run.
    Map,
    /// A job that was killed in the middle.
    Resume,
    /// A finished job with dead letters that are tried again.
    Retry,
    /// More items for a job.
    Add,
    /// A finished job that is removed.
    Gc,
}

impl Act {
    /// All of them, the richest first.
    pub const ALL: [Self; 5] = [Self::Map, Self::Resume, Self::Retry, Self::Gc, Self::Add];

    /// The command.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Map => "map",
            Self::Resume => "resume",
            Self::Retry => "dlq retry",
            Self::Add => "add",
            Self::Gc => "gc",
        }
    }
}

/// A job, and one act of it.
pub struct Scene {
    place: Place,
    act: Act,
    heard: Heard,
    input: PathBuf,
    map: Vec<String>,
    parallel: String,
    /// Items before the act.
    items: usize,
    wrong: Vec<String>,
}

impl Scene {
    /// Plays what comes before the act. The same seed gives the same job.
    ///
    /// # Errors
    ///
    /// If that fails, which has nothing to do with what is to be tried.
    pub fn new(program: &Path, folder: Option<&Path>, act: Act, seed: u64) -> Result<Self> {
        let (place, mut rng) = (Place::new(program, folder)?, Rng::with_seed(seed));
        place.write("big", big())?;
        let mut items = vec!["bad", "flaky", "big"];
        items.extend(
            (0..rng.usize(4..10)).map(|_| *rng.choice(&["ok", "ok", "slow", "big"]).unwrap_or(&"ok")),
        );
        rng.shuffle(&mut items);
        let input = place.write("input", items.join("\n"))?;
        let parallel = rng.u8(2..=5).to_string();
        let map = ["map", "--job", JOB, "--json", "-j", &parallel, "--max-attempts", "2", "--"];
        let map = map.into_iter().chain(["sh", "-c", AGENT, "agent", "{}", JOB]).map(str::to_owned).collect();
        let heard = Heard::default();
        let mut scene =
            Self { place, act, heard, input, map, parallel, items: items.len(), wrong: Vec::new() };
        scene.before(&mut rng)?;
        Ok(scene)
    }

    fn before(&mut self, rng: &mut Rng) -> Result<()> {
        match self.act {
            Act::Map => return Ok(()),
            Act::Resume | Act::Add => {
                let when = format!("inject=fsync:signal=KILL:when={}", rng.u8(9..14));
                let ended = self.play(&strace(&when), Act::Map)?;
                ensure!([-9, 0, 3].contains(&ended.code), "before the act: {}", ended.stderr);
                if self.heard.acknowledged.items.is_none() {
                    self.play(&[], Act::Map)?;
                }
            }
            Act::Retry | Act::Gc => {
                self.play(&[], Act::Map)?;
                self.place.write(&format!("mended.{JOB}"), "")?;
                if self.act == Act::Gc {
                    self.play(&[], Act::Retry)?;
                    self.play(&[], Act::Retry)?;
                }
            }
        }
        let store = SqliteStore::open(&self.place.store())?;
        self.items = store.counts(store.job(JOB)?.id)?.by_status.total();
        ensure!(self.wrong.is_empty(), "before the act: {:?}", self.wrong);
        Ok(())
    }

    /// The act, while this happens to it.
    ///
    /// # Errors
    ///
    /// If it cannot be started, or hangs.
    pub fn act(&mut self, through: &[&str]) -> Result<Ended> {
        self.play(through, self.act)
    }

    /// What must hold after an act that was cut off or failed.
    ///
    /// # Errors
    ///
    /// If the store cannot be looked at.
    pub fn check(&mut self, moment: Moment) -> Result<()> {
        let store = match SqliteStore::open(&self.place.store()) {
            Err(StoreError::NoStore { .. }) if self.heard.acknowledged.items.is_none() => return Ok(()),
            store => store?,
        };
        if self.act == Act::Gc && matches!(store.job(JOB), Err(StoreError::NoJob { .. })) {
            self.heard.acknowledged = Acknowledged::default();
        }
        let broken = check_job(&store, JOB, &self.heard.acknowledged, moment)?;
        self.wrong.extend(broken.iter().map(ToString::to_string));
        self.heard.saw(&store, JOB)?;
        if self.act == Act::Add {
            let items = store.counts(store.job(JOB)?.id)?.by_status.total();
            if items != self.items && items != self.items + ADDED {
                self.wrong.push(format!("{ADDED} items were added to {}, {items} are there", self.items));
            }
        }
        Ok(())
    }

    /// What must hold after an act that has ended by itself: what its exit code says is so.
    ///
    /// # Errors
    ///
    /// If the store cannot be looked at.
    pub fn check_end(&mut self, ended: &Ended) -> Result<()> {
        let runs = matches!(self.act, Act::Map | Act::Resume | Act::Retry);
        if self.act == Act::Add && ended.code == 0 {
            self.heard.acknowledged.items = Some(self.items + ADDED);
        }
        self.check(match ended.code {
            0 | 3 if runs => Moment::Finished,
            4 if runs => Moment::AtRest,
            _ => Moment::Cut,
        })?;
        if self.act == Act::Gc && ended.code == 0 && self.heard.acknowledged.items.is_some() {
            self.wrong.push("`gc` has succeeded, and the job is still there".to_owned());
        }
        Ok(())
    }

    /// Attempts with long output that could not be made durable: none of them may be recorded with it.
    ///
    /// # Errors
    ///
    /// If the store cannot be looked at.
    pub fn unsynced(&mut self, attempts: &BTreeSet<(u64, usize)>) -> Result<()> {
        if attempts.is_empty() {
            return Ok(());
        }
        let store = SqliteStore::open(&self.place.store())?;
        let job = store.job(JOB)?;
        let is_long = |stream: &Captured| matches!(stream.kept, Kept::Blob { .. });
        for (seq, attempt) in attempts {
            for row in store.attempts(job.id, *seq..=*seq)? {
                if row.attempt == *attempt && (is_long(&row.output.stdout) || is_long(&row.output.stderr)) {
                    let what = format!(
                        "attempt {attempt} at item {seq} is recorded with an output that was not synced"
                    );
                    self.wrong.push(what);
                }
            }
        }
        Ok(())
    }

    /// Goes on as its user would, with nothing in the way any more: every item must be settled, or the job be gone.
    ///
    /// # Errors
    ///
    /// If that cannot be started, or hangs.
    pub fn finish(&mut self) -> Result<()> {
        if self.act == Act::Gc {
            let is_there = self.heard.acknowledged.items.is_some();
            let ended = if is_there { self.play(&[], Act::Gc)? } else { self.sweep()? };
            self.expect(&ended, &[0]);
            let store = SqliteStore::open(&self.place.store())?;
            if store.job(JOB).is_ok() || !store.jobs()?.is_empty() {
                self.wrong.push("the job is still there after a clean `gc`".to_owned());
            }
            if self.place.file(".workitem/workitem.db.output/1").exists() {
                self.wrong.push("its output is still there after a clean `gc`".to_owned());
            }
            return Ok(());
        }
        let submitted = self.heard.acknowledged.items.is_some();
        let ended = self.play(&[], if submitted { Act::Resume } else { Act::Map })?;
        self.expect(&ended, &[0, 3]);
        self.check(Moment::Finished)
    }

    /// The exit codes that it may have; what it said is wrong if it has another.
    pub fn expect(&mut self, ended: &Ended, codes: &[i32]) {
        if !codes.contains(&ended.code) {
            let Ended { what, code, stderr, .. } = ended;
            self.wrong.push(format!("`{what}` exited with {code}, and said: {}", stderr.trim()));
        }
    }

    /// Something else is wrong.
    pub fn wrong(&mut self, what: String) {
        self.wrong.push(what);
    }

    /// What was wrong, if anything was; then all is left where it is.
    pub fn judge(self) -> Option<String> {
        (!self.wrong.is_empty()).then(|| {
            let wrong = self.wrong.join("; ");
            format!("{wrong}; look at {}", self.place.keep().display())
        })
    }

    /// Where it is played.
    pub const fn place(&self) -> &Place {
        &self.place
    }

    fn sweep(&self) -> Result<Ended> {
        self.place.start(self.place.command(&[], &["gc"]), None)?.wait()
    }

    fn play(&mut self, through: &[&str], act: Act) -> Result<Ended> {
        let added = match act {
            Act::Add => Some(self.place.write("added", "ok\n".repeat(ADDED))?),
            Act::Map | Act::Resume | Act::Retry | Act::Gc => None,
        };
        let words: Vec<&str> = match act {
            Act::Map => self.map.iter().map(String::as_str).collect(),
            Act::Resume => vec!["resume", JOB, "--json", "-j", &self.parallel],
            Act::Retry => vec!["dlq", "retry", JOB, "--json"],
            Act::Add => vec!["add", JOB],
            Act::Gc => vec!["gc", JOB, "--with-letters"],
        };
        let input = added.as_ref().or((act == Act::Map).then_some(&self.input));
        let done: BTreeSet<String> = self.heard.acknowledged.completed.clone();
        let run = self.place.start(self.place.command(through, &words), input.map(PathBuf::as_path));
        let ended = run?.wait().with_context(|| format!("in {}", self.place.path().display()))?;
        let mut wrong = self.heard.run(&ended.stdout, &ended.stderr);
        wrong.extend(self.heard.starts(&self.place.file(format!("started.{JOB}")), &done)?);
        self.wrong.extend(wrong);
        Ok(ended)
    }
}

/// `strace` that does one thing and keeps quiet. Its log goes nowhere, and it leaves signals as they are.
pub fn strace(inject: &str) -> [&str; 9] {
    let call = inject.trim_start_matches("inject=").split(':').next().unwrap_or_default();
    // What is tampered with must be traced, and nothing else need be.
    ["strace", "-f", "-qqq", "-o", "/dev/null", "-e", call, "-e", inject]
}
