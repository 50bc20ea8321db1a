//! Disks that fill up or can only be read any more, while a job runs on them.

use anyhow::{Result, ensure};

use super::mount::{Mount, can_mount};
use super::words::{said, unclear};
use crate::checker::Moment;
use crate::place::Ended;
use crate::stage::{DONE, NOTE, Stage, eventually, lines_of, numbered};

/// Items of a job: every third has output too long for a row, so that all of them together are about 3 MiB.
const ITEMS: usize = 40;
/// Room for all of it, in KiB.
const ROOM: usize = 64 << 10;
/// What agents do whose output is long.
const LONG: &str = "[ $((WORKITEM_ID % 3)) != 0 ] || { head -c 100000 /dev/zero; echo; }";

/// A job, and how its `map` begins.
struct Job<'a> {
    name: &'a str,
    script: String,
}

impl<'a> Job<'a> {
    fn new(name: &'a str, work: &str) -> Self {
        Self { name, script: format!("{NOTE}{DONE}{work}") }
    }

    fn map(&self) -> [&str; 10] {
        ["map", "--job", self.name, "--json", "-j", "3", "--", "sh", "-c", &self.script]
    }

    /// Until something is in its way, or it is done.
    fn run(&self, stage: &mut Stage) -> Result<Ended> {
        let ended = stage.run(self.name, &self.map(), &numbered(ITEMS), &[0, 5])?;
        self.is_in_the_way(stage, &ended);
        Ok(ended)
    }

    fn is_in_the_way(&self, stage: &mut Stage, ended: &Ended) {
        if let Some(unclear) = unclear(ended, &["workitem.db"]) {
            stage.wrong(format!("{}: {unclear}", self.name));
        }
    }

    /// What may be asked meanwhile: it answers, or says why not. Nothing is lost by it.
    fn asked(&self, stage: &mut Stage) -> Result<()> {
        for question in ["status", "items", "output", "verify", "resume"] {
            let job = if question == "resume" { self.name } else { "" };
            let ended = stage.run(job, &[question, self.name], "", &[0, 2, 4, 5])?;
            self.is_in_the_way(stage, &ended);
        }
        Ok(())
    }

    /// Nothing is in the way any more.
    fn goes_on(&self, stage: &mut Stage) -> Result<()> {
        let is_sealed =
            stage.store().is_ok_and(|store| store.job(self.name).is_ok_and(|job| job.is_sealed()));
        if is_sealed {
            stage.check(self.name, Moment::Cut)?;
            stage.run(self.name, &["resume", self.name, "--json"], "", &[0])?;
        } else {
            stage.run(self.name, &self.map(), &numbered(ITEMS), &[0])?;
        }
        stage.finished(self.name, ITEMS, 0)
    }
}

pub fn full(stage: &mut Stage) -> Result<()> {
    if !can_mount(stage) {
        return Ok(());
    }
    let (times, mut stopped) = (stage.of(2, 8), 0);
    for time in 0..times {
        // From where not even an empty store has room up to where it is nearly done.
        let kib = stage.rng.usize(if time == 0 { 16..200 } else { 200..2_500 });
        let mount = Mount::memory(&stage.place.file(".workitem"), kib)?;
        let name = format!("full-{time}");
        let job = Job::new(&name, LONG);
        let ended = job.run(stage)?;
        if ended.code == 5 {
            stopped += 1;
            let (error, _) = said(&ended.stderr).unwrap_or_default();
            stage.expect(error.contains("full") || error.contains("No space"), || {
                format!("{kib} KiB: it does not say that the disk is full: {error}")
            });
            if is_made(stage) {
                job.asked(stage)?;
            }
        }
        mount.room(ROOM)?;
        job.goes_on(stage)?;
        drop(mount);
    }
    stage.expect(stopped > 0, || "the disk was never full".to_owned());
    stage.fact = format!("{stopped} of {times} runs stopped with 5");
    Ok(())
}

/// Whether there is a store.
fn is_made(stage: &Stage) -> bool {
    stage.place.store().exists()
}

pub fn full_output(stage: &mut Stage) -> Result<()> {
    if !can_mount(stage) {
        return Ok(());
    }
    let mount = Mount::memory(&stage.place.file(".workitem/workitem.db.output"), 250)?;
    let job = Job::new("job", LONG);
    let ended = job.run(stage)?;
    ensure!(ended.code == 5, "long outputs of more than 1 MiB have found room in 250 KiB");
    let (error, _) = said(&ended.stderr).unwrap_or_default();
    stage.expect(error.contains("workitem.db.output") && error.contains("No space"), || {
        format!("it does not say what is full: {error}")
    });
    job.asked(stage)?;
    mount.room(ROOM)?;
    job.goes_on(stage)
}

pub fn full_store(stage: &mut Stage) -> Result<()> {
    if !can_mount(stage) {
        return Ok(());
    }
    let store = Mount::memory(&stage.place.file(".workitem"), 300 + stage.rng.usize(..100))?;
    let output = Mount::memory(&stage.place.file(".workitem/workitem.db.output"), ROOM)?;
    let job = Job::new("job", LONG);
    let ended = job.run(stage)?;
    ensure!(ended.code == 5, "a store of {ITEMS} items has found room in 400 KiB");
    job.asked(stage)?;
    store.room(ROOM)?;
    job.goes_on(stage)?;
    drop(output);
    Ok(())
}

pub fn read_only(stage: &mut Stage) -> Result<()> {
    if !can_mount(stage) {
        return Ok(());
    }
    let (folder, image) = (stage.place.file(".workitem"), stage.place.path().join("image"));
    let mount = match Mount::file(&folder, &image, 16) {
        Ok(mount) => mount,
        Err(error) => {
            eprintln!("errors: no file system can be mounted from a file, this scene is left out: {error:#}");
            "left out: no file system can be mounted from a file".clone_into(&mut stage.fact);
            return Ok(());
        }
    };
    let job = Job::new("job", &format!("{LONG}; sleep 0.05"));
    let run = stage.start(&[], &job.map(), &numbered(ITEMS), &[])?;
    let (starts, enough) = (stage.place.file("started.job"), stage.rng.usize(5..25));
    eventually("agents have started", || lines_of(&starts).is_ok_and(|lines| lines >= enough))?;
    mount.breaks()?;
    let ended = stage.ends("job", run, &[5])?;
    job.is_in_the_way(stage, &ended);
    // It is mended, and given back for reading only at first.
    mount.mend("loop,ro")?;
    job.asked(stage)?;
    mount.mend("loop")?;
    job.goes_on(stage)
}
