//! The clock is set while a job runs.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use chrono::{TimeDelta, Utc};
use rustix::process::Signal;
use serde_json::Value;

use super::clock::{Clock, HOUR_BACK, YEAR_AHEAD};
use crate::checker::Moment;
use crate::place::Run;
use crate::processes::signal;
use crate::stage::{DONE, NOTE, Stage, eventually, lines_of, numbered};

/// With these an agent sees the true time.
const TRUE_TIME: [&str; 2] = ["--env", "LD_PRELOAD="];

/// Starts a `map` with the clock, and an agent for `sh -c`.
fn map(stage: &Stage, clock: &Clock, options: &[&str], agent: &str, items: usize) -> Result<Run> {
    let script = format!("{NOTE}{agent}{DONE}");
    let map = ["map", "--job", "job", "--json"];
    let arguments: Vec<&str> =
        [&map, options, &TRUE_TIME, &["--", "sh", "-c", &script, "agent", "{}"]].concat();
    stage.start(&[], &arguments, &numbered(items), &variables(clock))
}

fn variables(clock: &Clock) -> [(&str, &Path); 2] {
    clock.variables()
}

/// Sets the clock again and again, and leaves it an hour back: whoever waits until a time of day waits for long.
fn jump(stage: &mut Stage, clock: &Clock, run: &mut Run, times: usize) -> Result<()> {
    for _ in 0..times {
        if !run.is_running()? {
            break;
        }
        let to = [0, HOUR_BACK, YEAR_AHEAD, -YEAR_AHEAD][stage.rng.usize(..4)];
        clock.set(to + stage.rng.i64(-60..60))?;
        sleep(Duration::from_millis(stage.rng.u64(20..120)));
    }
    clock.set(YEAR_AHEAD)?;
    sleep(Duration::from_millis(150));
    clock.set(HOUR_BACK)
}

/// Whether the clock was set at all, as far as the history says.
fn saw_the_clock(stage: &mut Stage, items: u64) -> Result<()> {
    let store = stage.store()?;
    let history = store.history(store.job("job")?.id, 1..=items)?;
    let far = history.iter().filter(|row| (row.at - Utc::now()).abs() > TimeDelta::minutes(30)).count();
    let total = history.len();
    stage.expect(far > 0, || format!("none of {total} events happened by the clock that was set"));
    stage.fact = format!("{far} of {total} events by another time of day");
    Ok(())
}

pub fn backoff(stage: &mut Stage) -> Result<()> {
    let clock = Clock::new(stage.place.path())?;
    let items = stage.of(24, 100);
    let options = ["-j", "4", "--max-attempts", "4", "--backoff", "100ms..400ms"];
    let agent = "sleep 0.02; [ $WORKITEM_ATTEMPT = 4 ] || exit 75";
    let mut run = map(stage, &clock, &options, agent, items)?;
    eventually("it has begun", || stage.place.file("started.job").exists())?;
    jump(stage, &clock, &mut run, stage.of(6, 40))?;
    stage.ends("job", run, &[0])?;
    stage.finished("job", items, 0)?;
    saw_the_clock(stage, items as u64)
}

pub fn left_waiting(stage: &mut Stage) -> Result<()> {
    let clock = Clock::new(stage.place.path())?;
    let items = stage.of(8, 50);
    clock.set(YEAR_AHEAD)?;
    let options = ["-j", "4", "--max-attempts", "9", "--backoff", "2s..2s"];
    let run = map(stage, &clock, &options, "[ -e mended ] || exit 1", items)?;
    let starts = stage.place.file("started.job");
    eventually("every item has failed", || lines_of(&starts).is_ok_and(|starts| starts >= items))?;
    run.kill_after(Duration::from_millis(50))?;
    stage.check("job", Moment::Cut)?;
    stage.place.write("mended", "")?;
    clock.set(HOUR_BACK)?;
    let resume = ["resume", "job", "--json", TRUE_TIME[0], TRUE_TIME[1]];
    let run = stage.start(&[], &resume, "", &variables(&clock))?;
    stage.ends("job", run, &[0])?;
    stage.finished("job", items, 0)?;
    saw_the_clock(stage, items as u64)
}

