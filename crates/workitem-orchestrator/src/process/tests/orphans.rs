//! Agents without an orchestrator.
#![cfg(target_os = "linux")]

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use super::{alive, eventually};
use crate::process::end_orphans;
use crate::testing::Bench;

fn orphan(run: &str, script: &str) -> Child {
    let mut command = Command::new("sh");
    command.args(["-c", script]).env("WORKITEM_RUN", run).process_group(0).stdout(Stdio::null());
    command.spawn().unwrap()
}

#[test]
fn all_agents_of_a_run_are_ended_and_no_others() {
    let (bench, other) = (Bench::new("x"), Bench::new("x"));
    let mut stranger = orphan(&other.run, "exec sleep 100");
    let script = "trap '' TERM HUP; setsid sleep 100 & env -i setsid sleep 100 & sleep 100 & wait";
    let mut orphans =
        [orphan(&format!("{}/1", bench.run), script), orphan(&format!("{}/2", bench.run), script)];
    eventually("the orphans run", || alive(&bench) == 8);

    assert_eq!(end_orphans(&bench.run).unwrap(), 8);
    assert_eq!(alive(&bench), 0, "zombies do not count, though nobody has collected these");
    assert_eq!(end_orphans(&bench.run).unwrap(), 0);
    for orphan in &mut orphans {
        orphan.wait().unwrap();
    }
    assert_eq!(alive(&other), 1);
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[test]
fn an_empty_prefix_is_refused() {
    assert_eq!(end_orphans("").unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
}
