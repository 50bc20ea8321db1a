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

#[test]
fn agents_run_in_the_folder_that_is_named_and_so_they_do_when_the_job_is_resumed() {
    let shop = Workshop::new();
    let work = shop.file(".").canonicalize().unwrap().display().to_string();
    for folder in ["here", "there"] {
        std::fs::create_dir(shop.file(folder)).unwrap();
    }
    let pwd = ["--", "sh", "-c", "pwd; [ -e ../mended ]"];
    let map = |options: &[&str]| shop.run(&[&["map", "--job", "job"], options, &pwd].concat(), "1\n");
    map(&["--cwd", "here"]).exits(3);
    map(&["--cwd", "./there/../here/"]).exits(3);
    map(&[]).complains(2, &["it runs in the folder", "/here, not in"]);
    map(&["--cwd", "there"]).complains(2, &["it runs in the folder", "/here, not in", "/there"]);
    for (folder, why) in [("nowhere", "No such file"), ("/dev/null", "not a folder"), ("", "No such file")] {
        shop.run(&["map", "--cwd", folder, "--", "true"], "1\n").exits(2).says(&[why]);
    }

    shop.write("mended", "");
    shop.ask(&["dlq", "retry", "job", "--no-run"]).exits(0);
    shop.ask(&["resume", "job", "--cwd", "nowhere"]).exits(2).says(&["--cwd", "No such file"]);
    assert_eq!(shop.ask(&["resume", "job"]).exits(0).text(), format!("{work}/here\n"));
    shop.run(
        &["map", "--job", "other", "--cwd", "here", "--", "sh", "-c", "pwd; [ $WORKITEM_ID = 1~1 ]"],
        "1\n",
    )
    .exits(3);
    let elsewhere = shop.ask(&["dlq", "retry", "other", "--cwd", "there"]).exits(0);
    assert_eq!(elsewhere.text(), format!("{work}/there\n"));
}

#[test]
fn agents_find_variables_that_are_given_and_so_they_do_when_the_job_is_resumed() {
    let shop = Workshop::new();
    let print = ["--", "sh", "-c", "echo \"$A|$B|$C|$WORKITEM_ID\"; [ -n \"$C\" ]"];
    let map = |options: &[&str]| shop.run(&[&["map", "--job", "job"], options, &print].concat(), "1\n");
    map(&["--env", "A=1", "--env", "A=a b=c", "--env", "B="]).exits(3);
    assert!(
        shop.ask(&["logs", "job", "1"]).text().contains("a b=c|||1"),
        "{}",
        shop.ask(&["logs", "job", "1"]).text()
    );
    map(&["--env", "B=", "--env", "A=a b=c"]).exits(3);
    map(&["--env", "B="])
        .complains(2, &["environment of its agents `A` is \"a b=c\", and here it is not set"]);
    map(&["--env", "A=a b=c", "--env", "B=", "--env", "C=3"])
        .complains(2, &["`C` is not set, and here it is \"3\""]);
    map(&["--env", "A=1", "--env", "B="]).complains(2, &["`A` is \"a b=c\", and here it is \"1\""]);
    let output = shop.ask(&["dlq", "retry", "job", "--env", "C=3", "--env", "B=2"]).exits(0);
    assert_eq!(output.text(), "a b=c|2|3|1~1\n");

    for (bad, why) in [
        ("", "no variable such as NAME=VALUE"),
        ("A", "no variable such as NAME=VALUE"),
        ("=1", "the name of the variable is empty"),
        ("WORKITEM_RUN=x", "say what an agent works on"),
    ] {
        shop.run(&["map", "--env", bad, "--", "true"], "1\n").exits(2).says(&[why]);
    }
}

#[test]
fn a_path_of_its_own_is_where_the_command_is_looked_for() {
    let shop = Workshop::new();
    std::fs::create_dir(shop.file("tools")).unwrap();
    shop.script("tools/only-here", "echo found");
    let path = format!("PATH={}:/usr/bin:/bin", shop.file("tools").display());
    shop.run(&["map", "--job", "job", "--", "only-here"], "1\n").exits(3);
    assert_eq!(shop.run(&["map", "--env", &path, "--", "only-here"], "1\n").exits(0).text(), "found\n");
}

#[test]
fn no_more_is_kept_of_an_output_than_the_limit() {
    let shop = Workshop::new();
    let agent = ["--", "sh", "-c", "head -c 100000 /dev/zero; [ -e mended ]"];
    let map = ["map", "--job", "job", "--output-limit", "40K"];
    shop.run(&[&map, &agent[..]].concat(), "1\n").exits(3);
    shop.write("mended", "");
    assert_eq!(shop.ask(&["dlq", "retry", "job"]).exits(0).stdout.len(), 40 << 10, "kept with the job");
    let none = shop.run(&[&["map", "--output-limit", "0"], &agent[..]].concat(), "1\n").exits(0);
    assert_eq!(none.stdout.len(), 0);
    for bad in ["-1", "1.5M", "10MB", "much"] {
        shop.run(&["map", "--output-limit", bad, "--", "true"], "1\n").exits(2);
    }
}

#[test]
fn a_delay_is_a_pause_between_starts() {
    let shop = Workshop::new();
    let started = Instant::now();
    let map = ["map", "--job", "job", "-j", "8", "--delay", "150ms", "--", "sh", "-c", "[ -e mended ]"];
    shop.run(&map, lines(1..=4)).exits(3);
    assert!(started.elapsed() >= Duration::from_millis(375), "three pauses: {:?}", started.elapsed());
    shop.write("mended", "");
    let again = Instant::now();
    shop.ask(&["dlq", "retry", "job"]).exits(0);
    assert!(again.elapsed() >= Duration::from_millis(375), "kept with the job: {:?}", again.elapsed());
    shop.run(&["map", "--delay", "1s", "--rate", "1/s", "--", "true"], "1\n")
        .exits(2)
        .says(&["--delay", "--rate"]);
    shop.run(&["map", "--delay", "0", "--", "true"], "1\n").exits(2).says(&["between 1ms and 24h"]);
}