pub fn timeout(stage: &mut Stage) -> Result<()> {
    let clock = Clock::new(stage.place.path())?;
    let agent = "case $1 in 1|2|3|4) sleep 0.5;; esac";
    let run = map(stage, &clock, &["-j", "4", "--timeout", "50s"], agent, 8)?;
    eventually("agents sleep", || {
        lines_of(&stage.place.file("started.job")).is_ok_and(|starts| starts >= 4)
    })?;
    clock.set(YEAR_AHEAD)?;
    stage.ends("job", run, &[0])?;
    stage.finished("job", 8, 0)?;

    clock.set(0)?;
    let hang = format!("{NOTE}sleep 300");
    let options = ["map", "--job", "hangs", "--json", "-j", "4", "--timeout", "400ms", "--grace", "100ms"];
    let arguments = [&options[..], &TRUE_TIME, &["--", "sh", "-c", &hang]].concat();
    let run = stage.start(&[], &arguments, &numbered(8), &variables(&clock))?;
    eventually("agents hang", || stage.place.file("started.hangs").exists())?;
    clock.set(HOUR_BACK)?;
    let ended = stage.ends("hangs", run, &[3])?;
    let told = ended.stderr.matches("timed out after 400ms").count();
    stage.expect(told >= 8, || format!("8 agents hang, and {told} timeouts were told"));
    stage.finished("hangs", 0, 8)
}

pub fn rate(stage: &mut Stage) -> Result<()> {
    let clock = Clock::new(stage.place.path())?;
    let (items, every) = (stage.of(20, 200), Duration::from_millis(50));
    let started = Instant::now();
    let mut run = map(stage, &clock, &["-j", "8", "--rate", "20/s"], "", items)?;
    eventually("it has begun", || stage.place.file("started.job").exists())?;
    jump(stage, &clock, &mut run, 4)?;
    stage.ends("job", run, &[0])?;
    let (took, least) = (started.elapsed(), every * u32::try_from(items - 2)?);
    stage.expect(took >= least, || format!("{items} starts, one in {every:?}, took only {took:?}"));
    stage.fact = format!("{items} starts, one in {every:?}: {:.1} s", took.as_secs_f64());
    stage.finished("job", items, 0)
}

pub fn control(stage: &mut Stage) -> Result<()> {
    let clock = Clock::new(stage.place.path())?;
    let run = map(stage, &clock, &["-j", "2", "--drain", "500ms", "--grace", "100ms"], "sleep 0.1", 24)?;
    let starts = stage.place.file("started.job");
    eventually("it has begun", || starts.exists())?;
    for (command, to) in [("pause", YEAR_AHEAD), ("unpause", HOUR_BACK)] {
        clock.set(to)?;
        let asked = stage.start(&[], &[command, "job"], "", &variables(&clock))?;
        stage.ends("", asked, &[0])?;
        sleep(Duration::from_millis(300));
    }
    let before = lines_of(&starts)?;
    eventually("it goes on", || lines_of(&starts).is_ok_and(|starts| starts > before))?;
    signal(run.id(), Signal::TERM);
    clock.set(-YEAR_AHEAD)?;
    stage.ends("job", run, &[4])?;
    stage.check("job", Moment::AtRest)?;
    let run = stage.start(&[], &["resume", "job", "--json"], "", &[])?;
    stage.ends("job", run, &[0])?;
    stage.finished("job", 24, 0)?;
    saw_the_clock(stage, 24)
}

pub fn lookers(stage: &mut Stage) -> Result<()> {
    let clock = Clock::new(stage.place.path())?;
    let agent = "[ $1 != 3 ] || exit 1";
    let run = map(stage, &clock, &["-j", "2", "--max-attempts", "2", "--backoff", "1ms..2ms"], agent, 6)?;
    stage.ends("job", run, &[3])?;
    stage.run(
        "left",
        &["map", "--job", "left", "--json", "--", "sh", "-c", "kill -INT $PPID; sleep 9"],
        "1\n",
        &[4],
    )?;
    let commands: [&[&str]; 9] = [
        &["jobs", "--json"],
        &["status", "job", "--json"],
        &["status", "left"],
        &["items", "job", "--json"],
        &["history", "job", "3", "--json"],
        &["watch", "left", "--json"],
        &["dlq", "list", "job", "--json"],
        &["verify", "job", "--json"],
        // Of the two jobs one is not finished, and one has a letter: it removes neither, however old they look.
        &["gc", "--json"],
    ];
    for to in &[HOUR_BACK, YEAR_AHEAD, -30 * YEAR_AHEAD][..stage.of(2, 3)] {
        let to = *to;
        clock.set(to)?;
        for command in commands {
            let codes: &[i32] = if command[0] == "watch" { &[4] } else { &[0] };
            let run = stage.start(&[], command, "", &variables(&clock))?;
            let ended = stage.ends("", run, codes)?;
            let is_json = command.contains(&"--json");
            for line in String::from_utf8_lossy(&ended.stdout).lines().filter(|_| is_json) {
                ensure!(serde_json::from_str::<Value>(line).is_ok(), "`{command:?}` printed {line}");
            }
        }
    }
    stage.check("job", Moment::Finished)?;
    stage.check("left", Moment::AtRest)?;
    let names = stage.store()?.jobs()?.len();
    stage.expect(names == 2, || format!("of two jobs that nobody wants removed, {names} are left"));
    stage.fact = format!("{} commands", stage.of(2, 3) * commands.len());
    Ok(())
}
