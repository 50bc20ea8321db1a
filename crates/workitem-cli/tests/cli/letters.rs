//! Items that fail: tried again as often as allowed, given up with their error, and run anew once the
//! cause is mended, as new items that name the old ones.

use serde_json::Value;

use crate::workshop::{Workshop, eventually, lines};

/// Fails for every item that ends in 3 until `mended` is there, and at first for every one that ends in 7.
const AGENT: &str = r#"
echo "$WORKITEM_ID $WORKITEM_ATTEMPT" >> started
echo "trying $1"
case $1 in
*3) [ -e mended ] || { echo "no plug for $1" >&2; exit 9; } ;;
*7) [ "$WORKITEM_ATTEMPT" -gt 1 ] || exit 8 ;;
esac
"#;

/// A job of 100 items that ends with ten dead letters.
fn with_letters() -> Workshop {
    let shop = Workshop::new();
    shop.script("agent", AGENT);
    let map = ["map", "--job", "job", "-j", "8", "--max-attempts", "3", "--", "./agent", "{}"];
    let output = shop.run(&map, lines(1..=100)).exits(3);
    assert_eq!(output.lines().len(), 90, "a failed attempt's output is not printed");
    output.says(&["90 of 100 items completed", "workitem dlq list job", "workitem dlq retry job"]);
    shop
}

fn bad_items() -> Vec<String> {
    (0..10).map(|n| (10 * n + 3).to_string()).collect()
}

fn letters(shop: &Workshop) -> Vec<Value> {
    shop.ask(&["dlq", "list", "job", "--json"]).exits(0).json_lines()
}

#[test]
fn what_fails_for_good_becomes_a_letter_and_what_fails_once_does_not() {
    let shop = with_letters();
    assert_eq!(shop.counts("job"), [0, 0, 90, 0, 10]);
    for (id, item) in shop.items("job") {
        let (attempts, failures) = match id.as_bytes() {
            [.., b'3'] => (3, 3),
            [.., b'7'] => (2, 1),
            _ => (1, 0),
        };
        assert_eq!((&item["attempts"], &item["failures"]), (&attempts.into(), &failures.into()), "{item}");
    }
    assert_eq!(shop.read_lines("started").len(), 70 + 10 * 2 + 10 + 10 * 3);
    shop.ask(&["resume"]).exits(3);
    assert_eq!(shop.read_lines("started").len(), 70 + 10 * 2 + 10 + 10 * 3, "there was nothing to run");

    let letters = letters(&shop);
    assert_eq!(letters.iter().map(|letter| letter["id"].as_str().unwrap()).collect::<Vec<_>>(), bad_items());
    for letter in &letters {
        let error = format!("exit 9: no plug for {}", letter["id"].as_str().unwrap());
        assert_eq!((&letter["error"], &letter["attempts"]), (&error.as_str().into(), &3.into()));
        assert_eq!(letter["status"]["DeadLettered"]["retry_count"], 3);
    }
    let listed = shop.ask(&["dlq", "list", "job"]).exits(0);
    assert_eq!(listed.lines()[0], "3\t3 attempts\texit 9: no plug for 3");
    assert_eq!(shop.ask(&["output", "job"]).exits(0).lines().len(), 90);
    shop.verify("job");
}

#[test]
fn once_the_cause_is_mended_letters_are_run_anew_and_the_job_is_a_success() {
    let shop = with_letters();
    shop.write("mended", "");
    let output = shop.ask(&["dlq", "retry", "job"]).exits(0).says(&["10 dead letters"]);
    let retried: Vec<String> = bad_items().iter().map(|id| format!("trying {id}")).collect();
    let mut printed = output.lines();
    printed.sort_by_key(|line| line.len());
    assert_eq!(output.sorted_lines().len(), 10);
    assert!(printed.iter().all(|line| retried.contains(&line.to_string())), "{printed:?}");

    assert_eq!(shop.counts("job"), [0, 0, 100, 0, 10], "a letter stays what it is");
    let status = shop.status("job");
    assert_eq!((&status["state"], &status["open_letters"]), (&"finished".into(), &0.into()));
    shop.ask(&["resume"]).exits(0).says(&["100 of 100 items completed"]);
    let status = shop.ask(&["status"]).exits(0);
    assert!(status.text().contains(" 10 dead-lettered (all dealt with)\n"), "{}", status.text());
    assert!(letters(&shop).is_empty());
    let items = shop.items("job");
    for id in bad_items() {
        let successor = &items[&format!("{id}~1")];
        assert_eq!(successor["origin"], id.as_str());
        assert_eq!((&successor["attempts"], &successor["failures"]), (&1.into(), &0.into()));
        assert!(items[&id]["origin"].is_null());
    }
    assert_eq!(shop.ask(&["output", "job"]).exits(0).lines().len(), 100);
    shop.verify("job");

    shop.ask(&["dlq", "retry", "job"]).exits(0).says(&["0 dead letters"]);
    assert_eq!(shop.items("job").len(), 110, "what was mended is not run again");
}

