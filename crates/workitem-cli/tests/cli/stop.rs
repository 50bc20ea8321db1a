//! Being told to stop: by Ctrl-C, by SIGTERM, by a reader that has seen enough, by the clock.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;

use rustix::process::Signal;

use crate::workshop::{Output, Running, Workshop, eventually, lines};

/// Sleeps for a minute, unless there is a file `awake`.
const SLEEPER: &str = "[ -e awake ] || sleep 60; echo \"$WORKITEM_ID\"";

fn sleeping(shop: &Workshop, agent: &str, options: &[&str]) -> Running {
    shop.script("agent", agent);
    let map = ["map", "--job", "the job", "-j", "3"];
    let run = shop.spawn(&[&map[..], options, &["--", "./agent"]].concat(), lines(1..=10));
    eventually("three agents sleep", || shop.agents().len() == 6);
    run
}

/// What it says one should do to go on.
fn next_command(output: &Output) -> String {
    let next = output.stderr.lines().find_map(|line| line.trim().strip_prefix("go on with: "));
    next.unwrap_or_else(|| panic!("no command in {}", output.stderr)).to_owned()
}

#[test]
fn ctrl_c_ends_the_agents_and_says_how_to_go_on() {
    let shop = Workshop::new();
    let run = sleeping(&shop, SLEEPER, &["--store", "a store/x.db"]);
    run.signal(Signal::INT);
    let output = run.wait().exits(4).says(&["interrupted", "10 left"]);
    assert!(shop.agents().is_empty(), "{:?}", shop.agents());
    let items = shop.ask(&["items", "the job", "--json", "--store", "a store/x.db"]).exits(0).json_lines();
    assert!(items.iter().all(|item| item["status"] == "Pending" && item["failures"] == 0), "{items:?}");
    let attempts: u64 = items.iter().map(|item| item["attempts"].as_u64().unwrap()).sum();
    assert_eq!(attempts, 3, "an attempt that was interrupted has been made");

    shop.write("awake", "");
    assert_eq!(next_command(&output), "workitem resume 'the job' --store 'a store/x.db'");
    let resumed = shop.sh(&next_command(&output), "").exits(0);
    assert_eq!(resumed.lines().len(), 10);
    shop.ask(&["verify", "the job", "--store", "a store/x.db"]).exits(0);
}

#[test]
fn a_second_ctrl_c_does_not_wait() {
    let shop = Workshop::new();
    let run = sleeping(&shop, "trap '' TERM INT; sleep 60", &["--grace", "1h"]);
    run.signal(Signal::INT);
    // It says nothing while it waits, so all there is to see is that it has not ended.
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(shop.agents().len(), 6, "they do not listen, and have an hour's grace");
    run.signal(Signal::INT);
    run.wait().exits(4);
    assert!(shop.agents().is_empty(), "{:?}", shop.agents());
    assert_eq!(shop.counts("the job"), [10, 0, 0, 0, 0]);
    shop.verify("the job");
}

#[test]
fn agents_that_do_not_listen_are_killed_when_their_grace_is_over() {
    let shop = Workshop::new();
    let run = sleeping(&shop, "trap '' TERM INT; sleep 60", &["--grace", "100ms"]);
    run.signal(Signal::INT);
    run.wait().exits(4);
    assert!(shop.agents().is_empty(), "{:?}", shop.agents());
    assert_eq!(shop.counts("the job"), [10, 0, 0, 0, 0]);
}

#[test]
fn sigterm_lets_running_agents_finish() {
    let shop = Workshop::new();
    let run = sleeping(&shop, "until [ -e awake ]; do sleep 0.1; done; echo \"$WORKITEM_ID\"", &[]);
    run.signal(Signal::TERM);
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(shop.agents().len() >= 3, "{:?}", shop.agents());
    shop.write("awake", "");
    let output = run.wait().exits(4).says(&["3 of 10 items completed, 7 left"]);
    assert_eq!(output.sorted_lines(), ["1", "2", "3"]);
    assert_eq!(shop.counts("the job"), [7, 0, 3, 0, 0]);
    shop.ask(&["resume"]).exits(0);
    shop.verify("the job");
}

#[test]
fn sigterm_waits_no_longer_than_it_was_told_to() {
    let shop = Workshop::new();
    let run = sleeping(&shop, SLEEPER, &["--drain", "0s"]);
    run.signal(Signal::TERM);
    run.wait().exits(4);
    assert!(shop.agents().is_empty(), "{:?}", shop.agents());
    assert_eq!(shop.counts("the job"), [10, 0, 0, 0, 0]);
    shop.verify("the job");
}

