//! JSON lines and JSON documents.

use std::io::{Read, repeat};

use proptest::prelude::*;
use serde_json::json;
use workitem_store::MAX_PAYLOAD;

use super::*;

fn path(path: &str) -> Options {
    Options { json_path: Some(path.to_owned()), ..Options::default() }
}

#[test]
fn each_line_is_a_value_and_blank_ones_are_passed_over() {
    assert_eq!(
        shown("\u{feff}{\"a\":1}\r\n\n  \t\n\"x\"\nnull", &format(Format::Jsonl)),
        ["line 1 = {\"a\":1}", "line 4 = \"x\"", "line 5 = null"]
    );
}

#[test]
fn a_malformed_line_is_bad_and_says_where() {
    assert_eq!(
        shown("{\"a\":1}\n{\"a\":\n[1,]\n1 2\n7", &format(Format::Jsonl)),
        [
            "line 1 = {\"a\":1}",
            "line 2: is not JSON: EOF while parsing a value at column 5",
            "line 3: is not JSON: trailing comma at column 4",
            "line 4: is not JSON: trailing characters at column 3",
            "line 5 = 7",
        ]
    );
    assert_eq!(
        shown(b"\"\xff\"", &format(Format::Jsonl)),
        ["line 1: is not JSON: invalid unicode code point at column 2"]
    );
    let deep = "[".repeat(200);
    assert_eq!(
        shown(deep, &format(Format::Jsonl)),
        ["line 1: is not JSON: recursion limit exceeded at column 128"]
    );
}

#[test]
fn numbers_and_the_order_of_fields_survive() {
    let line = r#"{"z":1.10,"a":-0,"m":123456789012345678901234567890,"e":1e+400}"#;
    assert_eq!(shown(line, &format(Format::Jsonl)), [format!("line 1 = {line}")]);
    let document = format!("[ {line} ]");
    assert_eq!(shown(document.clone(), &format(Format::Json)), [format!("element 1 = {line}")]);
    assert_eq!(shown(document, &path("$[0]")), [format!("element 1 = {line}")]);
}

#[test]
fn a_line_that_is_too_long_is_bad() {
    let long = (&b"\""[..]).chain(repeat(b'x').take(2 * MAX_PAYLOAD as u64)).chain(&b"\"\n1\n"[..]);
    let (bad, good) = bad_then_good(long, &format(Format::Jsonl));
    assert_eq!((bad.as_str(), good), ("line 1: is longer than 16 MiB as JSON", json!(1)));
}

#[test]
fn the_elements_of_an_array_are_items() {
    let options = format(Format::Json);
    assert_eq!(
        shown("\u{feff}[1,\n\"a\", {\"b\": [ ]}]", &options),
        ["element 1 = 1", "element 2 = \"a\"", "element 3 = {\"b\":[]}"]
    );
    assert_eq!(shown("[]", &options), [""; 0]);
}

#[test]
fn another_document_needs_a_path() {
    let options = format(Format::Json);
    assert_eq!(
        shown("{\"a\": [1]}", &options),
        ["input holds an object, expected an array; --json-path says which parts of it are items"]
    );
    assert_eq!(
        shown("7", &options),
        ["input holds a number, expected an array; --json-path says which parts of it are items"]
    );
}

#[test]
fn a_malformed_document_is_an_error_with_its_place() {
    assert_eq!(
        shown("[1,\n 2 3]", &format(Format::Json)),
        ["input is not JSON: expected `,` or `]` at line 2 column 4"]
    );
    assert_eq!(
        shown("", &format(Format::Json)),
        ["input is not JSON: EOF while parsing a value at line 1 column 0"]
    );
}

#[test]
fn a_path_selects_items() {
    let document = r#"{"pages": [{"n": 1, "p": 0.5}, {"n": 2}, {"n": 30, "p": 1.5}], "x": {"n": 9}}"#;
    assert_eq!(shown(document, &path("$.pages[*].n")), ["element 1 = 1", "element 2 = 2", "element 3 = 30"]);
    assert_eq!(shown(document, &path("$.pages[?@.n > 1].n")), ["element 1 = 2", "element 2 = 30"]);
    assert_eq!(shown(document, &path("$.pages[?@.p >= 0.5 && @.p < 1].n")), ["element 1 = 1"]);
    assert_eq!(shown(document, &path("$.pages[?@.n == 30].p")), ["element 1 = 1.5"]);
    assert_eq!(shown(document, &path("$.pages[-1:].n")), ["element 1 = 30"]);
    assert_eq!(shown(document, &path("$..n")).len(), 4);
    assert_eq!(shown(document, &path("$.none")), [""; 0]);
}

#[test]
fn a_path_that_ends_within_an_escape_is_refused() {
    for cut in [r#"$["\u"#, r#"$["\u00e"#, r#"$["\ud83d\u"#] {
        let refused = shown("[]", &path(cut));
        assert!(refused[0].contains("fewer than four digits"), "{refused:?}");
    }
}

#[test]
fn a_path_must_be_one_and_have_a_document() {
    let error = shown("[]", &path("pages[*]"));
    assert!(error[0].starts_with("`pages[*]` is no JSONPath: "), "{error:?}");
    let options = Options { format: Some(Format::Csv), ..path("$[*]") };
    assert_eq!(
        shown("a", &options),
        ["--json-path is for JSON documents, and input is read record by record"]
    );
}

proptest! {
    #[test]
    fn every_text_comes_back_from_json(items in prop::collection::vec(any::<String>(), 0..20)) {
        let expected: Vec<Value> = items.iter().cloned().map(Value::from).collect();
        let lines: Vec<_> = expected.iter().map(Value::to_string).collect();
        prop_assert_eq!(&values(lines.join("\n").into(), &format(Format::Jsonl)), &expected);
        let document = Value::from(items).to_string();
        prop_assert_eq!(&values(document.into(), &format(Format::Json)), &expected);
    }
}
