//! Tortures that are a list of scenes: each has a store of its own, does one terrible thing, and says what was wrong.
//!
//! After each scene, whatever it was about: every job is checked, nothing has run twice at once, and no process is left.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use fastrand::Rng;
use rustix::process::Signal;
use workitem_postgres::PostgresStore;
use workitem_sqlite::SqliteStore;
use workitem_store::Store;

use crate::Report;
use crate::checker::{Moment, check_job};
use crate::heard::Heard;
use crate::place::{Ended, Place, Run, tail};
use crate::processes::{self, MARK};

/// With this begins the script of an agent: it notes its start, and whether another one of the same item is alive.
pub const NOTE: &str = r#"exec 9>"lock.$WORKITEM_ID"; flock -n 9 || echo "$WORKITEM_ID" >> two-at-once
echo "$WORKITEM_ID $WORKITEM_ATTEMPT" >> "started.$WORKITEM_JOB"
"#;

/// With this ends the script of an agent that succeeds: its output is acknowledged by its id.
pub const DONE: &str = "\necho \"$WORKITEM_ID done\"\n";

/// How long a run may take before it counts as hanging. It takes seconds; whoever waits for an hour is far beyond.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// One terrible thing.
#[derive(Clone, Copy)]
pub struct Scene {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What is done, for people.
    pub what: &'static str,
    /// Does it.
    pub play: fn(&mut Stage) -> Result<()>,
}

/// How to torture.
#[derive(Debug, Clone)]
pub struct Options {
    /// The program.
    pub program: PathBuf,
    /// Where random choices begin.
    pub seed: u64,
    /// How often all scenes are played.
    pub rounds: u64,
    /// All of it, or what a run of the tests can afford.
    pub is_full: bool,
    /// Only the scene of this name.
    pub only: Option<String>,
    /// Where stores are made; where temporary files are, if nothing is said.
    pub folder: Option<PathBuf>,
}

/// Plays all scenes, and reports.
///
/// # Errors
///
/// If something cannot be started or looked at. What is found is no error but a part of the report.
pub fn run(torture: &str, what: &str, scenes: &[Scene], options: &Options) -> Result<Report> {
    let started = Instant::now();
    eprintln!("{torture}: seed {}", options.seed);
    let is_wanted = |scene: &&Scene| options.only.as_ref().is_none_or(|only| only == scene.name);
    let wanted: Vec<&Scene> = scenes.iter().filter(is_wanted).collect();
    if wanted.is_empty() {
        let names: Vec<&str> = scenes.iter().map(|scene| scene.name).collect();
        bail!("there is no such scene; the known ones are {}", names.join(", "));
    }
    let (mut ran, mut found) = (0, 0);
    let mut facts: BTreeMap<&str, String> = BTreeMap::new();
    let mut tallies: BTreeMap<&str, BTreeMap<&'static str, u64>> = BTreeMap::new();
    for round in 0..options.rounds {
        let seed = options.seed.wrapping_add(round);
        for scene in &wanted {
            let begun = Instant::now();
            let mut stage = Stage::new(options, seed)?;
            let played = (scene.play)(&mut stage);
            if let Err(error) = played {
                stage.wrong(format!("{error:#}"));
            }
            stage.last_look();
            let Stage { wrong, place, fact, tally, .. } = stage;
            eprintln!("{torture}: {} took {:.1} s", scene.name, begun.elapsed().as_secs_f64());
            ran += 1;
            found += wrong.len() as u64;
            facts.insert(scene.name, fact);
            for (what, n) in tally {
                *tallies.entry(scene.name).or_default().entry(what).or_default() += n;
            }
            if !wrong.is_empty() {
                for what in &wrong {
                    eprintln!("{torture}: {}: {}", scene.name, tail(what));
                }
                let kept = place.keep();
                let again = format!("cargo xtask torture {torture} --seed {seed} --only {}", scene.name);
                eprintln!("{torture}: look at {}; again: {again}", kept.display());
            }
        }
    }
    let mut text = format!("{what}\n\n| scene | what is done | seen |\n|---|---|---|\n");
    for scene in wanted {
        let mut seen: Vec<String> = tallies
            .remove(scene.name)
            .into_iter()
            .flatten()
            .map(|(what, n)| format!("{what}: {n}"))
            .collect();
        seen.extend(facts.remove(scene.name).filter(|fact| !fact.is_empty()));
        let fact = seen.join("; ");
        let _ = writeln!(text, "| {} | {} | {fact} |", scene.name, scene.what);
    }
    let seconds = started.elapsed().as_secs_f64();
    Ok(Report { torture: torture.to_owned(), ran, found, seed: options.seed, seconds, text })
}

