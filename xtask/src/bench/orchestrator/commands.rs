//! `/bin/true` over and over, two at a time.

use std::process::Command;

use anyhow::Result;

use super::audit::{self, Synced};
use super::spent::Spent;
use super::{Bench, lines, median, spent};

/// What one tool took.
pub struct Tool {
    pub name: &'static str,
    /// Seconds, the median of the rounds.
    pub wall: f64,
    /// Milliseconds of processor for an item, the agent's included.
    pub cpu: f64,
}

pub struct Commands {
    pub items: usize,
    pub rounds: usize,
    pub bare: Tool,
    pub xargs: Tool,
    pub parallel: Tool,
    pub map: Tool,
    pub synced: Synced,
}

pub fn measure(bench: &Bench) -> Result<Commands> {
    let input = lines(bench.items);
    let mut rounds: [Vec<Spent>; 4] = [const { Vec::new() }; 4];
    for round in 1..=bench.rounds {
        eprintln!("commands, round {round} of {}", bench.rounds);
        for (tool, rounds) in [bare, xargs, map, parallel].into_iter().zip(&mut rounds) {
            rounds.push(tool(bench, &input)?);
        }
    }
    let synced = audit::synced(bench)?;
    let [bare, xargs, map, parallel] = rounds;
    let tool = |name, spent: Vec<Spent>| tool(name, &spent, bench.items);
    Ok(Commands {
        items: bench.items,
        rounds: bench.rounds,
        bare: tool("spawn and wait, two threads", bare),
        xargs: tool("`xargs -P2 -n1`", xargs),
        parallel: tool("GNU `parallel -j2 --joblog`", parallel),
        map: tool("**`workitem map -j 2`**", map),
        synced,
    })
}

fn tool(name: &'static str, spent: &[Spent], items: usize) -> Tool {
    #[expect(clippy::cast_precision_loss, reason = "there are not so many items")]
    let items = items as f64;
    let wall = median(spent.iter().map(|spent| spent.wall).collect());
    let cpu = median(spent.iter().map(|spent| spent.cpu * 1_000.0 / items).collect());
    Tool { name, wall, cpu }
}

/// The least that any tool must do.
fn bare(bench: &Bench, _: &str) -> Result<Spent> {
    spent::run(Command::new(&bench.load).args(["spawn", &bench.items.to_string()]), "")
}

fn xargs(_: &Bench, input: &str) -> Result<Spent> {
    spent::run(Command::new("xargs").args(["-P2", "-n1", "/bin/true"]), input)
}

fn parallel(bench: &Bench, input: &str) -> Result<Spent> {
    let folder = bench.folder()?;
    let mut parallel = Command::new("parallel");
    parallel.args(["--will-cite", "-j2", "--joblog", "log", "/bin/true"]).current_dir(&folder);
    spent::run(&mut parallel, input)
}

/// A job in a store of its own.
fn map(bench: &Bench, input: &str) -> Result<Spent> {
    let folder = bench.folder()?;
    let mut map = Command::new(&bench.workitem);
    map.args(["map", "--quiet", "-j", "2", "--job", "bench", "--", "/bin/true"]).current_dir(&folder);
    let spent = spent::run(&mut map, input)?;
    audit::completed(bench, folder.path(), bench.items)?;
    Ok(spent)
}
