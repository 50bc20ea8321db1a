//! What agents are given, and how many are started: input, niceness, rate; and a look at it without running any.

use std::time::{Duration, Instant};

use crate::workshop::{Workshop, lines};

#[test]
fn an_agent_reads_its_item_if_asked_for() {
    let shop = Workshop::new();
    let map = ["map", "--job", "job", "--stdin", "--keep-order", "--format", "jsonl", "--", "cat"];
    let input = "\"plain text\"\n{\"a\": [1, 2]}\n\"two\\nlines\"\n\"\"\n";
    let output = shop.run(&map, input).exits(0);
    assert_eq!(output.text(), "plain text\n{\"a\":[1,2]}\ntwo\nlines\n\n");
    assert_eq!(shop.scratch_files(), 0, "nothing is left behind");
    assert_eq!(shop.run(&["map", "--", "cat"], "not for it\n").exits(0).text(), "");

    // It is a property of the job.
    let other = shop.run(&["map", "--job", "job", "--format", "jsonl", "--", "cat"], input);
    other.complains(2, &["gives its agents their items on standard input"]);
}

#[test]
fn an_item_that_nobody_reads_is_no_trouble() {
    let shop = Workshop::new();
    let long = format!("{}\n", "x".repeat(3 << 20));
    shop.run(&["map", "--job", "job", "--stdin", "--", "true"], &long).exits(0);
    let count = shop.run(&["map", "--stdin", "--", "wc", "-c"], &long).exits(0);
    assert_eq!(count.text().trim(), long.len().to_string());
}

#[test]
fn agents_are_as_nice_as_they_are_asked_to_be() {
    let shop = Workshop::new();
    shop.run(&["map", "--job", "job", "-j", "2", "--nice", "7", "--", "nice"], lines(1..=2)).exits(0);
    assert_eq!(shop.ask(&["output", "job"]).text(), "7\n7\n");
    for bad in ["20", "-21", "very"] {
        shop.run(&["map", "--nice", bad, "--", "true"], "1\n").exits(2);
    }
}

#[test]
fn attempts_are_started_no_faster_than_the_rate() {
    let shop = Workshop::new();
    let started = Instant::now();
    shop.run(&["map", "--job", "job", "-j", "8", "--rate", "1/50ms", "--", "true"], lines(1..=11)).exits(0);
    assert!(
        started.elapsed() >= Duration::from_millis(475),
        "ten intervals, the last by half: {:?}",
        started.elapsed()
    );
    shop.run(&["map", "--rate", "fast", "--", "true"], "1\n").exits(2);
}

#[test]
fn a_dry_run_prints_commands_and_does_nothing() {
    let shop = Workshop::new();
    let map = ["map", "--dry-run", "--job", "job", "--", "touch", "{}", "{id}.done"];
    let output = shop.run(&map, lines(["plain", "it's; rm -rf /", "two words"])).exits(0);
    let expected = "touch plain 1.done\ntouch 'it'\\''s; rm -rf /' 2.done\ntouch 'two words' 3.done\n";
    assert_eq!(output.text(), expected);
    assert!(!shop.exists("plain") && !shop.exists(".workitem"), "nothing was run and nothing stored");

    // As it says: a shell makes the same arguments of it.
    let echo = shop
        .run(&["map", "--dry-run", "--", "printf", "%s|", "{}"], lines(["a  b", "$HOME `x` \\"]))
        .exits(0);
    assert_eq!(shop.sh("sh", &echo.stdout).exits(0).text(), "a  b|$HOME `x` \\|");

    let ten = shop.run(&["map", "--dry-run", "--", "echo", "{}"], lines(1..=10_000)).exits(0);
    assert_eq!(ten.lines().len(), 10);
    shop.run(&["map", "--dry-run", "--", "echo", "{}"], b"\xff\n")
        .complains(2, &["line 1 cannot be an item"]);
    assert_eq!(shop.run(&["map", "--dry-run", "--", "echo", "{}"], "").exits(0).text(), "");
}
