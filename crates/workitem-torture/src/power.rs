//! Power loss: the files as they could be after it, at any moment of a store's life, and whether they keep every promise.
//!
//! The program really runs, once, under `strace`; so what is known is every write and every sync, and what was said
//! between them. Then power is lost many times, in thought: at a random moment, with a random share of what was not
//! synced. What is left is opened by the store, recovered and, now and then, resumed by the program.

mod disk;
pub(crate) mod record;
mod story;
mod trace;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use tempfile::TempDir;
use workitem_sqlite::SqliteStore;
use workitem_store::{BlobName, ItemQuery, Job, Kept, Runner, Store, StreamKind, recover};
use workitem_types::StatusKind;

use self::disk::{Disk, Survival};
pub use self::record::{LIFE, SHORT, Step};
use self::record::{Recording, STORE};
use self::story::{Known, Story};
use crate::Report;
use crate::checker::{Acknowledged, Moment, check};
use crate::place::Place;

/// After so many findings there is enough to look at.
const ENOUGH: u64 = 10;

/// One of so many losses is followed by a resume of the program, to the end.
const RESUMED: u64 = 20;

/// What to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// The program.
    pub program: PathBuf,
    /// What it lives through.
    pub life: &'static [Step],
    /// How often power is lost.
    pub losses: u64,
    /// Where random choices begin.
    pub seed: u64,
    /// A recording of that life, left behind when something was found.
    pub recording: Option<PathBuf>,
    /// Where files are made that might survive a real power loss; what is left is put into memory.
    pub folder: Option<PathBuf>,
}

/// Loses power, and says what that has cost.
///
/// # Errors
///
/// If the program cannot be recorded.
pub fn run(options: &Options) -> Result<Report> {
    let started = Instant::now();
    let Options { program, life, losses, seed, recording, folder } = options;
    let place = Place::new(program, folder.as_deref())?;
    let recording = match recording {
        Some(folder) => record::read(folder, life)?,
        None => record::record(program, place.path(), life)?,
    };
    let torture = Torture { program, story: Story::of(&recording, life), recording, life };
    let (mut ran, mut found) = (0, 0);
    for seed in (0..*losses).map(|n| seed.wrapping_add(n)) {
        let resumed = seed.is_multiple_of(RESUMED);
        let (what, image) = torture.lose(seed, resumed)?;
        ran += 1;
        if !what.is_empty() {
            found += 1;
            eprintln!("seed {seed}: {}", torture.plan(seed));
            for what in what {
                eprintln!("  {what}");
            }
            eprintln!("  the files are in {}", image.keep().display());
        }
        if found >= ENOUGH {
            break;
        }
    }
    let (calls, facts) = (torture.recording.calls.len(), torture.story.len());
    if found > 0 {
        let folder = options.recording.clone().unwrap_or_else(|| place.keep());
        eprintln!("lose it again: --seed SEED --losses 1 --recording {}", folder.display());
    }
    Ok(Report {
        torture: "power-loss".to_owned(),
        ran,
        found,
        seed: *seed,
        seconds: started.elapsed().as_secs_f64(),
        text: format!(
            "The program lived through {} commands under `strace`: jobs with short and long output, dead letters \
             and their retry, added items, a killed run and its resume, `gc`, runs that were killed at a sync. That was {calls} writes, syncs, names \
             and words, and {facts} acknowledgements. Then power was lost at random moments. Of what was not synced by \
             then, each sector of 512 bytes, each length and each name survived or not. What was left was opened, \
             checked and recovered, every kept output compared byte by byte, and one in {} resumed to its end by the \
             program.",
            life.len(),
            RESUMED,
        ),
    })
}

struct Torture<'a> {
    program: &'a Path,
    recording: Recording,
    story: Story,
    life: &'static [Step],
}