#[test]
fn one_letter_can_be_run_anew_again_and_again() {
    let shop = with_letters();
    shop.ask(&["dlq", "retry", "job", "13"]).exits(3).says(&["1 dead letter anew"]);
    assert_eq!(shop.counts("job"), [0, 0, 90, 0, 11]);
    assert_eq!(letters(&shop).len(), 10, "a successor that died stands with its letter");
    let status = shop.ask(&["status", "job"]).exits(0);
    assert!(status.text().contains(" 11 dead-lettered (10 still open)\n"), "{}", status.text());
    assert_eq!(letters(&shop)[1]["successors"], serde_json::json!(["13~1"]));
    let listed = shop.ask(&["dlq", "list", "job"]).exits(0);
    assert_eq!(listed.lines()[1], "13\t3 attempts\texit 9: no plug for 13\tretried 1x");

    shop.write("mended", "");
    shop.ask(&["dlq", "retry", "job", "13"]).exits(3).says(&["9 items were given up"]);
    assert_eq!(shop.items("job")["13~2"]["origin"], "13");
    assert_eq!(letters(&shop).len(), 9);
    // Neither a letter that is dealt with, nor an item that never was one.
    let refused = shop.ask(&["dlq", "retry", "job", "13", "5", "23"]).exits(3);
    refused.says(&["2 items are no open dead letter", "1 dead letter anew"]);
    assert_eq!(shop.items("job").len(), 103);
    shop.ask(&["dlq", "retry", "job", "1000"]).complains(2, &["no item `1000`"]);
    shop.ask(&["dlq", "retry", "job"]).exits(0).says(&["8 dead letters"]);
    shop.verify("job");
}

#[test]
fn letters_can_be_submitted_now_and_run_later() {
    let shop = with_letters();
    shop.write("mended", "");
    shop.ask(&["dlq", "retry", "job", "--no-run"]).exits(0).says(&["10 dead letters"]);
    assert_eq!(shop.counts("job"), [10, 0, 90, 0, 10]);
    assert_eq!(shop.status("job")["state"], "interrupted");
    assert!(letters(&shop).iter().all(|letter| letter["being_retried"] == true));
    // One living successor for each letter.
    shop.ask(&["dlq", "retry", "job", "--no-run"]).exits(0).says(&["0 dead letters"]);
    shop.ask(&["resume", "job"]).exits(0);
    assert_eq!(shop.counts("job"), [0, 0, 100, 0, 10]);
    shop.verify("job");
}

#[test]
fn a_letter_shows_everything_that_is_known_of_it() {
    let shop = with_letters();
    let shown = shop.ask(&["dlq", "show", "job", "3"]).exits(0);
    let text = shown.text();
    assert!(text.starts_with("input: \"3\"\n"), "{text}");
    for (what, times) in
        [("AgentStart", 3), ("exit 9: no plug for 3", 3), ("trying 3", 3), ("MoveToDeadLetter", 1)]
    {
        assert_eq!(text.matches(what).count(), times, "{what} in {text}");
    }
    shop.ask(&["dlq", "show", "job", "4"]).complains(2, &["item `4` is no dead letter"]);

    shop.write("mended", "");
    shop.ask(&["dlq", "retry", "job", "3"]).exits(3);
    let shown = shop.ask(&["dlq", "show", "job", "3"]).exits(0);
    assert!(shown.text().contains("AgentStart"), "a letter that was dealt with can still be seen");
    assert!(shown.text().contains("item 3~1"), "and how: {}", shown.text());
}

