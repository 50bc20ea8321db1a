//! Agents without an orchestrator.
#![cfg(target_os = "linux")]

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use super::{alive, eventually};
use crate::process::end_orphans as end;
use crate::testing::Bench;

fn orphan(run: &str, attempt: &str, script: &str) -> Child {
    orphan_in(run, attempt, script).process_group(0).spawn().unwrap()
}

/// One that stays in the group of the tests.
fn orphan_in(run: &str, attempt: &str, script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]).stdout(Stdio::null());
    command.env("WORKITEM_RUN", run).env("WORKITEM_ID", "7").env("WORKITEM_ATTEMPT", attempt);
    command
}

fn end_orphans(run: &str) -> std::io::Result<usize> {
    end(run, &[("7".to_owned(), 1), ("8".to_owned(), 2)].into())
}

#[test]
fn all_agents_of_a_run_are_ended_and_no_others() {
    let (bench, other) = (Bench::new("x"), Bench::new("x"));
    let mut stranger = orphan(&other.run, "1", "exec sleep 100");
    let script = "trap '' TERM HUP; setsid sleep 100 & env -i setsid sleep 100 & sleep 100 & wait";
    let mut settled = orphan(&bench.run, "2", "exec sleep 100");
    let mut orphans =
        [orphan(&format!("{}/1", bench.run), "1", script), orphan(&format!("{}/2", bench.run), "1", script)];
    eventually("the orphans run", || alive(&bench) == 9);

    assert_eq!(end_orphans(&bench.run).unwrap(), 8);
    assert_eq!(
        alive(&bench),
        1,
        "an attempt that is settled is let be; zombies do not count, though nobody has collected these"
    );
    assert_eq!(end_orphans(&bench.run).unwrap(), 0);
    for orphan in &mut orphans {
        orphan.wait().unwrap();
    }
    assert_eq!(alive(&other), 1);
    for process in [&mut stranger, &mut settled] {
        process.kill().unwrap();
        process.wait().unwrap();
    }
}

#[test]
fn an_orphan_in_the_group_of_whoever_ends_it_is_ended_alone() {
    let bench = Bench::new("x");
    let mut bystander = Command::new("sleep").arg("100").spawn().unwrap();
    let mut orphan = orphan_in(&bench.run, "1", "exec sleep 100").spawn().unwrap();
    eventually("the orphan runs", || alive(&bench) == 1);
    assert_eq!(end_orphans(&bench.run).unwrap(), 1);
    assert!(orphan.wait().unwrap().code().is_none());
    assert!(bystander.try_wait().unwrap().is_none());
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}

#[test]
fn an_empty_prefix_is_refused() {
    assert_eq!(end_orphans("").unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
}
