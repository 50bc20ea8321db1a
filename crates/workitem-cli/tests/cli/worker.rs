//! Working on jobs as they come: one worker on a file, several on a server.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::workshop::{Running, Workshop, eventually, lines};

/// A job of which nothing has run.
fn waiting_job(shop: &Workshop, store: &[&str], name: &str, items: usize, agent: &str, options: &[&str]) {
    let script = format!("{name}.sh");
    shop.script(&script, "kill -INT $PPID; sleep 60");
    let command = format!("./{script}");
    let map = [&["map", "--job", name, "-j", "1"], store, options, &["--", &command]].concat();
    shop.run(&map, lines(1..=items)).exits(4);
    shop.script(&script, agent);
}

/// A store of its own on the server of these tests.
fn server() -> String {
    workitem_pgtest::shared().schema_url("cli")
}

fn count(shop: &Workshop, store: &[&str], job: &str, state: &str) -> u64 {
    let status = shop.ask(&[&["status", job, "--json"], store].concat()).exits(0).json();
    status["counts"][state].as_u64().unwrap()
}

#[test]
fn a_worker_runs_what_is_left_of_every_job_and_ends_when_all_is_done() {
    let shop = Workshop::new();
    waiting_job(&shop, &[], "one", 5, "echo $WORKITEM_ID", &[]);
    waiting_job(&shop, &[], "two", 4, "[ $WORKITEM_ID != 3 ]", &[]);
    let output = shop.ask(&["worker", "--until-done", "-j", "2"]).exits(3);
    let output = output.says(&["one: 5 completed", "one: finished: 5 completed"]);
    let _ =
        output.says(&["two: 3 completed, 1 failed attempt", "two: finished: 3 completed, 1 dead-lettered"]);
    assert_eq!(shop.counts("one"), [0, 0, 5, 0, 0]);
    assert_eq!(shop.counts("two"), [0, 0, 3, 0, 1]);
    assert_eq!(shop.ask(&["output", "one"]).exits(0).lines(), ["1", "2", "3", "4", "5"]);
    shop.verify("one");
    // There is nothing left to do, and what others have left undone is not its fault.
    shop.ask(&["worker", "--until-done"]).exits(0);
    shop.ask(&["worker", "two", "--until-done"]).exits(3);
}

#[test]
fn a_worker_waits_for_more_and_ends_when_told_to() {
    let shop = Workshop::new();
    waiting_job(&shop, &[], "job", 2, "echo $WORKITEM_ID >> ran", &[]);
    let worker = shop.spawn(&["worker", "--json"], "");
    eventually("all is done", || shop.read_lines("ran").len() == 2);
    shop.run(&["add", "job", "--quiet"], lines(3..=4)).exits(0);
    eventually("what was added is done, too", || shop.read_lines("ran").len() == 4);
    eventually("it is recorded", || shop.counts("job") == [0, 0, 4, 0, 0]);
    worker.signal(Signal::TERM);
    let output = worker.wait().exits(0);
    let done: u64 = output.events().iter().filter_map(|event| event["completed"].as_u64()).sum();
    assert!(done >= 4, "{}", output.stderr);
}

#[test]
fn a_worker_lets_its_agents_finish_and_ctrl_c_puts_their_items_back() {
    for (signal, expected) in [(Signal::TERM, [3, 0, 2, 0, 0]), (Signal::INT, [5, 0, 0, 0, 0])] {
        let shop = Workshop::new();
        waiting_job(
            &shop,
            &[],
            "job",
            5,
            "echo $WORKITEM_ID >> ran; while [ ! -e go ]; do sleep 0.01; done",
            &[],
        );
        let worker = shop.spawn(&["worker", "-j", "2"], "");
        eventually("two agents run", || shop.read_lines("ran").len() == 2);
        worker.signal(signal);
        if signal == Signal::TERM {
            shop.write("go", "");
        }
        worker.wait().exits(0);
        assert_eq!(shop.counts("job"), expected);
        shop.verify("job");
    }
}

#[test]
fn a_worker_that_is_stopped_before_all_is_done_says_so() {
    let shop = Workshop::new();
    waiting_job(&shop, &[], "job", 5, "echo $WORKITEM_ID >> ran; sleep 60", &[]);
    let worker = shop.spawn(&["worker", "-j", "2", "--until-done"], "");
    eventually("two agents run", || shop.read_lines("ran").len() == 2);
    worker.signal(Signal::INT);
    worker.wait().exits(4).says(&["job: 0 completed, 2 put back"]);
    assert_eq!(shop.counts("job"), [5, 0, 0, 0, 0]);
}

