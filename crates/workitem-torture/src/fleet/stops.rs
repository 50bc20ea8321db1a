//! A worker is stopped for longer than its lease; and a schema that none of them knows.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::Signal;

use super::crew::{FENCED, Fleet, LEASE};
use super::deaths::on_shared;
use crate::processes::signal;
use crate::stage::{PATIENCE, Stage, eventually};

/// How long a worker stays stopped at most while nobody takes over what it has. It may have been stopped in the midst of
/// something for which the others wait.
const LONGEST: Duration = Duration::from_secs(15);

pub fn stopped(stage: &mut Stage) -> Result<()> {
    let (items, stops) = (stage.of(8, 40), stage.of(1, 3));
    let (mut fleet, _) = on_shared(stage)?;
    fleet.two_jobs(&[], items)?;
    for _ in 0..3 {
        fleet.worker()?;
    }
    for n in 0..stops {
        let nth = fleet.stage.rng.usize(..3);
        stop(&mut fleet, nth)?;
        if n + 1 < stops {
            // There is something to do for the next one, too.
            fleet.add("steady", &vec!["ok"; items])?;
        }
    }
    fleet.until_done(|_| Ok(()))?;
    fleet.finish()
}

/// Stops a worker while it has agents, until others have taken over what it has, and lets it go on.
fn stop(fleet: &mut Fleet<'_>, nth: usize) -> Result<()> {
    let (pid, name) = (fleet.workers[nth].run.id(), fleet.workers[nth].name.clone());
    let before = count(&fleet.workers[nth].run.said(), "attempt started");
    let begun = Instant::now();
    while count(&fleet.workers[nth].run.said(), "attempt started") == before {
        if fleet.is_done()? || begun.elapsed() > PATIENCE {
            // The others were quicker.
            return Ok(());
        }
        sleep(Duration::from_millis(2));
    }
    signal(pid, Signal::STOP);
    fleet.stage.count("workers stopped", 1);
    let said = fleet.workers[nth].run.said();
    // Each of its runs has a lease of its own.
    let taken_from_it = |fleet: &Fleet<'_>| -> Result<usize> {
        Ok(fleet.audit.taken()?.iter().filter(|worker| said.contains(worker.as_str())).count())
    };
    let (earlier, stopped) = (taken_from_it(fleet)?, Instant::now());
    let mut taken = 0;
    while stopped.elapsed() < LEASE || taken == 0 && stopped.elapsed() < LONGEST {
        sleep(Duration::from_millis(100));
        taken = taken_from_it(fleet)? - earlier;
    }
    let fenced = count(&said, FENCED);
    signal(pid, Signal::CONT);
    if taken > 0 {
        // What it brings is too late, and it hears that.
        let run = &fleet.workers[nth].run;
        eventually(&format!("{name} is fenced off"), || count(&run.said(), FENCED) > fenced)?;
    }
    Ok(())
}

fn count(said: &str, what: &str) -> usize {
    said.matches(what).count()
}

pub fn skew(stage: &mut Stage) -> Result<()> {
    let items = stage.of(8, 30);
    let (mut fleet, schema) = on_shared(stage)?;
    fleet.two_jobs(&[], items)?;
    for _ in 0..2 {
        fleet.worker()?;
    }
    // Either they are at work when it happens, or they wait for more.
    if fleet.stage.rng.bool() {
        fleet.until_done(|_| Ok(()))?;
        fleet.stage.count("met while idle", 1);
    } else {
        eventually("they have begun", || fleet.starts("steady").len() > 2)?;
        fleet.stage.count("met at work", 1);
    }
    let mut client = fleet.audit.client()?;
    let version: i32 = client.query_one("SELECT version FROM meta", &[])?.try_get(0)?;
    client.execute("UPDATE meta SET version = version + 1", &[])?;
    // They meet it when they open the store again.
    let sessions =
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = $1";
    client.query_one(sessions, &[&schema])?;
    for worker in std::mem::take(&mut fleet.workers) {
        let name = worker.name.clone();
        let said = fleet
            .ends(worker, &[5])
            .with_context(|| format!("{name} goes on with a schema that it does not know"))?;
        is_told(&mut fleet, &name, &said);
    }
    for command in [["worker", "--json"].as_slice(), &["map", "--json", "--job", "new", "--", "true"]] {
        let ended = fleet.stage.run("", command, "1\n", &[5])?;
        is_told(&mut fleet, command[0], &ended.stderr);
    }
    client.execute("UPDATE meta SET version = $1", &[&version])?;
    fleet.add("steady", &["ok"; 4])?;
    fleet.worker()?;
    fleet.until_done(|_| Ok(()))?;
    fleet.finish()
}

/// Who does not know the schema says so, and what to do.
fn is_told(fleet: &mut Fleet<'_>, who: &str, said: &str) {
    let last = said.lines().last().unwrap_or_default().to_owned();
    let is_told = last.contains("schema version") && last.contains("use a newer one");
    fleet.stage.expect(is_told, || format!("{who} does not say that the schema is newer: {last}"));
}
