//! What a program took of time, processor and memory.

use std::fs;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::param::clock_ticks_per_second;

/// What a program and all that it waited for took.
pub struct Spent {
    /// Seconds on the clock.
    pub wall: f64,
    /// Seconds of processor, of all cores together.
    pub cpu: f64,
    /// What it printed.
    pub stdout: String,
}

/// Runs a program to its end, which must be a good one.
pub fn run(command: &mut Command, input: &str) -> Result<Spent> {
    let before = of_children()?;
    let started = Instant::now();
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    child.stdin.take().context("it is piped")?.write_all(input.as_bytes())?;
    let mut stdout = String::new();
    child.stdout.take().context("it is piped")?.read_to_string(&mut stdout)?;
    let status = child.wait()?;
    let wall = started.elapsed().as_secs_f64();
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(Spent { wall, cpu: of_children()? - before, stdout })
}

/// Seconds of processor of all children that were waited for, and of theirs. In steps of 10 ms.
fn of_children() -> Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    children_in(&stat).context("/proc/self/stat is not as it should be")
}

#[expect(clippy::cast_precision_loss, reason = "ticks of minutes")]
fn children_in(stat: &str) -> Option<f64> {
    // The second field is the name in parentheses, which may contain anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(13);
    let ticks: u64 = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(ticks as f64 / clock_ticks_per_second() as f64)
}

/// Most memory a program had at any time so far, in bytes.
pub fn peak_memory(child: &Child) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id()))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.map(|kib| kib * 1024).context("the system does not say how much memory it had")
}

/// The share of one core that a program takes, its children not included, while this waits.
pub fn share_of_a_core(child: &Child, watched: Duration) -> Result<f64> {
    let started = Instant::now();
    let before = nanoseconds(child)?;
    thread::sleep(watched);
    let spent = nanoseconds(child)? - before;
    Ok(Duration::from_nanos(spent).as_secs_f64() / started.elapsed().as_secs_f64())
}

/// Of all its threads. None of them may end meanwhile, which those of a waiting orchestrator do not.
fn nanoseconds(child: &Child) -> Result<u64> {
    let mut sum = 0;
    for thread in fs::read_dir(format!("/proc/{}/task", child.id()))? {
        let schedule = fs::read_to_string(thread?.path().join("schedstat"))?;
        sum += schedule.split(' ').next().context("it is empty")?.parse::<u64>()?;
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_waited_for_is_counted() {
        let spent = run(&mut Command::new("cat"), "so far").unwrap();
        assert_eq!(spent.stdout, "so far");
        assert!(spent.wall > 0.0 && spent.cpu >= 0.0);
        assert!(run(&mut Command::new("false"), "").is_err());
        let busy = "i=0; while [ $i -lt 100000 ]; do i=$((i + 1)); done";
        assert!(run(Command::new("sh").args(["-c", busy]), "").unwrap().cpu > 0.0);
    }

    #[test]
    fn a_name_may_have_parentheses_and_blanks() {
        let stat = "4 (a) b) R 1 4 4 0 -1 0 1 2 3 4 5 6 250 50 20";
        let twice = "4 (a) b) R 1 4 4 0 -1 0 1 2 3 4 5 6 500 100 20";
        let [once, twice] = [stat, twice].map(|stat| children_in(stat).unwrap());
        assert!(once > 0.0 && (twice - 2.0 * once).abs() < 1e-9, "{once} and {twice}");
        assert_eq!(children_in("4 (a) R 1"), None);
    }

    #[test]
    fn a_sleeper_takes_no_processor_and_some_memory() {
        let mut child = Command::new("sleep").arg("10").spawn().unwrap();
        let share = share_of_a_core(&child, Duration::from_millis(50)).unwrap();
        let peak = peak_memory(&child);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(share < 0.5, "{share}");
        assert!(peak.unwrap() > 4_096);
    }
}
