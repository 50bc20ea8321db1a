//! Pausing, cancelling and adding to a job from another terminal while it runs.

use std::thread::sleep;
use std::time::Duration;

use serde_json::json;

use rustix::process::Signal;

use crate::workshop::{Running, Workshop, eventually, lines};

/// Longer than a run takes to see what is wanted of it.
const SEEN: Duration = Duration::from_millis(400);

/// Waits for a file of its own: `touch go/ID` lets an item end, and `touch go/all` all of them.
const WAITER: &str = "echo \"$WORKITEM_ID\" >> started
until [ -e go/all ] || [ -e \"go/$WORKITEM_ID\" ]; do sleep 0.02; done
echo \"$WORKITEM_ID\"";

/// A job of ten items whose first two are running.
fn waiting(shop: &Workshop) -> Running {
    shop.script("agent", WAITER);
    shop.sh("mkdir go", "").exits(0);
    let run = shop.spawn(&["map", "--job", "job", "-j", "2", "--", "./agent"], lines(1..=10));
    eventually("two agents run", || shop.read_lines("started").len() == 2);
    run
}

#[test]
fn a_paused_job_starts_nothing_and_an_unpaused_one_goes_on() {
    let shop = Workshop::new();
    let mut run = waiting(&shop);
    shop.ask(&["pause", "job"]).exits(0);
    assert_eq!(shop.status("job")["state"], "paused");
    shop.ask(&["resume", "job"]).complains(6, &["is being run by"]);
    assert_eq!(shop.status("job")["state"], "paused", "who cannot run it does not unpause it");
    sleep(SEEN);
    shop.write("go/1", "");
    eventually("the first item is done", || shop.counts("job")[2] == 1);
    sleep(SEEN);
    assert_eq!(shop.read_lines("started").len(), 2, "nothing is started while it is paused");
    assert_eq!(shop.counts("job"), [8, 1, 1, 0, 0]);
    assert!(!run.has_ended());

    shop.ask(&["unpause", "job"]).exits(0);
    assert_eq!(shop.status("job")["state"], "running");
    shop.write("go/all", "");
    let output = run.wait().exits(0).says(&["job: paused; go on with: workitem unpause job", "job: goes on"]);
    assert_eq!(output.lines().len(), 10);
    shop.verify("job");
}

#[test]
fn a_cancelled_job_stops_and_stays_so_until_that_is_taken_back() {
    let shop = Workshop::new();
    let run = waiting(&shop);
    shop.ask(&["cancel", "job"]).exits(0);
    run.wait().exits(3).says(&["job: cancelled after", "take that back with: workitem unpause job"]);
    assert!(shop.agents().is_empty(), "{:?}", shop.agents());
    assert_eq!(shop.counts("job"), [10, 0, 0, 0, 0], "what ran was put back");
    assert_eq!(shop.status("job")["state"], "cancelled");
    shop.ask(&["resume", "job"]).complains(3, &["job `job` was cancelled", "workitem unpause job"]);
    let map = ["map", "--job", "job", "-j", "2", "--", "./agent"];
    shop.run(&map, lines(1..=10)).exits(3).says(&["job `job` was cancelled", "workitem unpause job"]);
    assert_eq!(shop.read_lines("started").len(), 2, "nothing was started any more");

    shop.ask(&["unpause", "job"]).exits(0);
    assert_eq!(shop.status("job")["state"], "interrupted");
    shop.write("go/all", "");
    shop.ask(&["resume", "job"]).exits(0);
    shop.verify("job");
    shop.ask(&["cancel", "job"]).complains(2, &["job `job` is finished"]);
    assert_eq!(shop.status("job")["state"], "finished");
}

#[test]
fn cancelling_a_job_whose_run_was_killed_ends_its_agents() {
    let shop = Workshop::new();
    waiting(&shop).kill();
    assert!(!shop.agents().is_empty());
    assert_eq!(shop.counts("job"), [8, 2, 0, 0, 0]);
    shop.ask(&["cancel", "job"]).exits(0);
    assert!(shop.agents().is_empty(), "{:?}", shop.agents());
    assert_eq!(shop.counts("job"), [10, 0, 0, 0, 0], "what ran was put back");
    assert_eq!(shop.status("job")["state"], "cancelled");
    shop.verify("job");
}

#[test]
fn a_run_that_was_killed_before_it_saw_its_cancellation_leaves_nothing_to_those_who_do() {
    let shop = Workshop::new();
    let run = waiting(&shop);
    run.signal(Signal::STOP);
    shop.ask(&["cancel", "job"]).exits(0);
    assert_eq!(shop.counts("job"), [8, 2, 0, 0, 0], "who has the lock may be alive");
    run.kill();
    shop.ask(&["resume", "job"]).complains(3, &["job `job` was cancelled", "workitem unpause job"]);
    assert!(shop.agents().is_empty(), "{:?}", shop.agents());
    assert_eq!(shop.counts("job"), [10, 0, 0, 0, 0], "what ran was put back");
    shop.verify("job");
}

#[test]
fn resume_goes_on_with_a_paused_job() {
    let shop = Workshop::new();
    let run = waiting(&shop);
    shop.ask(&["pause", "job"]).exits(0);
    run.kill();
    assert_eq!(shop.status("job")["state"], "paused");
    shop.write("go/all", "");
    shop.ask(&["resume", "job"]).exits(0).says(&["job: was paused, goes on"]);
    assert_eq!(shop.counts("job"), [0, 0, 10, 0, 0]);
}

#[test]
fn items_are_added_to_a_job_that_runs() {
    let shop = Workshop::new();
    let run = waiting(&shop);
    shop.run(&["add", "job"], lines(["a", "b", "c"])).exits(0).says(&["job: added 3 items"]);
    assert_eq!(shop.counts("job"), [11, 2, 0, 0, 0]);
    shop.write("go/all", "");
    let output = run.wait().exits(0).says(&["13 of 13 items completed"]);
    assert_eq!(output.sorted_lines().len(), 13);
    assert!(shop.items("job").contains_key("13"), "positions go on where the input ended");
    shop.verify("job");
}

#[test]
fn items_are_added_to_a_job_that_does_not_run() {
    let shop = Workshop::new();
    shop.run(&["map", "--job", "job", "--", "echo", "{}"], lines(1..=2)).exits(0);
    shop.run(&["add", "job"], lines(["three"])).exits(0).says(&["run them with: workitem resume job"]);
    assert_eq!(shop.ask(&["resume", "job"]).exits(0).text(), "three\n");
    assert_eq!(shop.ask(&["output", "job"]).exits(0).text(), "1\n2\nthree\n");
    shop.verify("job");
    // The input of the job is what it was.
    shop.run(&["map", "--job", "job", "--", "echo", "{}"], lines(1..=2)).exits(0);
    let other = shop.run(&["map", "--job", "job", "--", "echo", "{}"], lines(1..=3));
    other.complains(2, &["it has 2 items, this input has 3"]);
}

#[test]
fn added_items_have_the_ids_that_the_job_takes_from_them() {
    let shop = Workshop::new();
    let records = |ids: &[&str]| lines(ids.iter().map(|id| json!({ "id": id, "n": 1 })));
    let map = ["map", "--job", "job", "--format", "jsonl", "--id-from", ".id", "--", "echo", "{id}"];
    shop.run(&map, records(&["a", "b"])).exits(0);
    let add = ["add", "job", "--format", "jsonl"];
    shop.run(&add, records(&["b", "c"])).exits(0).says(&["added 1 item, 1 there already"]);
    shop.run(&add, records(&["b", "c"])).exits(0).says(&["added 0 items, 2 there already"]);
    let other = shop.run(&add, "{\"id\": \"d\"}\n{\"id\": \"a\", \"n\": 2}\n");
    other.complains(2, &["item `a` was submitted before with another payload", "nothing was added"]);
    assert_eq!(shop.items("job").into_keys().collect::<Vec<_>>(), ["a", "b", "c"]);
    shop.ask(&["resume"]).exits(0);
    shop.verify("job");
}

#[test]
fn what_cannot_be_added_is_refused_and_adds_nothing() {
    let shop = Workshop::new();
    shop.run(&["add", "job"], "1\n").complains(2, &["there is no store"]);
    shop.run(&["map", "--job", "job", "--", "echo", "{}"], "1\n").exits(0);
    shop.run(&["add", "other"], "1\n").complains(2, &["there is no job `other`"]);
    shop.run(&["add", "job"], b"fine\n\xff\n").complains(2, &["line 2 cannot be an item"]);
    assert_eq!(shop.counts("job"), [0, 0, 1, 0, 0]);
    shop.run(&["add", "job", "--skip-bad"], b"fine\n\xff\n").exits(0).says(&["added 1 item, 1 passed over"]);
    shop.run(&["add", "job"], "").exits(0).says(&["added 0 items"]);
    assert_eq!(shop.items("job").into_keys().collect::<Vec<_>>(), ["1", "2"]);
    shop.run(&["add", "job"], "next\n").exits(0);
    assert!(shop.items("job").contains_key("4"), "a line that was passed over has its position, too");
}

#[test]
fn of_items_with_one_id_the_first_is_taken_if_asked_for() {
    let shop = Workshop::new();
    let input = "{\"id\":\"a\"}\n{\"id\":\"b\"}\n{\"id\":\"a\",\"again\":true}\nnot JSON\n";
    let map = ["map", "--job", "job", "--format", "jsonl", "--id-from", ".id"];
    let with = |more: &[&str]| shop.run(&[&map[..], more, &["--", "echo", "{}"]].concat(), input);
    with(&[]).complains(2, &["line 1 and line 3 have the same id `a`"]);
    with(&["--dedup"]).complains(2, &["line 4 cannot be an item"]);
    with(&["--dedup", "--skip-bad"]).exits(0).says(&["2 items, 2 lines passed over"]);
    let skipped = shop.ask(&["items", "job", "--skipped"]).exits(0);
    assert_eq!(skipped.lines()[0], "line 3: has the id `a` of line 1");
    assert_eq!(shop.ask(&["output", "job"]).text(), "{\"id\":\"a\"}\n{\"id\":\"b\"}\n");
    let alone = shop.run(&["map", "--dedup", "--", "true"], "1\n").exits(2);
    assert!(alone.stderr.contains("--id-from"), "{}", alone.stderr);
}

#[test]
fn a_job_can_be_watched_until_it_ends() {
    let shop = Workshop::new();
    let run = waiting(&shop);
    let mut watch = shop.spawn(&["watch"], "");
    eventually("it tells how far the job is", || watch.stderr().contains("job: 0 of 10 done"));
    assert!(watch.stderr().contains("2 running"), "{}", watch.stderr());
    assert!(!watch.has_ended());
    shop.write("go/all", "");
    run.wait().exits(0);
    watch.wait().exits(0).says(&["job: finished, 10 of 10 items completed, 0 left"]);

    shop.ask(&["watch", "job"]).exits(0).says(&["job: finished"]);
    shop.run(&["map", "--job", "bad", "--", "false"], lines(1..=2)).exits(3);
    shop.ask(&["watch", "bad"]).exits(3).says(&["bad: finished, 0 of 2 items completed"]);
    shop.ask(&["watch", "nobody"]).complains(2, &["there is no job `nobody`"]);
}

#[test]
fn a_watcher_that_is_a_program_gets_a_line_a_second_or_change_and_one_at_the_end() {
    let shop = Workshop::new();
    let run = waiting(&shop);
    let watch = shop.spawn(&["watch", "job", "--json"], "");
    eventually("it tells the first line", || watch.stdout().contains('\n'));
    shop.ask(&["pause", "job"]).exits(0);
    eventually("it tells the pause", || watch.stdout().contains("\"paused\""));
    shop.ask(&["unpause", "job"]).exits(0);
    eventually("it goes on", || watch.stdout().lines().count() >= 3);
    shop.write("go/all", "");
    run.wait().exits(0);
    let watched = watch.wait().exits(0);
    assert_eq!(watched.stderr, "");
    let told = watched.json_lines();
    let (end, progress) = told.split_last().unwrap();
    for line in progress {
        assert_eq!((&line["event"], &line["job"]), (&"progress".into(), &"job".into()), "{line}");
        assert!(line["rate"].is_number() || line["runner"].is_null(), "{line}");
    }
    let first = &progress[0];
    assert_eq!((&first["state"], &first["counts"]["in_progress"]), (&"running".into(), &2.into()));
    let ids: Vec<&str> =
        first["running"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["1", "2"]);
    assert_eq!(
        (&end["event"], &end["state"], &end["exit"]),
        (&"ended".into(), &"finished".into(), &0.into())
    );
    assert_eq!(end["counts"]["completed"], 10);

    // What nobody runs is told once.
    assert_eq!(shop.ask(&["watch", "job", "--json"]).exits(0).json()["event"], "ended");
    shop.run(&["map", "--job", "bad", "--", "false"], lines(1..=2)).exits(3);
    let bad = shop.ask(&["watch", "bad", "--json"]).exits(3).json();
    assert_eq!((&bad["exit"], &bad["open_letters"], &bad["runner"]), (&3.into(), &2.into(), &json!(null)));
    shop.ask(&["watch", "nobody", "--json"]).complains(2, &["there is no job `nobody`"]);
}

#[test]
fn a_cancellation_that_came_too_late_can_be_taken_back() {
    let shop = Workshop::new();
    shop.run(&["map", "--job", "job", "--", "test", "-e", "mended"], "a\n").exits(3);
    shop.database().execute("UPDATE jobs SET control = 2", []).unwrap();
    shop.ask(&["resume", "job"]).complains(3, &["was cancelled", "workitem unpause job"]);
    shop.ask(&["unpause", "job"]).exits(0);
    shop.ask(&["unpause", "job"]).complains(2, &["job `job` is finished"]);
    shop.write("mended", "");
    shop.ask(&["dlq", "retry", "job"]).exits(0);
}
