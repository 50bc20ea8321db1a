//! Who reads the output, in which order, and what becomes of a run when nobody does.

use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::workshop::{Workshop, eventually, lines};

/// Items 2 and up print at once; item 1 waits for the file `first`.
const FIRST_WAITS: &str =
    "while [ $WORKITEM_ID = 1 ] && [ ! -e first ]; do sleep 0.02; done; echo out $WORKITEM_ID";

fn completed(shop: &Workshop) -> u64 {
    shop.counts("job")[2]
}

#[test]
fn an_item_given_up_in_recovery_does_not_hold_up_the_others() {
    let shop = Workshop::new();
    shop.script("agent", "[ -e awake ] || exec sleep 60; echo out $WORKITEM_ID");
    let map = ["map", "--job", "job", "-j", "1", "--keep-order", "--max-crashes", "0", "--", "./agent"];
    let run = shop.spawn(&map, lines(1..=4));
    eventually("an agent sleeps", || shop.agents().len() == 1);
    run.kill();
    shop.write("awake", "");
    let resumed = shop.ask(&["resume"]).exits(3);
    assert_eq!(resumed.lines(), ["out 2", "out 3", "out 4"]);
}

#[test]
fn items_that_are_added_are_printed_in_their_order() {
    let shop = Workshop::new();
    shop.script(
        "agent",
        "case $WORKITEM_ID in
           1) while [ ! -e first ]; do sleep 0.02; done;;
           2|3) exit 1;;
           2~1) sleep 0.3;;
         esac
         echo out $WORKITEM_ID",
    );
    let run = shop.spawn(&["map", "--job", "job", "-j", "3", "--keep-order", "--", "./agent"], lines(1..=3));
    shop.await_job();
    eventually("two are given up", || shop.counts("job")[4] == 2);
    shop.ask(&["dlq", "retry", "job", "--no-run"]).exits(0);
    eventually("both were run again", || completed(&shop) == 2);
    shop.write("first", "");
    assert_eq!(run.wait().exits(0).lines(), ["out 1", "out 2~1", "out 3~1"]);
}

#[test]
fn what_waits_for_its_turn_is_printed_when_the_run_is_stopped() {
    let shop = Workshop::new();
    shop.script("agent", FIRST_WAITS);
    let run = shop.spawn(&["map", "--job", "job", "-j", "2", "--keep-order", "--", "./agent"], lines(1..=4));
    shop.await_job();
    eventually("the others are done", || completed(&shop) == 3);
    run.signal(Signal::INT);
    assert_eq!(run.wait().exits(4).lines(), ["out 2", "out 3", "out 4"]);
    shop.write("first", "");
    assert_eq!(shop.ask(&["resume"]).exits(0).lines(), ["out 1"]);
}

#[test]
fn a_run_that_nobody_reads_can_be_stopped() {
    let shop = Workshop::new();
    shop.script("agent", "head -c 30000 /dev/zero");
    shop.write("input", lines(1..=600));
    let (unread, stdout) = std::io::pipe().unwrap();
    let mut map = shop.command("workitem");
    map.args(["map", "--job", "job", "-j", "2", "--input", "input", "--", "./agent"]);
    let mut map = map.stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped()).spawn().unwrap();
    // A pipe's worth, and as many as may wait; then it has to wait itself.
    eventually("it waits for its reader", || {
        let before = shop.exists(".workitem/workitem.db.locks/1").then(|| completed(&shop));
        sleep(Duration::from_millis(300));
        before.is_some_and(|before| before > 200 && completed(&shop) == before)
    });
    assert_eq!(map.try_wait().unwrap(), None);
    kill_process(Pid::from_child(&map), Signal::INT).unwrap();
    let output = map.wait_with_output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(4), "{told}");
    assert!(
        told.contains("not all of its output was read") && told.contains("workitem output job"),
        "{told}"
    );
    drop(unread);
    assert_eq!(shop.counts("job")[1], 0, "nothing is left in progress");
    shop.verify("job");
    shop.ask(&["resume", "--quiet"]).exits(0);
    assert_eq!(shop.ask(&["output", "job"]).exits(0).stdout.len(), 600 * 30_000);
}

#[test]
fn whatever_the_system_has_no_room_for_it_says_what_to_do() {
    let shop = Workshop::new();
    for files in [6, 8, 10, 12, 14] {
        let map = format!("ulimit -n {files}; workitem map --job job -- true");
        shop.sh(&map, lines(1..=3)).exits(5).says(&["workitem: ", "\n  "]);
    }
    shop.sh("workitem map --job job -- true", lines(1..=3)).exits(0);
    shop.verify("job");
}

#[test]
fn a_system_without_room_is_no_failure_of_the_items() {
    let shop = Workshop::new();
    shop.write("map", "ulimit -n 64; seq 60 | workitem map --job job -j 40 -- sleep 0.5");
    let mut map = shop.command("sh");
    map.arg("map").stdin(Stdio::null());
    shop.start(map, "").wait().exits(5).says(&["could not start `sleep`", "ulimit -n", "workitem resume"]);
    let [pending, in_progress, _, failed, dead] = shop.counts("job");
    assert_eq!((in_progress, failed, dead), (0, 0, 0));
    assert!(pending > 0);
    shop.verify("job");
    shop.ask(&["resume", "-j", "8"]).exits(0);
}

#[test]
fn daemons_of_completed_items_are_let_be() {
    let shop = Workshop::new();
    shop.script("agent", "setsid sleep 77 > /dev/null 2>&1 & echo $WORKITEM_ID >> started; sleep 0.1");
    shop.run(&["map", "--job", "job", "--", "./agent"], lines(1..=2)).exits(0);
    eventually("the daemons live", || shop.agents().len() == 2);
    shop.ask(&["resume"]).exits(0);
    assert_eq!(shop.agents().len(), 2, "{:?}", shop.agents());
}

#[test]
fn an_unnamed_job_whose_input_was_cut_off_is_forgotten() {
    let shop = Workshop::new();
    let (run, input) = shop.spawn_piped(&["map", "--", "true"]);
    shop.await_job();
    run.kill();
    drop(input);
    shop.run(&["map", "--", "true"], lines(1..=2)).exits(0);
    let jobs = shop.ask(&["jobs", "--json"]).exits(0).json_lines();
    assert_eq!(jobs.len(), 1, "{jobs:?}");
    assert_eq!(jobs[0]["state"], "finished");
}
