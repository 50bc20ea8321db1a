//! From an input to the output of its items: every way to write items, every place they can be put, and
//! every byte as it was.

use serde_json::{Value, json};

use crate::workshop::{Output, Workshop, lines};

/// Runs a job with its output in input order.
#[track_caller]
fn map(shop: &Workshop, options: &[&str], command: &[&str], stdin: impl AsRef<[u8]>) -> Output {
    let args = [&["map", "--keep-order"], options, &["--"], command].concat();
    shop.run(&args, stdin)
}

#[test]
fn the_output_of_every_item_is_printed_once() {
    let shop = Workshop::new();
    let output = shop.run(&["map", "--job", "census", "--", "echo", "<{}>"], lines(1..=50)).exits(0);
    let mut expected: Vec<String> = (1..=50).map(|n| format!("<{n}>")).collect();
    expected.sort();
    assert_eq!(output.sorted_lines(), expected);
    let output = output.says(&["census: 50 items\n", "50 of 50 items completed, 50 of them in this run"]);
    assert_eq!(output.stderr.lines().count(), 2, "{}", output.stderr);
    assert_eq!(shop.ask(&["output", "census"]).exits(0).sorted_lines(), expected);
    shop.verify("census");
}

#[test]
fn placeholders_stand_for_the_item_its_id_and_its_fields() {
    let shop = Workshop::new();
    let items = r#"{"slug": "a", "at": {"path": ["x", "y"]}, "n": 1.50}
                   {"slug": "b", "at": {"path": ["{id}", "{}"]}, "n": 10000000000000000000000}"#;
    shop.write("items.jsonl", items);
    let command = ["echo", "{id}:{.slug}:{.at.path.1}", "{.at}", "{}", "{.n}", "{x}", "{.}"];
    let output = map(&shop, &["--input", "items.jsonl", "--id-from", ".slug"], &command, "").exits(0);
    let expected = [
        r#"a:a:y {"path":["x","y"]} {"slug":"a","at":{"path":["x","y"]},"n":1.50} 1.50 {x} {.}"#,
        concat!(
            r#"b:b:{} {"path":["{id}","{}"]} {"slug":"b","at":{"path":["{id}","{}"]},"#,
            r#""n":10000000000000000000000} 10000000000000000000000 {x} {.}"#
        ),
    ];
    assert_eq!(output.lines(), expected);
    let output = map(&shop, &[], &["echo", "nothing", "appended"], "a\n").exits(0);
    assert_eq!(output.text(), "nothing appended\n");
}