#[test]
fn a_worker_that_has_no_time_to_drain_puts_its_items_back() {
    let shop = Workshop::new();
    waiting_job(&shop, &[], "job", 3, "echo $WORKITEM_ID >> ran; sleep 60", &[]);
    let worker = shop.spawn(&["worker", "-j", "2", "--drain", "0s"], "");
    eventually("two agents run", || shop.read_lines("ran").len() == 2);
    worker.signal(Signal::TERM);
    // Else it would wait for them for half a minute, and that is all there is to see of it.
    worker.wait_at_most(Duration::from_secs(25)).exits(0).says(&["job: 0 completed, 2 put back"]);
    assert_eq!(shop.counts("job"), [3, 0, 0, 0, 0]);
}

#[test]
fn a_rule_that_fires_pauses_the_job_for_all() {
    let shop = Workshop::new();
    waiting_job(&shop, &[], "job", 400, "exit 1", &["--max-failures", "2"]);
    let worker = shop.spawn(&["worker", "-j", "1"], "");
    eventually("the job is paused", || shop.status("job")["state"] == "paused");
    let before = shop.counts("job");
    assert!(before[4] >= 2 && before[0] > 100, "{before:?}");
    worker.signal(Signal::TERM);
    worker.wait().exits(0).says(&["job: paused: ", "go on with: workitem unpause job"]);
    assert_eq!(shop.counts("job"), before);
}

#[test]
fn what_cannot_be_run_here_is_passed_over_unless_it_was_asked_for() {
    let shop = Workshop::new();
    std::fs::create_dir(shop.file("elsewhere")).unwrap();
    shop.script("elsewhere/agent", "kill -INT $PPID; sleep 60");
    let map = ["map", "--job", "gone", "-j", "1", "--cwd", "elsewhere", "--", "./agent"];
    shop.run(&map, lines(1..=2)).exits(4);
    std::fs::remove_dir_all(shop.file("elsewhere")).unwrap();
    waiting_job(&shop, &[], "here", 2, "true", &[]);
    let worker = shop.spawn(&["worker"], "");
    eventually("the other job is done", || shop.counts("here") == [0, 0, 2, 0, 0]);
    worker.signal(Signal::TERM);
    let output = worker.wait().exits(0).says(&["cannot work on job `gone`", "--cwd"]);
    assert_eq!(output.stderr.matches("cannot work on job `gone`").count(), 1, "it is told once");
    shop.ask(&["worker", "gone"]).exits(5).says(&["no folder", "elsewhere"]);
    assert_eq!(shop.counts("gone"), [2, 0, 0, 0, 0]);
    shop.ask(&["worker", "nothing"]).exits(2).says(&["no job `nothing`"]);
}

