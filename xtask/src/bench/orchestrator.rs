//! `cargo xtask bench orchestrator`: how long a job takes, beside `xargs` and bare spawning, in one run.
//!
//! The tools take turns, so that a machine's mood meets all of them; what is compared is the median of the
//! rounds, as a ratio. Nothing is bought by doing less: after each round every item must be completed and
//! the history must replay.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::cargo;
use crate::tools::target;

const ROUNDS: usize = 5;

/// Runs the comparison over `items` items and prints its table.
pub fn run(root: &Path, items: usize) -> Result<()> {
    ensure!(items > 0, "there is nothing to measure without items");
    let built = cargo(root).args(["build", "--release", "--package", "workitem-cli"]).status()?;
    ensure!(built.success(), "the release build failed");
    let workitem = target(root).join("release/workitem");
    let input: Vec<String> = (1..=items).map(|n| n.to_string()).collect();
    let input = input.join("\n");

    let mut rounds: [Vec<Duration>; 3] = [const { Vec::new() }; 3];
    for round in 1..=ROUNDS {
        eprintln!("round {round} of {ROUNDS}");
        rounds[0].push(bare(items)?);
        rounds[1].push(timed(Command::new("xargs").args(["-P2", "-n1", "/bin/true"]), &input)?);
        rounds[2].push(map(&workitem, items, &input)?);
    }
    let [bare, xargs, map] = rounds.map(median);
    println!("{items} x /bin/true, two at a time, median of {ROUNDS} rounds:\n");
    println!("| tool | seconds | of xargs | of bare |\n|---|---|---|---|");
    let rows = [
        ("bare spawn and wait, two threads", bare),
        ("`xargs -P2 -n1`", xargs),
        ("`workitem map -j 2`", map),
    ];
    for (tool, took) in rows {
        let of = |other: Duration| took.as_secs_f64() / other.as_secs_f64();
        println!("| {tool} | {:.2} | {:.2} | {:.2} |", took.as_secs_f64(), of(xargs), of(bare));
    }
    Ok(())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// The least that any tool must do.
fn bare(items: usize) -> Result<Duration> {
    let (started, next) = (Instant::now(), AtomicUsize::new(0));
    let run = || -> Result<()> {
        while next.fetch_add(1, Ordering::Relaxed) < items {
            let mut agent = Command::new("/bin/true");
            agent.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            ensure!(agent.status()?.success(), "/bin/true failed");
        }
        Ok(())
    };
    thread::scope(|scope| {
        let threads = [scope.spawn(run), scope.spawn(run)];
        threads.into_iter().try_for_each(|thread| thread.join().expect("it does not panic"))
    })?;
    Ok(started.elapsed())
}

/// A job in a store of its own, on the disk on which builds are.
fn map(workitem: &Path, items: usize, input: &str) -> Result<Duration> {
    let folder = tempfile::tempdir_in(workitem.parent().context("it is in a folder")?)?;
    let mut map = Command::new(workitem);
    map.args(["map", "--quiet", "-j", "2", "--job", "bench", "--", "/bin/true"]).current_dir(&folder);
    let took = timed(&mut map, input)?;
    let mut verify = Command::new(workitem);
    let verified = verify.args(["verify", "bench"]).current_dir(&folder).output()?;
    let words = String::from_utf8_lossy(&verified.stdout).into_owned();
    let expected = format!("{items} items, {} events replayed: nothing is wrong", 2 * items);
    ensure!(words.contains(&expected), "expected `{expected}`, found `{}`", words.trim());
    Ok(took)
}

fn timed(command: &mut Command, input: &str) -> Result<Duration> {
    let started = Instant::now();
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
    child.stdin.take().context("it is piped")?.write_all(input.as_bytes())?;
    let status = child.wait()?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(started.elapsed())
}