#[test]
fn a_closed_terminal_stops_a_run_unless_it_was_started_to_outlive_it() {
    let shop = Workshop::new();
    shop.script("agent", SLEEPER);
    let mut map = shop.command("env");
    map.args(["--default-signal=HUP", "workitem", "map", "-j", "3", "--", "./agent"]);
    let run = shop.start(map, lines(1..=10));
    eventually("three agents sleep", || shop.agents().len() == 6);
    run.signal(Signal::HUP);
    run.wait().exits(4);

    let mut nohup = shop.command("nohup");
    nohup.args(["workitem", "resume", "-j", "3"]);
    let mut run = shop.start(nohup, "");
    eventually("three agents sleep", || shop.agents().len() == 6);
    run.signal(Signal::HUP);
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(!run.has_ended(), "nohup means that it goes on");
    run.signal(Signal::INT);
    run.wait().exits(4);
}

#[test]
fn ctrl_c_while_the_input_is_stored_says_to_run_the_same_map_again() {
    let shop = Workshop::new();
    let map = ["map", "--job", "job", "--", "echo", "{}"];
    let (run, mut input) = shop.spawn_piped(&map);
    input.write_all(b"one\ntwo\n").unwrap();
    shop.await_job();
    run.signal(Signal::INT);
    run.wait().exits(4).says(&["run the same `workitem map` again"]);
    assert_eq!(shop.run(&map, "one\ntwo\n").exits(0).sorted_lines(), ["one", "two"]);
}

#[test]
fn a_reader_that_has_seen_enough_stops_a_run_that_can_go_on() {
    let shop = Workshop::new();
    let mut map = shop.command("workitem");
    map.args(["map", "--job", "job", "-j", "2", "--", "sh", "-c", "sleep 0.01; echo \"$WORKITEM_ID\""]);
    map.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = map.spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines(1..=500).as_bytes()).unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(4), "{said}");
    assert!(!said.contains("panicked") && said.contains("workitem resume job"), "{said}");
    assert!(shop.counts("job")[0] > 0, "it stopped on its way");
    shop.ask(&["resume", "--quiet"]).exits(0);
    assert_eq!(shop.ask(&["output", "job"]).exits(0).lines().len(), 500);
    shop.verify("job");
}

#[test]
fn nobody_needs_to_listen_to_what_it_says() {
    let shop = Workshop::new();
    let fails = "map --job job -- sh -c 'echo out; exit 1'";
    for listener in ["2>&1 | true", "2>/dev/full", "2>&-"] {
        let code = shop.sh(&format!("(workitem {fails}; echo $? >code) {listener}"), "a\nb\nc\n");
        drop(code);
        assert_eq!(shop.read_lines("code"), ["3"], "{listener}");
        std::fs::remove_dir_all(shop.file(".workitem")).unwrap();
    }
}

#[test]
fn commands_that_print_end_quietly_when_nobody_reads() {
    let shop = Workshop::new();
    shop.run(&["map", "--job", "job", "--", "sh", "-c", "head -c 2000 /dev/zero"], lines(1..=100)).exits(0);
    for command in ["output job", "items job", "items job --json", "completions bash"] {
        let output = shop.sh(&format!("(workitem {command}; echo $? >code) | true"), "").exits(0);
        assert_eq!(
            (output.stderr.as_str(), shop.read_lines("code")),
            ("", vec!["0".to_owned()]),
            "{command}"
        );
    }
}

#[test]
fn an_attempt_that_takes_too_long_is_over_with_all_that_it_started() {
    let shop = Workshop::new();
    shop.script("agent", "[ $1 = quick ] && exec sleep 30; setsid sleep 100 & sleep 100 & sleep 100");
    let map = ["map", "--job", "job", "-j", "2", "--timeout", "1s", "--", "./agent", "{}"];
    let run = shop.spawn(&map, "slow\n");
    eventually("the slow one runs", || shop.agents().len() == 4);
    eventually("its time is up", || shop.counts("job")[4] == 1);
    assert!(shop.agents().is_empty(), "it was recorded while it ran: {:?}", shop.agents());
    run.wait().exits(3).says(&["timed out after 1s"]);
}
