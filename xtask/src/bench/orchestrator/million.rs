//! A million items: what grows with the size of a job, and what must not.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::closures::{self, Run};
use super::{Bench, lines, median, spent};

const ITEMS: usize = 1_000_000;
const FEW: usize = 10_000;
/// As many jobs of few items as one of many is held against, so that both last.
const JOBS_OF_FEW: usize = 20;
/// How long the job is let run before it is killed.
const MOMENT: Duration = Duration::from_secs(2);
/// How often `status` is asked.
const ASKED: usize = 9;

pub struct Million {
    pub items: usize,
    /// Most memory of a job of closures, from start to end.
    pub closures_peak: u64,
    /// Most memory of `map` and of `resume`, while they read the input and ran commands.
    pub map_peak: u64,
    pub resume_peak: u64,
    /// What an item of many costs, of an item of few.
    pub cost: f64,
    /// Lines a second, until they are durable.
    pub intake: f64,
    /// Seconds.
    pub status: f64,
    /// Seconds from the start of `resume` to the output of its first agent, which is printed when it is durable.
    pub resume: f64,
}

pub fn measure(bench: &Bench) -> Result<Million> {
    eprintln!("a million closures");
    let (cost, closures_peak) = cost(bench)?;
    eprintln!("a million lines");
    let folder = bench.folder()?;
    let input = folder.path().join("input.txt");
    File::create(&input)?.write_all(lines(ITEMS).as_bytes())?;
    let (intake, map_peak) = map(bench, folder.path(), &input)?;
    let status = status(bench, folder.path())?;
    let (resume, resume_peak) = resume(bench, folder.path())?;
    Ok(Million { items: ITEMS, closures_peak, map_peak, resume_peak, cost, intake, status, resume })
}

/// What an item costs in one large job, of what it costs in small ones, and the memory of the large one.
fn cost(bench: &Bench) -> Result<(f64, u64)> {
    let folder = bench.folder()?;
    let mut few = Vec::new();
    for job in 0..JOBS_OF_FEW {
        let store = folder.path().join(format!("few-{job}.db"));
        few.push(Run::of(&closures::run(bench, FEW, &store)?)?.rate());
    }
    let many = Run::of(&closures::run(bench, ITEMS, &folder.path().join("many.db"))?)?;
    Ok((median(few) / many.rate(), many.peak_bytes))
}

/// Reads the input, runs for a moment, and is killed: lines a second, and most memory.
fn map(bench: &Bench, folder: &Path, input: &Path) -> Result<(f64, u64)> {
    let started = Instant::now();
    let mut map = Command::new(&bench.workitem);
    map.args(["map", "--json", "-j", "2", "--job", "bench", "--", "/bin/echo", "{}"]).current_dir(folder);
    map.stdin(File::open(input)?).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut map = map.spawn()?;
    let mut told = BufReader::new(map.stderr.take().context("it is piped")?);
    let mut line = String::new();
    while !line.contains(r#""event":"submitted""#) {
        line.clear();
        ensure!(told.read_line(&mut line)? > 0, "`map` has ended without having read its input");
    }
    let took = started.elapsed().as_secs_f64();
    // Somebody must go on listening.
    thread::spawn(move || std::io::copy(&mut told, &mut std::io::sink()));
    thread::sleep(MOMENT);
    let peak = spent::peak_memory(&map)?;
    kill(&mut map)?;
    #[expect(clippy::cast_precision_loss, reason = "a million is exact")]
    let rate = ITEMS as f64 / took;
    Ok((rate, peak))
}

/// `kill -9`.
fn kill(child: &mut Child) -> Result<()> {
    child.kill()?;
    ensure!(child.wait()?.code().is_none(), "it has ended before it was killed");
    Ok(())
}

fn status(bench: &Bench, folder: &Path) -> Result<f64> {
    let mut times = Vec::new();
    for _ in 0..ASKED {
        let mut status = Command::new(&bench.workitem);
        status.args(["status", "bench"]).current_dir(folder);
        times.push(spent::run(&mut status, "")?.wall);
    }
    Ok(median(times))
}

/// Until the first output of the killed job's successor.
fn resume(bench: &Bench, folder: &Path) -> Result<(f64, u64)> {
    let started = Instant::now();
    let mut resume = Command::new(&bench.workitem);
    resume.args(["resume", "bench", "--quiet"]).current_dir(folder);
    let mut resume = resume.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let mut output = resume.stdout.take().context("it is piped")?;
    output.read_exact(&mut [0])?;
    let took = started.elapsed().as_secs_f64();
    thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
    thread::sleep(MOMENT);
    let peak = spent::peak_memory(&resume)?;
    kill(&mut resume)?;
    Ok((took, peak))
}
