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
