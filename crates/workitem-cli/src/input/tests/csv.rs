//! CSV with a header.

use std::io::{Read, repeat};

use proptest::prelude::*;
use serde_json::json;
use workitem_store::MAX_PAYLOAD;

use super::*;

fn csv() -> Options {
    format(Format::Csv)
}

#[test]
fn each_record_is_an_object_of_strings() {
    assert_eq!(
        shown("\u{feff}name,size\na,1\n\"b, \"\"c\"\"\", 2 \n,\n", &csv()),
        [
            r#"record 1 (line 2) = {"name":"a","size":"1"}"#,
            r#"record 2 (line 3) = {"name":"b, \"c\"","size":" 2 "}"#,
            r#"record 3 (line 4) = {"name":"","size":""}"#,
        ]
    );
}

#[test]
fn lines_are_counted_through_quotes_blank_lines_and_carriage_returns() {
    assert_eq!(
        shown("a,b\r\n1,\"x\r\ny\nz\"\r\n\r\n\n2,q\r\n3,r", &csv()),
        [
            r#"record 1 (line 2) = {"a":"1","b":"x\r\ny\nz"}"#,
            r#"record 2 (line 7) = {"a":"2","b":"q"}"#,
            r#"record 3 (line 8) = {"a":"3","b":"r"}"#,
        ]
    );
}

#[test]
fn a_ragged_record_is_bad() {
    assert_eq!(
        shown("a,b\n1\n1,2,3\n1,2\n", &csv()),
        [
            "record 1 (line 2): has 1 field, the header has 2",
            "record 2 (line 3): has 3 fields, the header has 2",
            r#"record 3 (line 4) = {"a":"1","b":"2"}"#,
        ]
    );
}

#[test]
fn a_quote_that_is_never_closed_swallows_no_records_in_silence() {
    for text in ["a\n1\n\"2\n3\n4\n", "a\n1\n\"2\n3\n4", "a\n1\n\""] {
        let shown = shown(text, &csv());
        assert_eq!(shown[1..], ["record 2 (line 3): has a quote that is never closed"], "{text:?}");
    }
    assert_eq!(shown("\"a\n1\n", &csv()), ["the header of input has a quote that is never closed"]);
    assert_eq!(shown("a\n\"1\"", &csv()), [r#"record 1 (line 2) = {"a":"1"}"#]);
}

#[test]
fn what_is_not_utf_8_is_bad() {
    assert_eq!(
        shown(b"a,b\n1,x\xff\n1,2\n", &csv()),
        [
            "record 1 (line 2): is not UTF-8 from byte 2 on in column 2",
            r#"record 2 (line 3) = {"a":"1","b":"2"}"#
        ]
    );
}

#[test]
fn a_record_that_is_too_long_is_bad_and_the_next_is_found() {
    let most = MAX_PAYLOAD as u64;
    let field = (&b"a\n\""[..]).chain(repeat(b'\n').take(2 * most)).chain(&b"\"\nnext\n"[..]);
    let (bad, good) = bad_then_good(field, &csv());
    assert_eq!(
        (bad.as_str(), good),
        ("record 1 (line 2): is longer than 16 MiB as JSON", json!({ "a": "next" }))
    );
    let commas = (&b"a\n"[..]).chain(repeat(b',').take(2 * most)).chain(&b"\nnext\n"[..]);
    assert_eq!(bad_then_good(commas, &csv()).0, "record 1 (line 2): is longer than 16 MiB as JSON");
}

#[test]
fn the_header_must_name_each_column_once() {
    assert_eq!(shown("a,b,a\n", &csv()), ["the header of input names column `a` twice"]);
    assert_eq!(shown("a,,b\n", &csv()), ["the header of input has no name for column 2"]);
    assert_eq!(shown(b"a,\xff\n", &csv()), ["the header of input is not UTF-8 from byte 1 on in column 2"]);
    assert_eq!(shown("a,b\n", &csv()), [""; 0]);
    assert_eq!(shown("", &csv()), [""; 0]);
}

#[test]
fn a_byte_order_mark_is_passed_over_once_and_is_text_from_then_on() {
    assert_eq!(shown("\u{feff}a\n1\n", &csv()), [r#"record 1 (line 2) = {"a":"1"}"#]);
    let text = [r#"record 1 (line 3) = {"\u{feff}a":"1"}"#.replace("\\u{feff}", "\u{feff}")];
    assert_eq!(shown("\u{feff}\n\u{feff}a\n1\n", &csv()), text);
    assert_eq!(shown("\n\u{feff}a\n1\n", &csv()), text);
}

proptest! {
    #[test]
    fn every_text_comes_back_from_csv(items in prop::collection::vec((any::<String>(), any::<String>()), 0..20)) {
        let quoted = |field: &String| format!("\"{}\"", field.replace('"', "\"\""));
        let records = items.iter().map(|(a, b)| format!("{},{}\n", quoted(a), quoted(b)));
        let text = format!("a,b\n{}", records.collect::<String>());
        let expected: Vec<Value> = items.iter().map(|(a, b)| json!({ "a": a, "b": b })).collect();
        prop_assert_eq!(values(text.into(), &csv()), expected);
    }
}
