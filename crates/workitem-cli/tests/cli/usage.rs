//! What cannot be done is refused before anything runs, with what is wrong and where; and what is printed
//! for programs keeps its shape.

use serde_json::{Value, json};

use crate::workshop::{Output, Workshop, lines};

/// Runs a `map` that must be refused, and leave neither a job nor a trace of an agent.
#[track_caller]
fn refused(options: &[&str], command: &[&str], stdin: impl AsRef<[u8]>, words: &[&str]) {
    let shop = Workshop::new();
    let output = shop.run(&[&["map", "--job", "job"], options, &["--"], command].concat(), stdin);
    let output = output.complains(2, words);
    assert_eq!(output.text(), "");
    assert!(!shop.exists("ran"));
    if shop.exists(".workitem") {
        shop.ask(&["status", "job"]).complains(2, &["no job `job`"]);
        assert!(shop.ask(&["jobs"]).exits(0).lines().is_empty());
    }
}

const TOUCH: [&str; 3] = ["touch", "ran", "{}"];

#[test]
fn a_command_line_that_makes_no_sense_is_refused() {
    let shop = Workshop::new();
    let senseless: [&[&str]; 16] = [
        &[],
        &["frobnicate"],
        &["map"],
        &["map", "--"],
        &["map", "echo", "{}"],
        &["map", "-j", "0", "--", "true"],
        &["map", "-j", "many", "--", "true"],
        &["map", "--timeout", "0s", "--", "true"],
        &["map", "--timeout", "soon", "--", "true"],
        &["map", "--backoff", "1m..1s", "--", "true"],
        &["map", "--max-attempts", "0", "--", "true"],
        &["map", "-0", "--format", "csv", "--", "true"],
        &["map", "--json", "--quiet", "--", "true"],
        &["map", "--job", "a\nb", "--", "true"],
        &["items", "job", "--state", "done"],
        &["machine", "--format", "poem"],
    ];
    for args in senseless {
        let output = shop.run(args, "x\n").exits(2);
        assert_eq!(output.text(), "", "{args:?}");
        assert!(output.stderr.contains("Usage:") || output.stderr.contains("error: "), "{}", output.stderr);
    }
    assert_eq!(std::fs::read_dir(shop.file(".")).unwrap().count(), 0);
    refused(&[], &[""], "x\n", &["the command's name is empty"]);
    refused(&["--id-from", "slug"], &TOUCH, "x\n", &["--id-from", "`slug` is no path to a field"]);
    refused(&["--json-path", "pages["], &TOUCH, "[]", &["`pages[` is no JSONPath"]);
}

#[test]
fn a_folder_that_cannot_be_named_is_refused() {
    let shop = Workshop::new();
    let output = shop.sh("d=$(printf 'x\\377') && mkdir \"$d\" && cd \"$d\" && workitem map -- true", "x\n");
    output.complains(2, &["the path of the folder is not UTF-8"]);
}

#[test]
fn an_input_that_cannot_be_read_is_refused() {
    refused(&["-i", "none.txt"], &TOUCH, "", &["could not open none.txt: No such file"]);
    refused(&["-i", "."], &TOUCH, "", &["could not read .: Is a directory"]);
    refused(&["--format", "json"], &TOUCH, "{\"a\": 1}", &["holds an object", "--json-path"]);
    refused(&["--format", "json"], &TOUCH, "[1, 2", &["standard input is not JSON", "line 1"]);
    refused(&["--format", "csv", "--json-path", "$"], &TOUCH, "a\n1\n", &["--json-path is for JSON"]);
    refused(&["--format", "csv"], &TOUCH, "a,a\n1,2\n", &["header", "names column `a` twice"]);
    let twice = "{\"id\":\"a\"}\n{\"id\":\"b\"}\n{\"id\":\"a\"}\n";
    let same = ["line 1 and line 3 have the same id `a`"];
    refused(&["--format", "jsonl", "--id-from", ".id"], &TOUCH, twice, &same);
}

