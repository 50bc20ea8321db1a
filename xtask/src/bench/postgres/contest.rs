//! Closures that do nothing, over and over: what is left is the orchestrator, the store and the server.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use workitem_pgtest::Server;

use super::{Bench, median, number, said, server};

/// Workers where there are several.
pub const SEVERAL: usize = 4;

/// Items a second.
#[derive(Default)]
pub struct Pair {
    pub one: f64,
    pub several: f64,
}

pub struct Contest {
    pub ours: Pair,
    /// The same statements in the same transactions, by the driver alone.
    pub bare: Pair,
    /// By several workers, ahead of the backlog.
    pub behind: f64,
    pub bare_behind: f64,
    /// Or why it was not measured.
    pub apalis: Result<Pair, String>,
    pub graphile: Result<Pair, String>,
    pub small: Written,
    pub large: Written,
    /// Seconds that the counts of the job with the backlog take.
    pub counts: f64,
}

/// What runs by several workers had written, for each item that they completed; and what was there before.
#[derive(Default, Clone, Copy)]
pub struct Written {
    /// Items a second that were submitted.
    pub submitted: f64,
    /// Bytes of WAL and of disk for each item that is submitted.
    pub submitted_wal: f64,
    pub submitted_disk: f64,
    /// The same for each that is claimed and completed.
    pub wal: f64,
    pub disk: f64,
    /// Whole pages among the WAL.
    pub pages: f64,
    /// Items that were claimed in a transaction, on average.
    pub group: f64,
}

/// One run of ours, and the same by bare statements.
struct Round {
    ours: f64,
    bare: f64,
    written: Written,
    counts: f64,
}

pub fn measure(bench: &Bench) -> Result<Contest> {
    let (mut one, mut several, mut behind) = (Vec::new(), Vec::new(), Vec::new());
    let (mut apalis, mut graphile) = (Pairs::default(), Pairs::default());
    for round in 1..=bench.rounds {
        eprintln!("round {round} of {}: ours and bare", bench.rounds);
        several.push(ours_and_bare(bench, SEVERAL, 0)?);
        one.push(ours_and_bare(bench, 1, 0)?);
        eprintln!("round {round}: ahead of {} items", bench.backlog);
        behind.push(ours_and_bare(bench, SEVERAL, bench.backlog)?);
        eprintln!("round {round}: other people's");
        for (program, pairs) in [(&bench.apalis, &mut apalis), (&bench.graphile, &mut graphile)] {
            if let Ok(program) = program {
                pairs.one.push(peer(bench, program, 1)?);
                pairs.several.push(peer(bench, program, SEVERAL)?);
            }
        }
    }
    let of = |rounds: &[Round], value: &dyn Fn(&Round) -> f64| median(rounds.iter().map(value).collect());
    let pair = |value: &dyn Fn(&Round) -> f64| Pair { one: of(&one, value), several: of(&several, value) };
    let last = |rounds: &[Round]| rounds.last().map(|round| round.written).unwrap_or_default();
    let peers = |program: &Result<_, String>, pairs: Pairs| match program {
        Ok(_) => Ok(Pair { one: median(pairs.one), several: median(pairs.several) }),
        Err(why) => Err(why.clone()),
    };
    Ok(Contest {
        ours: pair(&|round| round.ours),
        bare: pair(&|round| round.bare),
        behind: of(&behind, &|round| round.ours),
        bare_behind: of(&behind, &|round| round.bare),
        apalis: peers(&bench.apalis, apalis),
        graphile: peers(&bench.graphile, graphile),
        small: last(&several),
        large: last(&behind),
        counts: of(&behind, &|round| round.counts),
    })
}

#[derive(Default)]
struct Pairs {
    one: Vec<f64>,
    several: Vec<f64>,
}

