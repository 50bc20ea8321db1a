//! Agents that end by themselves, and what they leave behind.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use tempfile::tempdir;
use workitem_store::Cause;

use super::{agent, alive, end_attempt, eventually, failure, run, sh, stdout};
use crate::agent::How;
use crate::process::{ProcessAgent, Template, is_of_the_terminal, is_want_of_room};
use crate::testing::Bench;

#[test]
fn exit_code_0_completes() {
    let bench = Bench::new("x");
    let (how, output) = run(&bench, &agent(&["true"]));
    let How::Completed(result) = how else { panic!("{how:?}") };
    assert_eq!((result.item_id.as_str(), &result.output), ("item-7", &None));
    assert!(result.is_success() && output.is_empty());
}

#[test]
fn every_other_ending_is_told_apart() {
    let bench = Bench::new("x");
    assert_eq!(failure(&bench, &sh("exit 7")), (Cause::Exit(7), "exit 7".to_owned()));
    assert_eq!(
        failure(&bench, &sh("echo out; echo one >&2; echo 'it broke' >&2; exit 1")),
        (Cause::Exit(1), "exit 1: it broke".to_owned())
    );
    assert_eq!(failure(&bench, &sh("kill -9 $$")), (Cause::Signal(9), "signal 9 (SIGKILL)".to_owned()));
    assert_eq!(
        failure(&bench, &agent(&["no-such-command", "{}"])),
        (Cause::NotStarted, "could not start `no-such-command`: No such file or directory".to_owned())
    );
}

#[test]
fn why_a_command_cannot_be_started_is_said() {
    let folder = tempdir().unwrap();
    let script = folder.path().join("script");
    fs::write(&script, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o644)).unwrap();
    let bench = Bench::new("x");
    let path = script.to_str().unwrap();
    assert_eq!(
        failure(&bench, &agent(&[path])),
        (Cause::NotStarted, format!("could not start `{path}`: Permission denied"))
    );
    let template = Template::parse(vec!["true".into()]).unwrap();
    assert_eq!(
        failure(&bench, &ProcessAgent::new(template, "/no/such/folder")),
        (Cause::NotStarted, "could not start `true`: there is no folder /no/such/folder".to_owned())
    );
}

#[test]
fn an_agent_that_closes_its_output_is_waited_for() {
    let before = Instant::now();
    let (cause, _) = failure(&Bench::new("x"), &sh("exec >&- 2>&-; sleep 0.3; exit 3"));
    assert_eq!(cause, Cause::Exit(3));
    assert!(before.elapsed() >= Duration::from_millis(300));
}

#[test]
fn what_it_leaves_running_in_its_group_is_ended() {
    let bench = Bench::new("x");
    let before = Instant::now();
    assert_eq!(stdout(&bench, &sh("sleep 100 & (trap '' TERM HUP; sleep 100) & echo done")), b"done\n");
    assert_eq!(alive(&bench), 0);
    assert!(before.elapsed() < Duration::from_secs(10));
}

#[test]
#[cfg(target_os = "linux")]
fn a_daemon_is_let_be_and_holds_nothing_up() {
    let bench = Bench::new("x");
    let before = Instant::now();
    let daemon = sh("setsid sh -c 'while :; do echo mine; sleep 0.01; done' & sleep 0.3; echo done");
    let printed = stdout(&bench, &daemon);
    assert!(printed.windows(5).any(|line| line == b"done\n"));
    assert!(before.elapsed() < Duration::from_secs(10));
    // It ends by SIGPIPE once it writes again, so only its end is certain.
    end_attempt(&bench);

    let quiet = sh("setsid sleep 100 & sleep 0.3; echo done");
    assert_eq!(stdout(&bench, &quiet), b"done\n");
    eventually("the daemon lives", || alive(&bench) == 1);
    assert_eq!(end_attempt(&bench), 1);
}

#[test]
fn want_of_room_is_told_from_what_is_wrong_with_a_command() {
    for errno in [Errno::MFILE, Errno::NFILE, Errno::AGAIN, Errno::NOMEM] {
        assert!(is_want_of_room(&errno.into()), "{errno}");
    }
    assert!(!is_want_of_room(&Errno::NOENT.into()) && !is_want_of_room(&std::io::Error::other("odd")));
}

#[test]
fn only_ctrl_c_and_a_hangup_come_from_the_terminal() {
    let [killed, failed] = [9, 7 << 8].map(ExitStatus::from_raw);
    assert!(!is_of_the_terminal(killed) && !is_of_the_terminal(failed));
    assert!([1, 2].map(ExitStatus::from_raw).into_iter().all(is_of_the_terminal));
}
