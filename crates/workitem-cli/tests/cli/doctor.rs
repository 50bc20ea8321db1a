//! What is wrong with a store is told, the worst first, with what to do; of a healthy one nothing.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;

use rustix::process::Signal;

use crate::workshop::{Workshop, eventually, lines};

fn done(shop: &Workshop, store: &[&str]) {
    shop.run(&[&["map", "--job", "done"], store, &["--", "true"]].concat(), lines(1..=5)).exits(0);
}

#[test]
fn nothing_is_wrong_with_a_healthy_store() {
    let shop = Workshop::new();
    done(&shop, &[]);
    let output = shop.ask(&["doctor"]).exits(0);
    let told = output.lines();
    assert_eq!(told.last(), Some(&".workitem/workitem.db: nothing is wrong"));
    assert!(told[0].starts_with("note: SQLite "), "{}", told[0]);
    let findings = shop.ask(&["doctor", "--json"]).exits(0).json_lines();
    assert!(
        !findings.is_empty() && findings.iter().all(|finding| finding["severity"] == "note"),
        "{findings:?}"
    );
    shop.ask(&["doctor", "--store", "nowhere.db"]).complains(2, &["there is no store at nowhere.db"]);
}

#[test]
fn what_is_worse_is_told_first_with_what_to_do_and_a_warning_is_no_failure() {
    let shop = Workshop::new();
    done(&shop, &[]);
    let file = shop.file(".workitem/workitem.db");
    set_permissions(&file, Permissions::from_mode(0o604)).unwrap();
    let output = shop.ask(&["doctor"]).exits(0);
    let told = output.lines();
    assert!(told[0].starts_with("warning: ") && told[0].ends_with("workitem.db (mode 604)"), "{}", told[0]);
    assert!(told[1].starts_with("  chmod go-rwx /") && told[1].ends_with("workitem.db"), "{}", told[1]);
    assert!(told[2].starts_with("note: "), "{}", told[2]);
    assert!(!output.text().contains("nothing is wrong"));
    let findings = shop.ask(&["doctor", "--json"]).exits(0).json_lines();
    assert_eq!(findings[0]["severity"], "warning");
    assert!(findings[0]["next"].as_str().unwrap().starts_with("chmod "), "{}", findings[0]);
    assert_eq!((&findings[1]["severity"], &findings[1]["next"]), (&"note".into(), &serde_json::Value::Null));
}

#[test]
fn a_job_whose_orchestrator_was_killed_is_told_until_it_is_resumed() {
    let shop = Workshop::new();
    shop.script("agent", "touch started; until [ -e go ]; do sleep 0.01; done");
    let map = shop.spawn(&["map", "--job", "cut", "-j", "2", "--", "./agent"], lines(1..=2));
    eventually("an agent runs", || shop.exists("started"));
    let is_told =
        || shop.ask(&["doctor"]).exits(0).text().contains("warning: job `cut` has 2 items in progress");
    eventually("both are in progress", || shop.counts("cut")[1] == 2);
    assert!(!is_told(), "somebody runs it");
    map.kill();
    assert!(is_told());
    shop.write("go", "");
    shop.ask(&["resume", "cut"]).exits(0);
    assert!(!is_told());
}

#[test]
fn a_submission_that_was_cut_off_is_told() {
    let shop = Workshop::new();
    let (map, mut input) = shop.spawn_piped(&["map", "--job", "cut", "--", "true"]);
    std::io::Write::write_all(&mut input, lines(1..=20_000).as_bytes()).unwrap();
    eventually("some are stored", || {
        shop.exists(".workitem/workitem.db") && {
            let status = shop.ask(&["status", "cut", "--json"]);
            status.code() == 0 && status.json()["counts"]["total"].as_u64() > Some(0)
        }
    });
    let is_told = || shop.ask(&["doctor"]).exits(0).text().contains("warning: job `cut` was being submitted");
    assert!(!is_told(), "somebody submits it");
    map.kill();
    assert!(is_told());
}

#[test]
fn on_a_server_a_lease_that_has_run_out_is_a_warning_and_a_server_that_takes_no_writes_a_failure() {
    let shop = Workshop::new();
    let address = workitem_pgtest::shared().schema_url("cli");
    let store = ["--store", &address];
    done(&shop, &store);
    let ask = |store: &[&str]| shop.ask(&[&["doctor"], store].concat());
    let told = ask(&store).exits(0);
    assert!(told.lines()[0].starts_with("note: PostgreSQL "), "{}", told.text());
    assert!(told.text().ends_with(": nothing is wrong\n"), "{}", told.text());

    shop.script("agent", "echo $WORKITEM_ID >> ran; until [ -e go ]; do sleep 0.01; done");
    let map = [&["map", "--job", "job", "-j", "1"], &store[..], &["--", "./agent"]].concat();
    let map = shop.spawn(&map, lines(1..=2));
    eventually("an agent runs", || shop.read_lines("ran").len() == 1);
    map.signal(Signal::INT);
    map.wait().exits(4);
    let worker = [&["worker", "job", "-j", "2", "--lease", "1s"], &store[..]].concat();
    let worker = shop.spawn(&worker, "");
    eventually("two agents run", || shop.read_lines("ran").len() == 3);
    assert!(ask(&store).exits(0).text().ends_with(": nothing is wrong\n"));
    worker.kill();
    eventually("it is told", || {
        let told = ask(&store).exits(0);
        told.lines()[0].starts_with("warning: job `job` has 2 items in progress")
            && told.lines()[1].contains("`workitem worker`")
    });

    let read_only = format!("{address}&options=-c%20default_transaction_read_only%3Don");
    let told = ask(&["--store", &read_only]).exits(5);
    assert!(told.lines()[0].starts_with("fault: transactions are read only"), "{}", told.text());
    assert!(told.lines()[2].starts_with("warning: job `job`"), "{}", told.text());
}
