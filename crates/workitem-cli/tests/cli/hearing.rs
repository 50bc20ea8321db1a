//! Hearing what goes on inside: `-v` and `WORKITEM_LOG`.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use crate::workshop::{Output, Workshop, lines};

const MAP: [&str; 6] = ["map", "--job", "job", "--", "echo", "{}"];

/// A run over one item, with other variables and flags.
fn run(shop: &Workshop, variables: &[(&str, &str)], flags: &[&str]) -> Output {
    let mut command = shop.command("workitem");
    command.args(["map", "-j", "1"]).args(flags).args(["--", "true", "{}"]).envs(variables.iter().copied());
    shop.start(command, "a secret\n").wait()
}

#[test]
fn attempts_are_told_to_who_asks_and_to_nobody_else() {
    let shop = Workshop::new();
    let silent = shop.run(&MAP, lines(["one"])).exits(0);
    assert!(!silent.stderr.contains("attempt"), "{}", silent.stderr);

    let told = run(&shop, &[], &["-v"]).exits(0);
    let told = told.says(&["DEBUG run{job=", "attempt started item=1 attempt=1", "outcome=\"completed\""]);
    assert!(!told.stderr.contains("TRACE"), "{}", told.stderr);
    run(&shop, &[], &["-vv"]).exits(0).says(&["claimed claims=1", "recorded steps=1"]);
    let everything = run(&shop, &[], &["-vvv"]).exits(0);
    assert!(!everything.stderr.contains("secret"), "{}", everything.stderr);
}

#[test]
fn a_variable_says_what_is_told_where_no_flag_does() {
    let shop = Workshop::new();
    let told = run(&shop, &[("WORKITEM_LOG", "info")], &[]).exits(0).says(&["INFO", "run started slots=1"]);
    assert!(!told.stderr.contains("attempt started"), "{}", told.stderr);
    assert!(!run(&shop, &[("WORKITEM_LOG", "")], &[]).exits(0).stderr.contains("run started"));
    run(&shop, &[("WORKITEM_LOG", "off")], &["-v"]).exits(0).says(&["attempt started"]);

    let refused = run(&shop, &[("WORKITEM_LOG", "workitem=loud")], &[]);
    refused.complains(2, &["`workitem=loud` in WORKITEM_LOG", "does not say what to tell"]);
    assert_eq!(shop.ask(&["jobs"]).lines().len(), 3, "nothing was run");
}

#[test]
fn with_json_what_is_told_is_json_too() {
    let shop = Workshop::new();
    let events = run(&shop, &[], &["-v", "--json"]).exits(0).events();
    let told: Vec<&Value> = events.iter().filter(|event| event["event"].is_null()).collect();
    let started = told.iter().find(|event| event["message"] == "attempt started").unwrap();
    assert_eq!((&started["level"], &started["item"]), (&"DEBUG".into(), &"1".into()));
    assert!(started["span"]["job"].is_string() && started["timestamp"].is_string(), "{started}");
    assert!(events.iter().any(|event| event["event"] == "summary"));
}

#[test]
fn a_line_is_said_whole_or_not_at_all() {
    let shop = Workshop::new();
    // On such a socket every write is a message of its own: what is said in two writes can be cut between them.
    let (said, hears) = UnixDatagram::pair().unwrap();
    let mut command = shop.command("workitem");
    command.args(["map", "--job", "job", "--json", "--", "sh", "-c", "exit 1"]);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(OwnedFd::from(said));
    let mut run = command.spawn().unwrap();
    drop(command);
    run.stdin.take().unwrap().write_all(b"1\n2\n").unwrap();
    hears.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let (mut message, mut messages) = (vec![0; 1 << 16], 0);
    loop {
        let ended = run.try_wait().unwrap();
        match hears.recv(&mut message) {
            Ok(length) => {
                let line = str::from_utf8(&message[..length]).unwrap();
                let is_whole = line.ends_with('\n') && serde_json::from_str::<Value>(line).is_ok();
                assert!(is_whole, "a piece of a line: {line}");
                messages += 1;
            }
            Err(_) if ended.is_some() => break,
            Err(_) => {}
        }
    }
    assert_eq!(run.wait().unwrap().code(), Some(3));
    assert!(messages >= 4, "a submission, two dead letters and a summary");
}