/// Where a scene is played.
pub struct Stage {
    /// The folder, and the store in it.
    pub place: Place,
    /// Random choices.
    pub rng: Rng,
    /// Whether it may take long.
    pub is_full: bool,
    heard: BTreeMap<String, Heard>,
    wrong: Vec<String>,
    /// What was measured, for the page.
    pub fact: String,
    /// What was counted, in all rounds together.
    tally: BTreeMap<&'static str, u64>,
    /// Where the store is if not in the place.
    pub address: Option<String>,
}

impl Stage {
    fn new(options: &Options, seed: u64) -> Result<Self> {
        let place = Place::new(&options.program, options.folder.as_deref())?;
        Ok(Self {
            place,
            rng: Rng::with_seed(seed),
            is_full: options.is_full,
            heard: BTreeMap::new(),
            wrong: Vec::new(),
            fact: String::new(),
            tally: BTreeMap::new(),
            address: None,
        })
    }

    /// One of two numbers: what a test can afford, and the whole.
    pub const fn of(&self, share: usize, whole: usize) -> usize {
        if self.is_full { whole } else { share }
    }

    /// Counts something for the page.
    pub fn count(&mut self, what: &'static str, n: u64) {
        *self.tally.entry(what).or_default() += n;
    }

    /// Notes something that is wrong.
    pub fn wrong(&mut self, what: impl Into<String>) {
        self.wrong.push(what.into());
    }