#[test]
fn each_way_to_fail_is_told_apart() {
    let shop = Workshop::new();
    shop.script("agent", "case $1 in exit) exit 41;; signal) kill -SEGV $$;; time) sleep 60;; esac");
    let items = r#"{"bin": "./agent", "how": "exit"}
                   {"bin": "./agent", "how": "signal"}
                   {"bin": "./agent", "how": "time"}
                   {"bin": "./no-such-agent", "how": "start"}
                   {"bin": ".", "how": "start"}"#;
    shop.write("items.jsonl", items);
    let map = ["map", "--job", "job", "--input", "items.jsonl", "--timeout", "700ms"];
    shop.ask(&[&map[..], &["--", "{.bin}", "{.how}"]].concat()).exits(3);
    let cause = |id: &str| {
        let history = shop.ask(&["history", "job", id, "--json"]).exits(0).json_lines();
        let error = history[1]["event"]["AgentFailed"]["error"].as_str().unwrap().to_owned();
        (history[1]["cause"].to_string(), error)
    };
    let causes = ["1", "2", "3", "4", "5"].map(cause);
    let expected = [
        (r#"{"exit":41}"#, "exit 41"),
        (r#"{"signal":11}"#, "signal 11 (SIGSEGV)"),
        (r#"{"timed_out":{"limit_ms":700}}"#, "timed out after 700ms"),
        (r#""not_started""#, "could not start `./no-such-agent`: No such file or directory"),
        (r#""not_started""#, "could not start `.`: Permission denied"),
    ];
    assert_eq!(causes.each_ref().map(|(cause, error)| (cause.as_str(), error.as_str())), expected);
    shop.verify("job");
}

#[test]
fn another_attempt_waits_as_long_as_it_was_told_to() {
    let shop = Workshop::new();
    let map = ["map", "--job", "job", "--max-attempts", "2", "--backoff", "1h..1h"];
    let run = shop.spawn(&[&map[..], &["--", "false"]].concat(), "x\n");
    shop.await_job();
    eventually("it waits for its second attempt", || shop.status("job")["waiting"] == 1);
    assert_eq!(shop.counts("job"), [1, 0, 0, 0, 0]);
    let waiting = shop.ask(&["items", "job"]).exits(0);
    assert!(waiting.text().contains("\tPending\t1\twaits until 20"), "{}", waiting.text());
    run.signal(rustix::process::Signal::INT);
    run.wait().exits(4);
    assert_eq!(shop.counts("job"), [1, 0, 0, 0, 0]);
    shop.verify("job");
}

/// Fails in three ways until `mended` is there: by the item's remainder, and with the item in the error.
const THREE_CAUSES: &str = r#"
echo "$1" >> started
[ -e mended ] && exit 0
case $(( ${1#item-} % 3 )) in
0) echo "cannot open $1: try $$$WORKITEM_ATTEMPT" >&2; exit 1 ;;
1) echo "cannot open $1: try $WORKITEM_ATTEMPT" >&2; exit 2 ;;
*) kill -9 $$ ;;
esac
"#;

#[test]
fn many_failures_of_few_causes_are_few_groups_and_can_be_retried_by_group() {
    let shop = Workshop::new();
    shop.script("agent", THREE_CAUSES);
    let items: Vec<String> = (1..=90).map(|n| format!("item-{n}")).collect();
    let map = ["map", "--job", "job", "-j", "8", "--", "./agent", "{}"];
    shop.run(&map, lines(&items)).exits(3);
    let groups = shop.ask(&["dlq", "groups", "job", "--json"]).exits(0).json_lines();
    let seen: Vec<_> =
        groups.iter().map(|group| (group["signature"].as_str().unwrap(), &group["letters"])).collect();
    assert_eq!(seen.len(), 3, "{groups:?}");
    for signature in ["exit 1: cannot open {}: try #", "exit 2: cannot open {}: try #", "signal 9 (SIGKILL)"]
    {
        assert!(seen.contains(&(signature, &30.into())), "{signature}: {groups:?}");
    }
    let told = shop.ask(&["dlq", "groups", "job"]).exits(0);
    assert_eq!(told.lines().len(), 3);

    let second =
        groups.iter().find(|group| group["signature"].as_str().unwrap().starts_with("exit 2")).unwrap();
    let name = second["group"].as_str().unwrap();
    assert_eq!(shop.ask(&["dlq", "list", "job", "--group", name]).exits(0).lines().len(), 30);
    shop.write("mended", "");
    shop.write("started", "");
    shop.ask(&["dlq", "retry", "job", "--group", name]).exits(3).says(&["30 dead letters anew"]);
    let started = shop.read_lines("started");
    assert_eq!(started.len(), 30, "just those of the group");
    assert!(started.iter().all(|item| item["item-".len()..].parse::<u32>().unwrap() % 3 == 1), "{started:?}");
    assert_eq!(shop.ask(&["dlq", "groups", "job"]).exits(0).lines().len(), 2);
    shop.ask(&["dlq", "retry", "job", "--group", name])
        .complains(2, &["in a group", "workitem dlq groups job"]);
    shop.verify("job");
}

#[test]
fn exported_letters_are_the_input_of_another_job() {
    let shop = Workshop::new();
    let input = "{\"id\":\"a\",\"ok\":true}\n{\"id\":\"b\",\"ok\":false}\n{\"id\":\"c\",\"ok\":false}\n";
    let map =
        ["map", "--job", "job", "--format", "jsonl", "--id-from", ".id", "--", "test", "{.ok}", "=", "true"];
    shop.run(&map, input).exits(3);
    let exported = shop.ask(&["dlq", "export", "job"]).exits(0);
    assert_eq!(exported.text(), "{\"id\":\"b\",\"ok\":false}\n{\"id\":\"c\",\"ok\":false}\n");
    let one = shop.ask(&["dlq", "export", "job", "c", "a"]).exits(0);
    assert_eq!(one.text(), "{\"id\":\"c\",\"ok\":false}\n", "what is no letter is not exported");
    let again = ["map", "--job", "again", "--format", "jsonl", "--id-from", ".id", "--", "echo", "{id}"];
    assert_eq!(shop.run(&again, &exported.stdout).exits(0).sorted_lines(), ["b", "c"]);
    shop.ask(&["dlq", "export", "job", "z"]).complains(2, &["no item `z`"]);
}

#[test]
fn dropped_letters_are_dealt_with_and_stay_among_the_items() {
    let shop = with_letters();
    shop.ask(&["dlq", "drop", "job"]).complains(2, &["which dead letters", "--all"]);
    shop.ask(&["dlq", "drop", "job", "3", "13", "1"])
        .exits(0)
        .says(&["1 item is no open dead letter", "dropped 2 dead letters"]);
    assert_eq!(letters(&shop).len(), 8);
    assert_eq!(shop.counts("job"), [0, 0, 90, 0, 10]);
    shop.ask(&["resume", "job"]).exits(3);
    shop.ask(&["dlq", "drop", "job", "--all"]).exits(0).says(&["dropped 8 dead letters"]);
    assert!(letters(&shop).is_empty());
    shop.ask(&["resume", "job"]).exits(0);
    shop.ask(&["dlq", "retry", "job"]).exits(0).says(&["0 dead letters"]);
    assert_eq!(shop.ids("job", "dead_lettered").len(), 10);
    shop.verify("job");
}

#[test]
fn only_failures_that_are_worth_it_are_tried_again() {
    let shop = Workshop::new();
    let agent = "echo \"$1\" >> started; case $1 in code*) exit \"${1#code}\" ;; slow) sleep 60 ;; kill) kill -9 $$ ;; esac";
    shop.script("agent", agent);
    let options = ["--retry-on", "timeout,exit:75,signal", "--max-attempts", "3", "--timeout", "200ms"];
    let map = [&["map", "--job", "job"][..], &options, &["--", "./agent", "{}"]].concat();
    shop.run(&map, lines(["code75", "code7", "slow", "kill"])).exits(3);
    let mut started = shop.read_lines("started");
    started.sort();
    let expected = [vec!["code7"], vec!["code75"; 3], vec!["kill"; 3], vec!["slow"; 3]].concat();
    assert_eq!(started, expected);
    for bad in ["often", "exit:0", "exit:", "timeout,"] {
        let refused = shop.run(&["map", "--retry-on", bad, "--", "true"], "1\n").exits(2);
        assert!(refused.stderr.contains("--retry-on"), "{}", refused.stderr);
    }
    // It is kept with the job, and can be given anew.
    shop.ask(&["dlq", "retry", "job", "2", "--retry-on", "exit"]).exits(3);
    assert_eq!(shop.items("job")["2~1"]["attempts"], 3);
}

#[test]
fn a_job_that_fails_too_often_is_stopped() {
    let shop = Workshop::new();
    let map = ["map", "--job", "job", "-j", "1", "--max-failures", "3", "--", "false"];
    shop.run(&map, lines(1..=500)).exits(3).says(&[
        "stopped after",
        "items were given up",
        "workitem resume job",
    ]);
    let [pending, in_progress, completed, _, dead] = shop.counts("job");
    assert!(pending > 0 && dead >= 3, "{pending} pending, {dead} dead");
    assert_eq!((in_progress, completed), (0, 0));
    assert_eq!(shop.status("job")["state"], "interrupted");
    shop.ask(&["resume", "job", "--max-failures", "1000"]).exits(3).says(&["0 of 500 items completed"]);
    shop.verify("job");

    let half = ["map", "--job", "half", "--max-failure-rate", "60%", "--", "sh", "-c", "exit $(( {} % 2 ))"];
    shop.run(&half, lines(1..=100)).exits(3).says(&["50 of 100 items completed"]);
    let most =
        ["map", "--job", "most", "-j", "1", "--max-failure-rate", "60%", "--", "test", "{}", "-gt", "450"];
    shop.run(&most, lines(1..=500)).exits(3).says(&["stopped after"]);
    let few = ["map", "--job", "few", "-j", "1", "--max-failure-rate", "10%", "--failure-rate-after"];
    let fails = ["--", "false"];
    shop.run(&[&few[..], &["3"], &fails].concat(), lines(1..=500)).exits(3).says(&["stopped after"]);
    shop.ask(&["resume", "few"]).exits(3).says(&["stopped after"]);
    shop.ask(&["resume", "few", "--failure-rate-after", "501"]).exits(3).says(&["0 of 500 items completed"]);
    shop.run(&["map", "--max-failure-rate", "2", "--", "true"], "1\n").exits(2);
}

/// Fails in five ways: ten items in the first, five in the second, and one each in the others.
const FIVE_WAYS: &str = r#"
n=${1#item-}
[ "$n" -gt 10 ] || { echo "no plug for $1" >&2; exit 1; }
[ "$n" -gt 15 ] || exit 2
exit "$n"
"#;

#[test]
fn a_run_ends_with_the_largest_causes_of_failure_and_how_to_retry_one() {
    let shop = Workshop::new();
    shop.script("agent", FIVE_WAYS);
    let items = lines((1..=18).map(|n| format!("item-{n}")));
    let output = shop.run(&["map", "--job", "my job", "--", "./agent", "{}"], items).exits(3);
    let groups = shop.ask(&["dlq", "groups", "my job"]).exits(0);
    let names: Vec<&str> = groups.lines().iter().map(|line| line.split('\t').next().unwrap()).collect();
    let told: Vec<&str> = output.stderr.lines().skip_while(|line| !line.contains("were given up")).collect();
    let expected = [
        "  18 items were given up: workitem dlq list 'my job'",
        &format!("    10  {}  exit 1: no plug for {{}}", names[0]),
        &format!("     5  {}  exit 2", names[1]),
        &format!("     1  {}  exit 16", names[2]),
        "    and 2 groups more: workitem dlq groups 'my job'",
        "  once the cause is mended: workitem dlq retry 'my job'",
        &format!("  or for one cause: workitem dlq retry 'my job' --group {}", names[0]),
    ];
    assert_eq!(told, expected);

    let again = shop.ask(&["resume", "my job", "--json"]).exits(3);
    let summary = again.events().pop().unwrap();
    assert_eq!(summary["event"], "summary");
    assert_eq!(summary["groups"][0]["group"], names[0]);
    assert_eq!((&summary["groups"][1]["letters"], &summary["other_groups"]), (&5.into(), &2.into()));
    assert_eq!(summary["groups"][1]["first"]["error"], "exit 2");
    assert!(summary["groups"][3].is_null() && summary["grouped_first"].is_null(), "{summary}");
    assert_eq!(shop.ask(&["resume", "my job", "--quiet"]).exits(3).stderr, "");
}

#[test]
fn one_cause_alone_is_told_without_a_choice() {
    let shop = Workshop::new();
    let output = shop.run(&["map", "--job", "job", "--", "false"], lines(1..=3)).exits(3);
    assert!(output.stderr.contains("    3  1a21be8b  exit 1\n"), "{}", output.stderr);
    assert!(!output.stderr.contains("one cause") && !output.stderr.contains("more:"), "{}", output.stderr);
}