#[test]
fn health_and_metrics_are_told_by_http() {
    let shop = Workshop::new();
    waiting_job(&shop, &[], "job", 3, "true", &[]);
    let worker = shop.spawn(&["worker", "--json", "--metrics", "0"], "");
    eventually("the job is done", || shop.counts("job") == [0, 0, 3, 0, 0]);
    let told = worker.stderr();
    let first: Value = serde_json::from_str(told.lines().next().unwrap()).unwrap();
    let address = first["address"].as_str().unwrap();
    let get = |path: &str| {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    eventually("it is counted", || {
        get("/metrics").contains("workitem_attempts_total{outcome=\"completed\"} 3")
    });
    assert!(get("/health").starts_with("HTTP/1.0 200"), "{}", get("/health"));
    assert!(get("/").starts_with("HTTP/1.0 404"));
    shop.ask(&["worker", "--metrics", address]).exits(2).says(&["cannot answer at", "--metrics"]);
    worker.signal(Signal::TERM);
    worker.wait().exits(0);
}

#[test]
fn workers_share_a_job_with_the_map_that_made_it() {
    let shop = Workshop::new();
    let address = server();
    let store = ["--store", &address];
    shop.script(
        "agent",
        "echo $WORKITEM_ID >> ran; while [ ! -e go ]; do sleep 0.01; done; echo $WORKITEM_ID",
    );
    let map = [&["map", "--job", "job", "-j", "2"], &store[..], &["--", "./agent"]].concat();
    let map = shop.spawn(&map, lines(1..=20));
    eventually("two agents run", || shop.read_lines("ran").len() == 2);
    let workers: Vec<Running> = (0..2)
        .map(|_| shop.spawn(&[&["worker", "-j", "3", "--until-done"], &store[..]].concat(), ""))
        .collect();
    eventually("eight agents run", || shop.read_lines("ran").len() == 8);
    assert_eq!(count(&shop, &store, "job", "in_progress"), 8, "claimed ahead is nothing yet");
    shop.ask(&[&["verify", "job"], &store[..]].concat()).exits(6);
    shop.ask(&[&["resume", "job"], &store[..]].concat()).exits(6);
    shop.write("go", "");
    map.wait().exits(0).says(&["20 of 20 items completed"]);
    for worker in workers {
        worker.wait().exits(0);
    }
    assert_eq!(shop.read_lines("ran").len(), 20, "each has run once");
    assert_eq!(shop.ask(&[&["output", "job"], &store[..]].concat()).exits(0).lines().len(), 20);
    shop.ask(&[&["verify", "job"], &store[..]].concat()).exits(0);
}

#[test]
fn what_a_lost_worker_had_is_taken_up_and_its_late_word_counts_for_nothing() {
    let shop = Workshop::new();
    let address = server();
    let store = ["--store", &address];
    let agent = "echo $WORKITEM_ID >> ran; while [ ! -e go ]; do sleep 0.01; done";
    waiting_job(&shop, &store, "job", 6, agent, &[]);
    let worker = |jobs: &str| {
        shop.spawn(&[&["worker", "job", "-j", jobs, "--lease", "1s", "--json"], &store[..]].concat(), "")
    };
    let (killed, stopped) = (worker("2"), worker("2"));
    eventually("four agents run", || shop.read_lines("ran").len() == 4);
    killed.signal(Signal::KILL);
    stopped.signal(Signal::STOP);
    let heir = worker("6");
    eventually("all are run by one", || shop.read_lines("ran").len() == 10);
    shop.write("go", "");
    eventually("all is done", || count(&shop, &store, "job", "completed") == 6);
    stopped.signal(Signal::CONT);
    for worker in [stopped, heir] {
        worker.signal(Signal::TERM);
        worker.wait().exits(0);
    }
    killed.wait();
    shop.ask(&[&["verify", "job"], &store[..]].concat()).exits(0);
    let completed = shop.ask(&[&["history", "job", "1"], &store[..]].concat()).exits(0);
    assert_eq!(completed.text().matches("AgentComplete").count(), 1);
}

#[test]
fn pause_and_cancel_reach_a_worker_elsewhere_at_once() {
    let shop = Workshop::new();
    let address = server();
    let store = ["--store", &address];
    waiting_job(&shop, &store, "job", 500, "sleep 0.02", &[]);
    let worker = shop.spawn(&[&["worker", "-j", "2"], &store[..]].concat(), "");
    eventually("some are done", || count(&shop, &store, "job", "completed") > 3);
    shop.ask(&[&["pause", "job"], &store[..]].concat()).exits(0);
    eventually("nothing runs", || count(&shop, &store, "job", "in_progress") == 0);
    let paused_at = count(&shop, &store, "job", "completed");
    assert!(paused_at < 500);
    shop.ask(&[&["unpause", "job"], &store[..]].concat()).exits(0);
    eventually("it goes on", || count(&shop, &store, "job", "completed") > paused_at);
    shop.ask(&[&["cancel", "job"], &store[..]].concat()).exits(0);
    eventually("nothing runs", || count(&shop, &store, "job", "in_progress") == 0);
    worker.signal(Signal::TERM);
    worker.wait().exits(0);
    assert!(count(&shop, &store, "job", "pending") > 0);
    shop.ask(&[&["verify", "job"], &store[..]].concat()).exits(0);
}

#[test]
fn what_a_lost_worker_had_of_a_cancelled_job_is_put_back_as_well() {
    let shop = Workshop::new();
    let address = server();
    let store = ["--store", &address];
    let agent = "echo $WORKITEM_ID >> ran; while [ ! -e go ]; do sleep 0.01; done";
    waiting_job(&shop, &store, "job", 6, agent, &[]);
    let worker = shop.spawn(&[&["worker", "job", "-j", "2", "--lease", "1s"], &store[..]].concat(), "");
    eventually("two agents run", || shop.read_lines("ran").len() == 2);
    worker.kill();
    shop.ask(&[&["cancel", "job"], &store[..]].concat()).exits(0);
    assert_eq!(count(&shop, &store, "job", "in_progress"), 2, "its lease has not run out");
    // It ends as soon as nothing is in progress.
    shop.ask(&[&["worker", "job", "--until-done"], &store[..]].concat()).exits(3);
    assert!(shop.agents().is_empty(), "{:?}", shop.agents());
    assert_eq!(count(&shop, &store, "job", "pending"), 6);
    shop.ask(&[&["verify", "job"], &store[..]].concat()).exits(0);
}

#[test]
fn a_worker_goes_on_when_its_server_is_back() {
    let shop = Workshop::new();
    let mut server = workitem_pgtest::Server::start(&[]).unwrap();
    let address = server.schema_url("cli");
    let store = ["--store", &address];
    let agent = "echo $WORKITEM_ID >> ran; while [ ! -e go ]; do sleep 0.01; done";
    waiting_job(&shop, &store, "job", 4, agent, &[]);
    let worker =
        shop.spawn(&[&["worker", "-j", "2", "--lease", "1s", "--until-done"], &store[..]].concat(), "");
    eventually("two agents run", || shop.read_lines("ran").len() == 2);
    server.kill().unwrap();
    eventually("it has tried in vain to open the store", || {
        worker.stderr().matches("; again in ").count() > 1
    });
    server.start_again().unwrap();
    shop.write("go", "");
    worker.wait().exits(0).says(&["job: finished: 4 completed"]);
    shop.ask(&[&["verify", "job"], &store[..]].concat()).exits(0);
}

#[test]
fn a_worker_that_finds_a_newer_schema_when_it_opens_the_store_again_ends_and_says_so() {
    let shop = Workshop::new();
    let address = server();
    let schema = address.rsplit_once("schema=").unwrap().1.to_owned();
    let address = format!("{address}&application_name={schema}");
    let store = ["--store", &address];
    shop.run(&[&["map", "--job", "job"], &store[..], &["--", "true"]].concat(), lines(1..=2)).exits(0);
    let worker = shop.spawn(&[&["worker"], &store[..]].concat(), "");
    let mut admin = postgres::Client::connect(workitem_pgtest::shared().url(), postgres::NoTls).unwrap();
    let sessions =
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = $1";
    eventually("it is there", || {
        let listens =
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND query LIKE 'LISTEN%'";
        admin.query_one(listens, &[&schema]).unwrap().get::<_, i64>(0) > 0
    });
    // What a program of tomorrow does, under one of today.
    admin.execute(&format!("UPDATE {schema}.meta SET version = version + 1"), &[]).unwrap();
    admin.query_one(sessions, &[&schema]).unwrap();
    worker.wait().exits(5).says(&["has schema version 2, this program knows up to 1: use a newer one"]);
}

#[test]
fn who_works_without_the_lock_is_in_the_way_of_verify_and_of_gc() {
    let shop = Workshop::new();
    let address = server();
    let store = ["--store", &address];
    waiting_job(
        &shop,
        &store,
        "job",
        2,
        "echo $WORKITEM_ID >> ran; while [ ! -e go ]; do sleep 0.01; done",
        &[],
    );
    let worker = shop.spawn(&[&["worker", "-j", "1"], &store[..]].concat(), "");
    eventually("an agent runs", || shop.read_lines("ran").len() == 1);
    shop.ask(&[&["verify", "job"], &store[..]].concat()).exits(6).says(&["is being run by process"]);
    shop.ask(&[&["gc", "job", "--unfinished"], &store[..]].concat()).exits(6);
    shop.ask(&[&["gc", "--older-than", "0s", "--unfinished"], &store[..]].concat()).exits(0);
    shop.write("go", "");
    eventually("all is done", || count(&shop, &store, "job", "completed") == 2);
    worker.signal(Signal::TERM);
    worker.wait().exits(0);
    shop.ask(&[&["verify", "job"], &store[..]].concat()).exits(0);
}

#[test]
fn a_rule_that_fires_in_a_map_pauses_the_job_where_others_may_work_on_it() {
    let shop = Workshop::new();
    let address = server();
    for (store, expected) in [(&["--store", &*address][..], "paused"), (&[], "interrupted")] {
        let map = ["map", "--job", "job", "-j", "1", "--max-failures", "1", "--", "false"];
        shop.run(&[&map[..7], store, &map[7..]].concat(), lines(1..=50)).exits(3);
        let status = shop.ask(&[&["status", "job", "--json"], store].concat()).exits(0).json();
        assert_eq!(status["state"], expected, "{status}");
    }
}

#[test]
fn an_address_that_leads_nowhere_is_told_without_its_password() {
    let shop = Workshop::new();
    let output = shop.ask(&["jobs", "--store", "postgres://me:secret@127.0.0.1:1/db"]).exits(5);
    let output = output.says(&["postgres://me@127.0.0.1:1/db", "Connection refused", "server"]);
    assert!(!output.stderr.contains("secret"), "{}", output.stderr);
    shop.ask(&["jobs", "--store", "mysql://db/x"])
        .exits(2)
        .says(&["no stores of the kind `mysql://`", "postgres://"]);
    shop.ask(&["jobs", "--store", &server()]).exits(2).says(&["there is no store at"]);
}