#[test]
fn items_come_in_any_format() {
    let shop = Workshop::new();
    let file = |name: &str, contents: &str| shop.write(name, contents).display().to_string();
    let document = r#"{"pages": [{"id": "p1"}, {"id": "p2"}], "more": 1}"#;
    let text = "one\n\n two \r\nlast";
    let inputs: [(&[&str], &str, &[&str]); 13] = [
        (&[], text, &["one", "", " two \r", "last"]),
        (&["-i", "-"], "x\n", &["x"]),
        (&["--input", &file("a.txt", text)], "", &["one", "", " two \r", "last"]),
        (&["--input", &file("a.list", "x\n")], "", &["x"]),
        (&["-0"], "a\nb\0\0c", &["a\nb", "", "c"]),
        (&["--format", "nul"], "a\0b\0", &["a", "b"]),
        (&["-i", &file("a.jsonl", "1\n\n\"two\"\n[3]\n"), "--quiet"], "", &["1", "two", "[3]"]),
        (&["-i", &file("a.ndjson", "null\n")], "", &["null"]),
        (&["--format", "jsonl"], "true", &["true"]),
        (&["-i", &file("a.json", "[1, \"two\", {\"a\": 3}]")], "", &["1", "two", r#"{"a":3}"#]),
        (&["--json-path", "$.pages[*].id"], document, &["p1", "p2"]),
        (
            &["-i", &file("b.json", document), "--json-path", "$.pages[?@.id == 'p2']"],
            "",
            &[r#"{"id":"p2"}"#],
        ),
        (
            &["-i", &file("a.csv", "name,n\n\"a, \"\"b\"\"\nc\",1\n\nd,2\n")],
            "",
            &[r#"{"name":"a, \"b\"\nc","n":"1"}"#, r#"{"name":"d","n":"2"}"#],
        ),
    ];
    for (options, stdin, expected) in inputs {
        let output = map(&shop, options, &["printf", "%s\\0", "{}"], stdin).exits(0);
        let printed: Vec<&str> = output.text().split_terminator('\0').collect();
        assert_eq!(printed, expected, "{options:?}");
    }
    assert_eq!(shop.ask(&["jobs", "--json"]).exits(0).json_lines().len(), 13);
}

#[test]
fn no_items_are_a_finished_job() {
    let shop = Workshop::new();
    let empty: [(&[&str], &str); 6] = [
        (&[], ""),
        (&["-0"], ""),
        (&["--format", "jsonl"], "\n"),
        (&["--format", "json"], "[]"),
        (&["--format", "csv"], "name\n"),
        (&["--format", "csv"], ""),
    ];
    for (options, stdin) in empty {
        let output = map(&shop, &[&["--job", "none"], options].concat(), &["touch", "ran"], stdin).exits(0);
        assert_eq!(output.text(), "", "{options:?}");
        assert_eq!(shop.status("none")["state"], "finished");
        assert_eq!(shop.counts("none"), [0; 5]);
    }
    shop.ask(&["resume"]).exits(0);
    shop.verify("none");
    assert!(!shop.exists("ran"));
}

/// Items that would do harm if a shell, an option parser or a template ever saw them.
fn hostile() -> Vec<String> {
    let short = [
        "; touch pwned",
        "$(touch pwned)",
        "`touch pwned`",
        "\"; touch pwned; \"",
        "'; touch pwned; '",
        "-rf",
        "--help",
        "",
        " ",
        "{}",
        "{id} {.a}",
        "%s%n\\0\\x41",
        "* ~ $HOME ${PATH} !! &",
        "one\ntwo\r\n\n",
        "tab\tbell\u{7}escape\u{1b}[31m",
        "emoji 🦀👩‍👩‍👧 and \u{202e}right to left",
        "=FOO=bar",
    ];
    let mut items: Vec<String> = short.map(str::to_owned).into();
    items.push("x$(touch pwned)".repeat(100_000 / 15));
    items
}

#[test]
fn hostile_items_arrive_byte_for_byte_and_are_never_executed() {
    let shop = Workshop::new();
    shop.write("items.json", json!(hostile()).to_string());
    let expected: Vec<u8> =
        hostile().into_iter().flat_map(|item| item.into_bytes().into_iter().chain([0])).collect();
    let input = ["--input", "items.json"];
    let arrives = |what: &str, command: &[&str]| {
        let output = map(&shop, &input, command, "").exits(0);
        assert!(output.stdout == expected, "{what}: {}", String::from_utf8_lossy(&output.stdout));
    };
    arrives("as an argument", &["printf", "%s\\0", "{}"]);
    arrives("beside a shell's script", &["sh", "-c", "printf '%s\\0' \"$1\"", "sh", "{}"]);
    shop.write(
        "objects.json",
        json!(hostile().iter().map(|item| json!({ "a": item })).collect::<Vec<_>>()).to_string(),
    );
    let output = map(&shop, &["-i", "objects.json"], &["printf", "%s\\0", "{.a}"], "").exits(0);
    assert!(output.stdout == expected, "as a field");

    let output = map(&shop, &input, &["sh", "-c", "printf '%s\\n' \"$WORKITEM_ITEM\""], "").exits(0);
    let parse = |line: &&str| serde_json::from_str::<String>(line).unwrap();
    assert_eq!(output.lines().iter().map(parse).collect::<Vec<_>>(), hostile(), "in the environment");
    assert!(!shop.exists("pwned"));
}

#[test]
fn hostile_ids_are_only_names() {
    let shop = Workshop::new();
    let ids = ["../../../up", "/etc/passwd", "a b;touch pwned", "-x", "%s", "'", "é🦀", "{}", "~1", "a~1"];
    let items: Vec<Value> = ids.iter().map(|id| json!({ "id": id })).collect();
    shop.write("items.json", json!(items).to_string());
    let big = "head -c 100000 /dev/zero | tr '\\0' x; printf '%s' \"$WORKITEM_ID\"";
    let options = ["-i", "items.json", "--id-from", ".id", "--job", "../job; x"];
    let output = map(&shop, &options, &["sh", "-c", big], "").exits(0);
    let expected: String = ids.iter().map(|id| "x".repeat(100_000) + id).collect();
    assert!(output.text() == expected);
    for id in ids {
        let history = shop.ask(&["history", "--", "../job; x", id]).exits(0);
        assert_eq!(history.lines().len(), 2, "{id}");
    }
    shop.verify("../job; x");
    assert!(!shop.exists("pwned"));
}

#[test]
fn an_item_too_long_for_the_environment_is_in_a_file() {
    let shop = Workshop::new();
    let item = "é\n$(touch pwned)".repeat(20_000);
    let items = [json!("short"), json!(item)];
    shop.write("items.json", json!(items).to_string());
    shop.script(
        "agent",
        r#"[ -z "$WORKITEM_ITEM" ] || { printf '%s\n' "$WORKITEM_ITEM"; exit; }
           [ "$(stat -c %a "$WORKITEM_ITEM_FILE")" = 600 ] && cat "$WORKITEM_ITEM_FILE""#,
    );
    let output = map(&shop, &["-i", "items.json"], &["./agent"], "").exits(0);
    assert_eq!(output.lines(), items.map(|item| item.to_string()));
    assert_eq!(shop.scratch_files(), 0);

    // As an argument it cannot be passed on, and that is said of this item alone.
    let output = map(&shop, &["-i", "items.json"], &["printf", "%s", "{}"], "").exits(3);
    assert_eq!(output.text(), "short");
    output.says(&["item 2: given up after attempt 1: could not start `printf`", "WORKITEM_ITEM_FILE"]);
    assert_eq!(shop.scratch_files(), 0);
}

#[test]
fn agents_find_out_what_they_work_on() {
    let shop = Workshop::new();
    let vars = "echo $WORKITEM_JOB $WORKITEM_ID $WORKITEM_ATTEMPT; echo $WORKITEM_RUN >>runs; cat; pwd >>pwd";
    let fails_once = format!("{vars}; [ $WORKITEM_ATTEMPT -gt 1 ]");
    let options = ["--job", "j 1", "--max-attempts", "2", "-j", "1"];
    let output = map(&shop, &options, &["sh", "-c", &fails_once], "a\nb\n").exits(0);
    assert_eq!(output.lines(), ["j 1 1 2", "j 1 2 2"]);
    let runs = shop.read_lines("runs");
    assert_eq!(runs.len(), 4);
    assert!(runs.iter().all(|run| !run.is_empty() && *run == runs[0]));
    assert_eq!(shop.read_lines("pwd")[0], shop.file(".").canonicalize().unwrap().display().to_string());
}

#[test]
fn output_is_bytes_of_any_number() {
    let shop = Workshop::new();
    shop.script(
        "agent",
        "printf '\\377\\000\\376%s' \"$1\"; head -c \"$1\" /dev/urandom | tee kept.$1; printf 'no newline'",
    );
    let sizes = [0, 1, 30_000, 40_000, 3_000_000];
    let output = map(&shop, &["--job", "job"], &["./agent", "{}"], lines(sizes)).exits(0);
    let mut expected = Vec::new();
    for size in sizes {
        expected.extend(b"\xff\0\xfe");
        expected.extend(size.to_string().into_bytes());
        expected.extend(std::fs::read(shop.file(format!("kept.{size}"))).unwrap());
        expected.extend(b"no newline");
    }
    assert!(output.stdout == expected, "as printed");
    assert!(shop.ask(&["output", "job"]).exits(0).stdout == expected, "as kept");
    shop.verify("job");
    let logs = shop.ask(&["logs", "job", "5"]).exits(0);
    assert!(String::from_utf8_lossy(&logs.stdout).contains("-- attempt 1, stdout, 3000020 bytes\n"));
}

#[test]
fn order_is_kept_on_request_even_when_items_fail() {
    let shop = Workshop::new();
    // Later ones are quicker; every fifth fails.
    let agent = "sleep 0.0$((9 - $1 % 10)); echo $1; [ $(($1 % 5)) != 0 ]";
    let output = map(&shop, &["-j", "5"], &["sh", "-c", agent, "sh", "{}"], lines(1..=20)).exits(3);
    let expected: Vec<String> = (1..=20).filter(|n| n % 5 != 0).map(|n| n.to_string()).collect();
    assert_eq!(output.lines(), expected);
}

#[test]
fn progress_can_be_read_by_programs() {
    let shop = Workshop::new();
    shop.script("agent", "echo out; case $1 in b) exit 7;; c) [ $WORKITEM_ATTEMPT = 2 ];; esac");
    let options = ["--job", "job", "--json", "--max-attempts", "2"];
    let output = map(&shop, &options, &["./agent", "{}"], "a\nb\nc\n").exits(3);
    assert_eq!(output.text(), "out\nout\n", "standard output is the items'");
    let events = output.events();
    let of = |kind: &str| events.iter().filter(|event| event["event"] == kind).collect::<Vec<_>>();
    assert!(events.iter().all(|event| event["job"] == "job"));
    assert_eq!(events[0], json!({ "event": "submitted", "job": "job", "items": 3, "skipped": 0 }));
    assert_eq!((of("completed").len(), of("retrying").len(), of("dead_lettered").len()), (2, 2, 1));
    let letter = of("dead_lettered")[0];
    assert_eq!(
        (&letter["id"], &letter["attempt"], &letter["stdout_bytes"]),
        (&json!("2"), &json!(2), &json!(4))
    );
    assert_eq!((&letter["error"], &letter["cause"]), (&json!("exit 7"), &json!({ "exit": 7 })));
    let summary = events.last().unwrap();
    assert_eq!(summary["event"], "summary");
    assert_eq!(summary["finished"], true);
    assert_eq!(summary["counts"]["completed"], 2);
    assert_eq!((&summary["completed"], &summary["failures"]), (&json!(2), &json!(3)));

    for args in [&["resume", "none", "--json"][..], &["dlq", "retry", "none", "--json"]] {
        let events = shop.ask(args).exits(2).events();
        assert_eq!((events.len(), &events[0]["event"], &events[0]["exit"]), (1, &json!("error"), &json!(2)));
    }
    let events = shop.ask(&["dlq", "retry", "job", "--json"]).exits(3).events();
    assert_eq!((&events[0]["event"], &events[0]["items"]), (&json!("retried"), &json!(["2~1"])));
}

#[test]
fn quiet_is_quiet() {
    let shop = Workshop::new();
    let output = map(&shop, &["-q", "--job", "job"], &["sh", "-c", "echo out; echo err >&2; exit 1"], "a\n");
    assert_eq!(
        (output.exits(3).stderr.as_str(), shop.ask(&["resume", "-q"]).exits(3).stderr.as_str()),
        ("", "")
    );
    assert_eq!(shop.ask(&["dlq", "retry", "-q", "job"]).exits(3).stderr, "");
}

#[test]
fn a_terminal_shows_progress_and_every_output() {
    let shop = Workshop::new();
    let agent = "sleep 0.2; printf 'out %s' $WORKITEM_ID";
    shop.write(
        "map",
        format!("seq 6 | workitem map --job job -j 2 -- sh -c \"{}\"", agent.replace('$', "\\$")),
    );
    let typed = shop.sh("script -qec 'sh ./map' /dev/null", "").exits(0);
    // What is erased to the start of the line is not seen.
    let seen: Vec<&str> =
        typed.text().split('\n').filter_map(|line| line.rsplit("\r\u{1b}[2K").next()).collect();
    for n in 1..=6 {
        assert!(seen.iter().any(|line| line.trim_end() == format!("out {n}")), "{n} in {seen:?}");
    }
    assert!(typed.text().contains("/6 ") && typed.text().contains(" running"), "{seen:?}");
    assert!(typed.text().contains("job: 6 of 6 items completed"), "{seen:?}");
}

#[test]
fn many_failures_are_not_told_one_by_one() {
    let shop = Workshop::new();
    let output = map(&shop, &["--job", "job"], &["false"], lines(1..=100)).exits(3);
    let output = output.says(&["further failures are not told", "100 items were given up"]);
    assert!(output.stderr.lines().count() < 20, "{}", output.stderr);
}

#[test]
fn a_job_can_be_run_with_other_options_later() {
    let shop = Workshop::new();
    // Fails until the third attempt.
    let agent = ["sh", "-c", "echo $WORKITEM_ATTEMPT; [ $WORKITEM_ATTEMPT -ge 3 ]"];
    map(&shop, &["--job", "job"], &agent, "a\n").exits(3);
    shop.ask(&["dlq", "retry", "job", "--max-attempts", "3"]).exits(0);
    assert_eq!(shop.items("job")["1~1"]["attempts"], 3);
    // From anywhere: the command runs in the job's folder.
    std::fs::create_dir(shop.file("elsewhere")).unwrap();
    map(&shop, &["--job", "where"], &["sh", "-c", "[ -e mended ] && pwd"], "a\n").exits(3);
    shop.write("mended", "");
    let store = shop.file(".workitem/workitem.db").display().to_string();
    let output = shop.sh(&format!("cd elsewhere && workitem dlq retry where --store {store}"), "").exits(0);
    assert_eq!(output.text().trim_end(), shop.file(".").canonicalize().unwrap().display().to_string());
}

#[test]
fn the_slowest_items_are_told_when_somebody_had_to_wait_for_one() {
    let shop = Workshop::new();
    let naps = ["map", "--job", "job", "-j", "4", "--", "sleep", "{}"];
    let output = shop.run(&naps, lines(["0.01", "3.1", "0.3", "0.02"])).exits(0);
    let line = output.stderr.lines().find(|line| line.starts_with("  slowest: ")).unwrap();
    let items: Vec<&str> = line["  slowest: ".len()..].split(", ").collect();
    assert!(
        items.len() == 3 && items[0].starts_with("2 took 3.") && items[1].starts_with("3 took "),
        "{line}"
    );
    assert!(line.ends_with(" on average"), "{line}");

    // Quick ones, one alone, and what took as long as the others.
    for alike in [lines(["0.01", "1.1"]), lines(["3.05"]), lines(["3.05", "3.05"])] {
        let map = ["map", "-j", "2", "--", "sleep", "{}"];
        let output = shop.run(&map, alike).exits(0);
        assert!(!output.stderr.contains("slowest"), "{}", output.stderr);
    }
}