#[expect(clippy::cast_precision_loss, reason = "there are not so many items")]
fn ours_and_bare(bench: &Bench, workers: usize, backlog: usize) -> Result<Round> {
    let items = bench.items + backlog;
    let on = server(&[])?;
    let before = bench.load(&["stats", on.url()])?;
    let submitted = submit(bench, &on, items)?;
    let full = bench.load(&["stats", on.url()])?;
    let until = bench.items.to_string();
    let until = if backlog > 0 { vec!["--until", &until] } else { Vec::new() };
    let ours = Runs::wait(start(
        bench,
        workers,
        |_| [vec!["work", on.url(), "job"], until.clone()].concat().into_iter().map(str::to_owned).collect(),
        "",
    )?)?;
    let after = bench.load(&["stats", on.url()])?;
    audit(bench, &on, ours.completed)?;
    let counts = number(&bench.load(&["counts", on.url(), "job"])?, "seconds")?;
    let plan = bench.load(&["plan", on.url(), "job"])?;
    drop(on);

    let on = server(&[])?;
    submit(bench, &on, items)?;
    let planned = plan["workers"].as_array().context("a plan has workers")?;
    let bare = Runs::wait(start(
        bench,
        planned.len(),
        |nth| ["bare", on.url(), "job", &nth.to_string()].map(str::to_owned).to_vec(),
        &plan.to_string(),
    )?)?;
    audit(bench, &on, bare.completed)?;

    let (all, done) = (items as f64, ours.completed as f64);
    let claims = planned.iter().filter_map(Value::as_array).flatten();
    let claims = claims.filter(|group| group.as_i64() > Some(0)).count() as f64;
    let more = |from: &Value, to: &Value, name: &str| {
        Ok::<_, anyhow::Error>(number(to, name)? - number(from, name)?)
    };
    let written = Written {
        submitted: all / submitted,
        submitted_wal: more(&before, &full, "wal_bytes")? / all,
        submitted_disk: more(&before, &full, "bytes")? / all,
        wal: more(&full, &after, "wal_bytes")? / done,
        disk: more(&full, &after, "bytes")? / done,
        pages: more(&full, &after, "wal_pages")? / done,
        group: done / claims,
    };
    eprintln!("  {workers} workers: ours {:.0}, bare {:.0} items a second", ours.rate(), bare.rate());
    Ok(Round { ours: ours.rate(), bare: bare.rate(), written, counts })
}

fn submit(bench: &Bench, on: &Server, items: usize) -> Result<f64> {
    number(&bench.load(&["submit", on.url(), "job", &items.to_string()])?, "seconds")
}

fn audit(bench: &Bench, on: &Server, completed: usize) -> Result<()> {
    bench.load(&["audit", on.url(), "job", &completed.to_string()]).map(drop)
}

/// What workers of one job did together.
struct Runs {
    completed: usize,
    began: f64,
    ended: f64,
}

impl Runs {
    /// Lets all begin together, and waits for the last.
    fn wait(mut workers: Vec<Worker>) -> Result<Self> {
        for worker in &mut workers {
            let mut line = String::new();
            worker.said.read_line(&mut line)?;
            ensure!(line.trim() == "ready", "expected `ready` of a worker, found `{}`", line.trim());
        }
        for worker in &mut workers {
            worker.child.stdin.take().context("it is piped")?.write_all(b"go\n")?;
        }
        let mut runs = Self { completed: 0, began: f64::MAX, ended: 0.0 };
        for mut worker in workers {
            let mut text = String::new();
            worker.said.read_to_string(&mut text)?;
            let status = worker.child.wait()?;
            ensure!(status.success(), "a worker ended with {status}");
            let said: Value = serde_json::from_str(&text)?;
            runs.completed += usize::try_from(said["completed"].as_u64().context("it says how many")?)?;
            runs.began = runs.began.min(number(&said, "began")?);
            runs.ended = runs.ended.max(number(&said, "ended")?);
        }
        Ok(runs)
    }

    #[expect(clippy::cast_precision_loss, reason = "there are not so many items")]
    fn rate(&self) -> f64 {
        self.completed as f64 / (self.ended - self.began)
    }
}

struct Worker {
    child: Child,
    said: BufReader<ChildStdout>,
}

/// Starts so many workers, each with its arguments, and gives them a first line if there is one.
fn start(
    bench: &Bench,
    workers: usize,
    arguments: impl Fn(usize) -> Vec<String>,
    first: &str,
) -> Result<Vec<Worker>> {
    let start = |nth| {
        let mut load = Command::new(&bench.load);
        load.args(arguments(nth)).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = load.spawn()?;
        if !first.is_empty() {
            let input = child.stdin.as_mut().context("it is piped")?;
            writeln!(input, "{first}")?;
        }
        let said = BufReader::new(child.stdout.take().context("it is piped")?);
        Ok(Worker { child, said })
    };
    (0..workers).map(start).collect()
}

/// Items a second of somebody else's queue. The program sees to it itself that all were done.
fn peer(bench: &Bench, program: &Path, workers: usize) -> Result<f64> {
    let on = server(&[])?;
    let (items, workers) = (bench.items.to_string(), workers.to_string());
    // Their driver wants a host there, and takes the folder of the socket all the same.
    let url = on.url().replacen("@/", "@localhost/", 1);
    let said = said(Command::new(program).args([&url, &items, &workers]))?;
    let rate = number(&said, "items")? / number(&said, "seconds")?;
    eprintln!(
        "  {} of {workers}: {rate:.0} items a second",
        program.file_name().unwrap_or_default().display()
    );
    Ok(rate)
}