impl Torture<'_> {
    /// The moment, how much survives, and where choices go on.
    fn choose(&self, seed: u64) -> (usize, Survival, Rng) {
        let mut rng = Rng::with_seed(seed);
        let call = &self.recording.calls[rng.usize(..self.recording.calls.len())];
        let moment = if rng.bool() { call.begun } else { call.ended };
        let survival = match rng.u8(..6) {
            0 => Survival::Chance(0.0),
            1 => Survival::Chance(1.0),
            2 => Survival::Until(moment.saturating_sub(rng.usize(..40))),
            _ => Survival::Chance(rng.f64()),
        };
        (moment, survival, rng)
    }

    fn plan(&self, seed: u64) -> String {
        let (moment, survival, _) = self.choose(seed);
        let step = self.recording.begins.iter().rposition(|begin| *begin <= moment).unwrap_or(0);
        let arguments = self.life.get(step).map_or(&[][..], |step| step.arguments);
        let line = moment - self.recording.begins[step] + 1;
        format!(
            "power lost in line {line} of {step}.trace, `{}`; survives: {survival:?}",
            arguments.join(" ")
        )
    }

    /// Loses power once; what is broken then, and what was left.
    fn lose(&self, seed: u64, resumed: bool) -> Result<(Vec<String>, TempDir)> {
        let (moment, survival, mut rng) = self.choose(seed);
        let files = Disk::at(moment, &self.recording.calls).lose(survival, &mut rng);
        let image = in_memory("workitem-lost-")?;
        for (path, bytes) in files {
            let path = image.path().join(path);
            match bytes {
                None => fs::create_dir(path)?,
                Some(bytes) => fs::write(path, bytes)?,
            }
        }
        let mut known = self.story.known(moment);
        let what = self.judge(&image.path().join(STORE), &mut known, resumed);
        Ok((what.unwrap_or_else(|error| vec![format!("{error:#}")]), image))
    }

    /// An error is as bad as a violation: what is left must be a store.
    fn judge(&self, path: &Path, known: &mut Known, resumed: bool) -> Result<Vec<String>> {
        let store = SqliteStore::create(path).context("what is left cannot be opened")?;
        let jobs = store.jobs()?;
        let mut wrong: Vec<String> = Vec::new();
        for job in &jobs {
            if known.gone.contains(&job.name) {
                wrong.push(format!("job `{}` was removed, and is there again", job.name));
            }
        }
        let is_there = |name: &str| jobs.iter().any(|job| job.name == name);
        known.jobs.retain(|name, _| !known.leaving.contains(name) || is_there(name));
        let broken = |moment: Moment, jobs: &BTreeMap<String, Acknowledged>| -> Result<Vec<String>> {
            Ok(check(path, jobs, moment)?.iter().map(ToString::to_string).collect())
        };
        wrong.extend(broken(Moment::Cut, &known.jobs)?);
        for job in &jobs {
            if let Err(error) = outputs(&store, job, &mut wrong) {
                wrong.push(format!("job `{}`: {error:#}", job.name));
            }
        }
        if !wrong.is_empty() {
            return Ok(wrong);
        }
        for job in &jobs {
            let now = job.created_at;
            let _lock = store.lock_job(job, &Runner { process: 1, since: now, settled_before: 0 })?;
            recover(&store, job.id, 10, &|_| true, now)?;
        }
        wrong.extend(broken(Moment::AtRest, &known.jobs)?);
        drop(store);
        if resumed && wrong.is_empty() {
            self.resume(path, known, &jobs)?;
            wrong.extend(broken(Moment::Finished, &known.jobs)?);
        }
        Ok(wrong)
    }

    /// Lets the program finish every job that had begun, as its user would.
    fn resume(&self, path: &Path, known: &Known, jobs: &[Job]) -> Result<()> {
        let begun = self.life.iter().take(known.steps);
        for step in begun.filter(|step| step.arguments[0] == "map" && !known.leaving.contains(step.job())) {
            let sealed = jobs.iter().any(|job| job.name == step.job() && job.is_sealed());
            let mut command = if sealed {
                let mut command = Command::new(self.program);
                command.args(["resume", step.job()]);
                command
            } else {
                step.command(Command::new("env"), self.program)
            };
            record::clean(&mut command, path, true);
            let input = tempfile::NamedTempFile::new()?;
            fs::write(input.path(), step.input)?;
            command.stdin(fs::File::open(input.path())?).current_dir(&self.recording.folder);
            let ended = command.env("WORKITEM_STORE", path).output()?;
            let (code, said) = (ended.status.code(), String::from_utf8_lossy(&ended.stderr).into_owned());
            ensure!(matches!(code, Some(0 | 3)), "`{}` is not finished, {code:?}: {said}", step.job());
        }
        Ok(())
    }
}

/// A completed item has all that its agent printed, to the byte.
fn outputs(store: &SqliteStore, job: &Job, wrong: &mut Vec<String>) -> Result<()> {
    let completed = ItemQuery { status: Some(StatusKind::Completed), after: 0, limit: 1_000 };
    for item in store.items(job.id, &completed)? {
        let (id, attempt) = (item.record.id.to_string(), item.record.attempts);
        let rows = store.attempts(job.id, item.seq..=item.seq)?;
        let mut found = Vec::new();
        match rows.into_iter().find(|row| row.attempt == attempt).map(|row| row.output.stdout.kept) {
            None => {}
            Some(Kept::Inline(bytes)) => found = bytes,
            Some(Kept::Blob { .. }) => {
                let name = BlobName { job: job.id, seq: item.seq, attempt, stream: StreamKind::Stdout };
                workitem_store::Blobs::open(store, name)?.read_to_end(&mut found)?;
            }
        }
        let payload = store.payload(job.id, item.seq)?.to_value();
        let expected = record::printed(&id, payload.as_str().unwrap_or_default());
        if found != expected {
            let (len, first) = (found.len(), found.iter().zip(&expected).position(|(a, b)| a != b));
            let what = format!("has {len} bytes of {}, and differs from {first:?} on", expected.len());
            wrong.push(format!("job `{}`: the output of item `{id}` {what}", job.name));
        }
    }
    Ok(())
}

/// A folder in memory, if there is such a place: what is left need not survive anything again.
pub(crate) fn in_memory(prefix: &str) -> std::io::Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(prefix);
    builder.tempdir_in("/dev/shm").or_else(|_| builder.tempdir())
}
