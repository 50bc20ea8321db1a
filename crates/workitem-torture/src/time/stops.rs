//! Whoever works on a job is stopped for a while, and goes on.

use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;
use rustix::process::Signal;

use crate::processes::signal;
use crate::stage::{DONE, NOTE, Stage, eventually, lines_of, numbered};

pub fn orchestrator(stage: &mut Stage) -> Result<()> {
    let script = format!("{NOTE}sleep 0.2{DONE}");
    let map = ["map", "--job", "job", "--json", "-j", "4", "--timeout", "20s", "--", "sh", "-c", &script];
    let items = stage.of(16, 64);
    let run = stage.start(&[], &map, &numbered(items), &[])?;
    let starts = stage.place.file("started.job");
    // Longer than any lease and every look: the lease is a minute.
    let stops = if stage.is_full { vec![65_000, 700, 50, 700, 50] } else { vec![700, 50, 300] };
    let mut added = 0;
    for (n, millis) in stops.iter().enumerate() {
        eventually("it has begun", || lines_of(&starts).is_ok_and(|starts| starts > 4 * n))?;
        signal(run.id(), Signal::STOP);
        // Its agents end meanwhile; whoever else wants to run its job is refused, and looking is free.
        sleep(Duration::from_millis(millis / 2));
        stage.run("", &["resume", "job"], "", &[6])?;
        stage.run("", &["status", "job"], "", &[0])?;
        // Who was stopped in the middle of a write keeps every other writer out; that is said, and nothing is added.
        let add = stage.run("", &["add", "job"], "one more\n", &[0, 5])?;
        let is_kept_out = add.code == 5 && add.stderr.contains("kept it locked for too long");
        stage.expect(add.code == 0 || is_kept_out, || format!("`add` says {}", add.stderr));
        added += usize::from(add.code == 0);
        sleep(Duration::from_millis(millis / 2));
        signal(run.id(), Signal::CONT);
    }
    stage.ends("job", run, &[0])?;
    stage.fact = format!("stopped for {stops:?} ms; {added} of as many additions were let in meanwhile");
    stage.finished("job", items + added, 0)
}

pub fn agents(stage: &mut Stage) -> Result<()> {
    let script = format!(
        "{NOTE}[ $WORKITEM_ATTEMPT = 1 ] && case $1 in
            itself) kill -STOP $$;;
            child) sleep 300 & kill -STOP $!; wait;;
            far) setsid sh -c 'kill -STOP $$' & wait;;
            group) sleep 300 & kill -STOP 0;;
            deaf) trap '' TERM CONT; kill -STOP $$; sleep 300;;
        esac{DONE}"
    );
    let kinds = ["itself", "child", "far", "group", "deaf", "none"];
    let items: Vec<&str> = (0..stage.of(6, 60)).map(|n| kinds[n % kinds.len()]).collect();
    let map = ["map", "--job", "job", "--json", "-j", "6", "--timeout", "500ms", "--grace", "200ms"];
    let rest = ["--max-attempts", "2", "--", "sh", "-c", &script, "agent", "{}"];
    let input = items.join("\n") + "\n";
    stage.run("job", &[&map[..], &rest].concat(), &input, &[0])?;
    stage.finished("job", items.len(), 0)
}