#[test]
fn a_line_that_cannot_be_an_item_is_named_and_nothing_is_run() {
    let bad = |place: &'static str, reason: &'static str| [place, "cannot be an item", reason, "--skip-bad"];
    refused(&[], &TOUCH, b"good\nb\xffd\n", &bad("line 2", "is not UTF-8 from byte 2 on"));
    refused(&[], &TOUCH, "good\nalso\na\0b\n", &bad("line 3", "holds a NUL"));
    refused(&["-0"], &TOUCH, b"good\0\xff\0", &bad("item 2", "is not UTF-8"));
    let jsonl = ["--format", "jsonl"];
    refused(&jsonl, &TOUCH, "1\n\n{\"a\":\n", &bad("line 3", "is not JSON"));
    refused(&jsonl, &["touch", "{.a}"], "{\"a\":1}\n{}\n", &bad("line 2", "no field `.a`"));
    refused(&jsonl, &["touch", "{.a}"], "{\"a\":\"x\\u0000\"}\n", &bad("line 1", "NUL"));
    let with_id = ["--format", "jsonl", "--id-from", ".id"];
    refused(&with_id, &TOUCH, "{\"id\":\"a\"}\n{\"id\":null}\n", &bad("line 2", "has no id"));
    refused(&["--format", "csv"], &TOUCH, "a,b\n1,2\n\n3\n", &bad("record 2 (line 4)", "has 1 field"));
    let long = format!("good\n{}\n", "x".repeat(17 << 20));
    refused(&[], &TOUCH, long, &bad("line 2", "is longer than 16 MiB"));
    // Far behind what was stored already.
    let far = lines(1..=12_000) + "a\0b\n";
    refused(&[], &TOUCH, far, &bad("line 12001", "holds a NUL"));
}

#[test]
fn bad_lines_can_be_passed_over_and_are_counted() {
    let shop = Workshop::new();
    let map = ["map", "--job", "job", "--skip-bad", "--format", "jsonl", "--", "echo", "{id}", "{.a}"];
    let input = b"{\"a\":1}\nnot json\n{\"b\":1}\n\n\xff\n{\"a\":6}\n";
    let output = shop.run(&map, input).exits(0);
    assert_eq!(output.sorted_lines(), ["1 1", "6 6"], "a line keeps its number");
    output.says(&[
        "2 items, 3 lines passed over",
        "3 lines could not be items",
        "workitem items job --skipped",
    ]);
    assert_eq!(shop.status("job")["skipped"], 3);
    let skipped = shop.ask(&["items", "job", "--skipped"]).exits(0);
    let expected = [
        "line 2: is not JSON: expected ident at column 2",
        "line 3: item `3` has no field `.a`",
        "line 5: is not JSON: expected value at column 1",
    ];
    assert_eq!(skipped.lines(), expected);
    let skipped = shop.ask(&["items", "job", "--skipped", "--json"]).exits(0).json_lines();
    assert_eq!(
        skipped[1],
        json!({ "position": 3, "place": "line 3", "reason": "item `3` has no field `.a`" })
    );
    // Where NUL does no harm, it is an item like any other.
    shop.run(&["map", "--job", "nul", "--", "true"], "a\0b\n").exits(0);
    shop.verify("job");
}