    /// Notes it unless it holds.
    pub fn expect(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.wrong.push(what());
        }
    }

    /// Starts the program in a process group of its own, so that a signal to its group does not reach the torture.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub fn start(
        &self,
        through: &[&str],
        arguments: &[&str],
        input: &str,
        variables: &[(&str, &Path)],
    ) -> Result<Run> {
        let input = self.place.write("../input", input)?;
        let through: Vec<&str> = ["setsid"].iter().chain(through).copied().collect();
        let mut command = self.place.command(&through, arguments);
        command.env(MARK, self.place.path());
        if let Some(address) = &self.address {
            command.env("WORKITEM_STORE", address);
        }
        command.envs(variables.iter().copied());
        self.place.start(command, Some(&input))
    }

    /// A command that ends by itself, with one of these exit codes. What it says and prints is acknowledged, if it is
    /// one that runs the job.
    ///
    /// # Errors
    ///
    /// If it cannot be started, hangs, or ends otherwise.
    pub fn run(&mut self, job: &str, arguments: &[&str], input: &str, codes: &[i32]) -> Result<Ended> {
        let run = self.start(&[], arguments, input, &[])?;
        self.ends(job, run, codes)
    }

    /// Waits for the end of a run, and takes in what it has said.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    pub fn ends(&mut self, job: &str, run: Run, codes: &[i32]) -> Result<Ended> {
        let ended = run.watch(PATIENCE, |_| ())?;
        self.ended(job, ended, codes)
    }

    /// What was heard of a job, for what is heard of it in another way.
    pub fn heard(&mut self, job: &str) -> &mut Heard {
        self.heard.entry(job.to_owned()).or_default()
    }

    /// Takes in what a run has said that has ended; of one that only looks, with no job, nothing is acknowledged.
    ///
    /// # Errors
    ///
    /// If it should have ended otherwise.
    pub fn ended(&mut self, job: &str, ended: Ended, codes: &[i32]) -> Result<Ended> {
        let mut nobody = Heard::default();
        let heard = if job.is_empty() { &mut nobody } else { self.heard.entry(job.to_owned()).or_default() };
        let wrong = heard.run(&ended.stdout, &ended.stderr);
        self.wrong.extend(wrong);
        let Ended { what, code, stderr, .. } = &ended;
        let what: String = what.chars().take(200).collect();
        ensure!(codes.contains(code), "`{what}` exited with {code} instead of {codes:?}: {}", tail(stderr));
        Ok(ended)
    }

    /// The store.
    ///
    /// # Errors
    ///
    /// If it cannot be opened.
    pub fn store(&self) -> Result<Box<dyn Store>> {
        Ok(match &self.address {
            Some(address) => Box::new(PostgresStore::open(address)?),
            None => Box::new(SqliteStore::open(&self.place.store())?),
        })
    }

    /// Asks the checker about a job.
    ///
    /// # Errors
    ///
    /// If the store cannot be read.
    pub fn check(&mut self, job: &str, moment: Moment) -> Result<()> {
        let store = self.store()?;
        let heard = self.heard.entry(job.to_owned()).or_default();
        let notes = self.place.file(format!("started.{job}"));
        let mut wrong = heard.starts(&notes, &BTreeSet::new())?;
        let broken = check_job(&*store, job, &heard.acknowledged, moment)?;
        wrong.extend(broken.iter().map(ToString::to_string));
        heard.saw(&*store, job)?;
        self.wrong.extend(wrong);
        Ok(())
    }

    /// The numbers of pending, in progress, completed and dead-lettered items.
    ///
    /// # Errors
    ///
    /// If the store cannot be read.
    pub fn counts(&self, job: &str) -> Result<[usize; 4]> {
        let store = self.store()?;
        let counts = store.counts(store.job(job)?.id)?.by_status;
        Ok([counts.pending, counts.in_progress, counts.completed, counts.dead_lettered])
    }

    /// Checks a job that is to be finished, with so many items completed and given up.
    ///
    /// # Errors
    ///
    /// If the store cannot be read.
    pub fn finished(&mut self, job: &str, completed: usize, given_up: usize) -> Result<()> {
        self.check(job, Moment::Finished)?;
        let (found, expected) = (self.counts(job)?, [0, 0, completed, given_up]);
        self.expect(found == expected, || {
            format!("job `{job}` has [pending, in progress, completed, given up] {found:?} instead of {expected:?}")
        });
        Ok(())
    }

    /// Ends what is left of this place, and says what that was.
    pub fn end_processes(&self) -> Vec<String> {
        end_processes(self.place.path())
    }

    /// What holds after every scene.
    fn last_look(&mut self) {
        let twice = self.place.file("two-at-once");
        if let Ok(ids) = std::fs::read_to_string(twice) {
            self.wrong(format!("items ran twice at once: {}", ids.replace('\n', " ")));
        }
        let left = self.end_processes();
        if !left.is_empty() {
            self.wrong(format!("processes are left: {}", left.join(", ")));
        }
    }
}

/// Ends what is left of a place, and says what that was.
pub fn end_processes(folder: &Path) -> Vec<String> {
    let left = processes::of_place(folder);
    for process in &left {
        processes::signal(process.pid, Signal::KILL);
    }
    // What was killed may take a moment to go.
    let _ = eventually("they have gone", || processes::of_place(folder).is_empty());
    left.into_iter().map(|process| format!("{} ({})", process.pid, process.command)).collect()
}

/// Waits until something is so.
///
/// # Errors
///
/// If it is not so within two minutes.
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        if Instant::now() > deadline {
            bail!("in vain it was waited until {what}");
        }
        sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Lines that were written to a file of the place; none if it is not there.
///
/// # Errors
///
/// If it cannot be read.
pub fn lines_of(file: &Path) -> Result<usize> {
    match std::fs::read_to_string(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        text => {
            let text = text.with_context(|| format!("cannot read {}", file.display()))?;
            Ok(text.lines().count())
        }
    }
}

/// `1` to `n`, as lines.
pub fn numbered(n: usize) -> String {
    (1..=n).map(|n| n.to_string() + "\n").collect()
}
