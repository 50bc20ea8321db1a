//! Hearing what goes on inside: `-v` and `WORKITEM_LOG`.

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