#[test]
fn a_map_under_a_known_name_goes_on_with_it_or_says_what_differs() {
    let shop = Workshop::new();
    let map =
        |command: &[&str], stdin: &str| shop.run(&[&["map", "--job", "job", "--"], command].concat(), stdin);
    let agent = ["sh", "-c", "echo $1 >>ran; [ -e ok ]", "sh", "{}"];
    map(&agent, "a\nb\n").exits(3);
    let again = map(&agent, "a\nb\n").exits(3);
    assert_eq!((again.text(), shop.read_lines("ran").len()), ("", 2), "what was given up is not run again");
    shop.write("ok", "");
    shop.ask(&["dlq", "retry", "job", "--no-run"]).exits(0);
    map(&agent, "a\nb\n").exits(0);
    assert_eq!(shop.read_lines("ran").len(), 4);

    let differs = |output: Output, what: &str| {
        output.complains(2, &["job `job` exists already", what, "workitem resume job", "--job"]);
    };
    differs(map(&["sh", "-c", "true"], "a\nb\n"), r#"its command is ["sh", "-c", "echo $1"#);
    differs(map(&agent, "a\nb\nc\n"), "it has 2 items, this input has 3");
    differs(map(&agent, "a\nc\n"), "its 2 items are not those of this input");
    let elsewhere = "mkdir -p x && cd x && workitem --store ../.workitem/workitem.db map --job job -- \
                     sh -c 'echo $1 >>ran; [ -e ok ]' sh {}";
    differs(shop.sh(elsewhere, "a\nb\n"), "it runs in the folder ");
    assert_eq!(shop.read_lines("ran").len(), 4);
    shop.verify("job");
}

#[test]
fn what_does_not_exist_is_named() {
    let shop = Workshop::new();
    shop.run(&["map", "--job", "job", "-q", "--", "true"], "x\n").exits(0);
    for command in ["status", "resume", "items", "output", "verify"] {
        let none = ["there is no job `none` in store .workitem/workitem.db", "`workitem jobs` lists them"];
        shop.ask(&[command, "none"]).complains(2, &none);
    }
    for command in [&["history"][..], &["logs"], &["dlq", "show"], &["dlq", "retry"]] {
        shop.ask(&[command, &["none", "1"]].concat()).complains(2, &["no job `none`"]);
        let none = ["job `job` has no item `9`", "`workitem items job` lists them"];
        shop.ask(&[command, &["job", "9"]].concat()).complains(2, &none);
    }
    shop.ask(&["dlq", "list", "none"]).complains(2, &["no job `none`"]);
}

/// Whether `value` has at least these fields, each with a value of the same type; `null` is any.
#[track_caller]
fn has_shape(value: &Value, shape: &Value) {
    for (name, sample) in shape.as_object().unwrap() {
        let field = value.get(name).unwrap_or_else(|| panic!("no `{name}` in {value}"));
        match sample {
            Value::Null => {}
            Value::Object(_) => has_shape(field, sample),
            _ => assert_eq!(
                std::mem::discriminant(field),
                std::mem::discriminant(sample),
                "`{name}` of {value}"
            ),
        }
    }
}

#[test]
fn what_is_printed_for_programs_keeps_its_shape() {
    let shop = Workshop::new();
    let agent = ["sh", "-c", "echo out; [ $1 != bad ]", "sh", "{}"];
    shop.run(&[&["map", "--job", "job", "-q", "--"], &agent[..]].concat(), "good\nbad\n").exits(3);
    let print = |args: &[&str]| shop.ask(args).exits(0).json_lines();

    let counts = json!({ "pending": 0, "in_progress": 0, "completed": 0, "failed": 0, "dead_lettered": 0, "total": 0 });
    let status = json!({
        "job": "", "state": "", "counts": counts, "waiting": 0, "open_letters": 0, "skipped": 0,
        "created_at": "", "runner": null, "rate": null, "eta_seconds": null,
    });
    has_shape(&print(&["status", "--json"])[0], &status);
    let job = json!({ "job": "", "state": "", "counts": counts, "created_at": "", "command": [] });
    has_shape(&print(&["jobs", "--json"])[0], &job);

    let items = print(&["items", "job", "--json"]);
    let item = json!({ "id": "", "attempts": 0, "failures": 0, "status": {}, "crashes": 0, "run_at": null, "origin": null });
    for row in &items {
        has_shape(row, &item);
    }
    let duration = json!({ "secs": 0, "nanos": 0 });
    let completed = json!({ "Completed": { "result": { "item_id": "", "status": null, "commits": [], "duration": duration } } });
    has_shape(&items[0]["status"], &completed);
    let dead = json!({ "DeadLettered": { "error": "", "retry_count": 0, "dlq_at": "" } });
    has_shape(&items[1]["status"], &dead);

    let history = print(&["history", "job", "2", "--json"]);
    for row in &history {
        has_shape(row, &json!({ "version": 0, "at": "", "event": null, "cause": null }));
    }
    has_shape(&history[0]["event"], &json!({ "AgentStart": { "agent_id": "" } }));
    has_shape(&history[1]["event"], &json!({ "AgentFailed": { "error": "" } }));
    assert_eq!(
        (&history[1]["cause"], &history[2]["event"]),
        (&json!({ "exit": 1 }), &json!("MoveToDeadLetter"))
    );

    let letter = json!({
        "id": "", "attempts": 0, "failures": 0, "error": "", "status": dead, "successors": [], "being_retried": false,
    });
    has_shape(&print(&["dlq", "list", "job", "--json"])[0], &letter);
    let audit = json!({ "job": "", "passed": true, "items": 0, "events": 0, "found": 0, "problems": [] });
    has_shape(&print(&["verify", "job", "--json"])[0], &audit);
}

#[test]
fn states_can_be_asked_for_in_any_spelling() {
    let shop = Workshop::new();
    shop.run(&["map", "--job", "job", "-q", "--", "test", "{}", "!=", "b"], "a\nb\nc\n").exits(3);
    assert_eq!(shop.ids("job", "completed"), ["1", "3"]);
    for state in ["dead_lettered", "DeadLettered", "dead-lettered"] {
        assert_eq!(shop.ids("job", state), ["2"]);
    }
    assert!(shop.ids("job", "pending").is_empty());
    let listed = shop.ask(&["items", "job"]).exits(0);
    assert_eq!(listed.lines()[1], "2\tDeadLettered\t1\texit 1");
}

#[test]
fn what_people_read_has_no_control_characters_of_items() {
    let shop = Workshop::new();
    shop.write("items.json", r#"["\u001b[31mred\nline"]"#);
    let agent = ["sh", "-c", "printf '%s' \"$1\" >&2; exit 1", "sh", "{}"];
    let map = ["map", "--job", "job", "-i", "items.json", "--"];
    let output = shop.run(&[&map[..], &agent].concat(), "").exits(3);
    let listed = shop.ask(&["dlq", "list", "job"]).exits(0);
    for text in [output.stderr.as_str(), listed.text()] {
        assert!(text.contains("exit 1: line") && !text.contains('\u{1b}'), "{text:?}");
    }
}

#[test]
fn a_job_without_a_name_gets_one() {
    let shop = Workshop::new();
    for n in 1..=2 {
        shop.run(&["map", "--", "true"], "x\n").exits(0).says(&[&format!("job-{n}: 1 item\n")]);
    }
    shop.run(&["map", "--job", "job-4", "--", "true"], "x\n").exits(0);
    shop.run(&["map", "--", "true"], "x\n").exits(0).says(&["job-5: "]);
    let status = shop.ask(&["status"]).exits(0);
    assert!(status.text().starts_with("job-5: finished\n"), "{}", status.text());
}

#[test]
fn the_machine_is_printed_in_every_format() {
    let shop = Workshop::new();
    let print = |format: &str| shop.ask(&["machine", "--format", format]).exits(0).text().to_owned();
    assert_eq!(shop.ask(&["machine"]).exits(0).text(), print("table"));
    assert_eq!(print("table").lines().count(), 7);
    assert_eq!(print("mermaid").matches("-->").count(), 7 + 3, "seven rows, one start, two ends");
    assert!(print("mermaid").starts_with("stateDiagram-v2\n"));
    assert_eq!(print("dot").matches("->").count(), 7);
    let machine: Value = serde_json::from_str(&print("json")).unwrap();
    let lengths = ["states", "events", "transitions"].map(|list| machine[list].as_array().unwrap().len());
    assert_eq!(lengths, [5, 6, 7]);
}

#[test]
fn the_program_explains_itself() {
    let shop = Workshop::new();
    let help = shop.ask(&["--help"]).exits(0);
    for code in ["0  every item is completed", "2  ", "3  ", "4  ", "5  ", "6  "] {
        assert!(help.text().contains(&format!("\n  {code}")), "{code}: {}", help.text());
    }
    assert!(shop.ask(&["--version"]).exits(0).text().starts_with("workitem 0."));
    let map = shop.ask(&["map", "--help"]).exits(0);
    for word in ["{id}", "WORKITEM_ITEM_FILE", "--keep-order", "Examples:", "Exit codes"] {
        assert!(map.text().contains(word), "{word}");
    }
    for shell in ["bash", "zsh", "fish"] {
        assert!(shop.ask(&["completions", shell]).exits(0).text().contains("keep-order"), "{shell}");
    }
    let man = shop.ask(&["man"]).exits(0);
    for word in [".TH workitem 1", "Exit codes", "workitem map", "keep\\-order", "dlq retry"] {
        assert!(man.text().contains(word), "{word} in {}", man.text());
    }
}
