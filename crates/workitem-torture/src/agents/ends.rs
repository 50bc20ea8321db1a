//! Agents that do not end as they should, and leave others behind.

use anyhow::Result;
use rustix::process::Signal;

use crate::checker::Moment;
use crate::place::Run;
use crate::processes::{of_place, signal};
use crate::stage::{DONE, NOTE, Stage, eventually, lines_of, numbered};

/// What is waited for in vain.
const TIME_IS_UP: [&str; 4] = ["--timeout", "500ms", "--grace", "200ms"];

/// Runs agents of several kinds, each item the name of one.
fn kinds(stage: &mut Stage, options: &[&str], agent: &str, kinds: &[&str], times: usize) -> Result<Run> {
    let script = format!("{NOTE}{agent}{DONE}");
    let map = ["map", "--job", "job", "--json", "-j", "8"];
    let arguments = [&map[..], options, &["--", "sh", "-c", &script, "agent", "{}"]].concat();
    let items = kinds.join("\n") + "\n";
    stage.start(&[], &arguments, &items.repeat(times), &[])
}

pub fn flee(stage: &mut Stage) -> Result<()> {
    let agent = "[ $WORKITEM_ATTEMPT = 1 ] && case $1 in
        session) setsid sleep 300 & sleep 300;;
        orphan) (setsid sh -c 'sleep 300 & sleep 300' &); sleep 300;;
        double) (setsid sh -c '(setsid sleep 300 &)' &); sleep 300;;
        group) set -m; sleep 300 & sh -c 'sleep 300 & wait' & wait;;
        naked) env -i setsid sleep 300 & env -i sleep 300 & sleep 300;;
        many) for n in 1 2 3 4 5 6 7 8; do setsid sleep 300 & sleep 300 & done; wait;;
        forks) while :; do sleep 300 & sleep 0.01; done;;
    esac";
    let fleeing = ["session", "orphan", "double", "group", "naked", "many", "forks"];
    let times = stage.of(1, 6);
    let options = [&TIME_IS_UP[..], &["--max-attempts", "2"]].concat();
    let run = kinds(stage, &options, agent, &fleeing, times)?;
    stage.ends("job", run, &[0])?;
    stage.finished("job", fleeing.len() * times, 0)
}

pub fn deaf(stage: &mut Stage) -> Result<()> {
    let agent = "[ -e awake ] || { trap '' TERM INT HUP QUIT; sh -c 'sleep 300 & sleep 300; sleep 300' & sleep 300; sleep 300; }";
    let run = kinds(stage, &TIME_IS_UP, agent, &["x"; 4], 1)?;
    stage.ends("job", run, &[3])?;
    stage.finished("job", 0, 4)?;

    let script = format!("{NOTE}{agent}{DONE}");
    let map = ["map", "--job", "stopped", "--json", "-j", "4", "--grace", "200ms", "--", "sh", "-c", &script];
    let run = stage.start(&[], &map, &numbered(4), &[])?;
    let starts = stage.place.file("started.stopped");
    eventually("agents sleep", || lines_of(&starts).is_ok_and(|starts| starts == 4))?;
    signal(run.id(), Signal::INT);
    stage.ends("stopped", run, &[4])?;
    stage.check("stopped", Moment::AtRest)?;
    stage.place.write("awake", "")?;
    stage.run("stopped", &["resume", "stopped", "--json"], "", &[0])?;
    stage.finished("stopped", 4, 0)
}

pub fn hold(stage: &mut Stage) -> Result<()> {
    let agent = "case $1 in
        group) sleep 300 & (sleep 300 &);;
        writes) yes & ;;
        away) setsid sh -c 'echo > away.$WORKITEM_ID; exec sleep 300' &;;
        talks) setsid sh -c 'echo > away.$WORKITEM_ID; while :; do echo x; sleep 0.01; done' &;;
    esac
    case $1 in away|talks) until [ -e away.$WORKITEM_ID ]; do sleep 0.01; done;; esac";
    let holding = ["group", "writes", "away", "talks"];
    let run = kinds(stage, &["--output-limit", "1M"], agent, &holding, 2)?;
    stage.ends("job", run, &[0])?;
    stage.finished("job", 8, 0)?;
    // Those that left their agent's group are daemons on purpose; they are let be, and nobody else is left.
    let daemons = ["sleep 300", "while :; do echo x", "sleep 0.01"];
    let left = of_place(stage.place.path());
    let others: Vec<_> =
        left.iter().filter(|left| !daemons.iter().any(|daemon| left.command.contains(daemon))).collect();
    stage.expect(others.is_empty(), || format!("others than daemons are left: {others:?}"));
    let sleeping = left.iter().filter(|left| left.command.starts_with("sleep 300")).count();
    stage.expect(sleeping == 2, || format!("of two daemons that sleep, {sleeping} are left: {left:?}"));
    "daemons were let be, as promised".clone_into(&mut stage.fact);
    stage.end_processes();
    Ok(())
}

pub fn close(stage: &mut Stage) -> Result<()> {
    let agent = "exec >&- 2>&- <&-; sleep 0.3; echo > \"over.$WORKITEM_ID\"";
    let script = format!("{NOTE}{agent}");
    let map = ["map", "--job", "job", "--json", "-j", "4", "--", "sh", "-c", &script];
    stage.run("job", &map, &numbered(8), &[0])?;
    for n in 1..=8 {
        let is_over = stage.place.file(format!("over.{n}")).exists();
        stage.expect(is_over, || format!("item {n} was completed before its agent was over"));
    }
    stage.finished("job", 8, 0)
}

pub fn shoot(stage: &mut Stage) -> Result<()> {
    // What is left of the parent's line after its name begins with its state, its parent and its group.
    let agent = "group() { set -- $(sed 's/.*) //' /proc/$PPID/stat); echo $3; }
        [ $WORKITEM_ATTEMPT = 1 ] && case $1 in
            own) kill -KILL 0;;
            *) kill -$1 -$(group); sleep 0.5;;
        esac";
    let signals = ["own", "INT", "TERM", "HUP", "QUIT", "KILL", "none"];
    let times = stage.of(1, 4);
    let options = ["--max-attempts", "2", "--drain", "100ms", "--grace", "100ms"];
    let mut run = kinds(stage, &options, agent, &signals, times)?;
    let mut runs = 0;
    loop {
        runs += 1;
        let ended = stage.ends("job", run, &[0, 4, -1, -2, -3, -9, -15])?;
        stage.check("job", if ended.code >= 0 { Moment::AtRest } else { Moment::Cut })?;
        if ended.code == 0 || runs > 10 * signals.len() {
            break;
        }
        run = stage.start(&[], &["resume", "job", "--json"], "", &[])?;
    }
    stage.fact = format!("{runs} runs until all was done");
    stage.finished("job", signals.len() * times, 0)
}
