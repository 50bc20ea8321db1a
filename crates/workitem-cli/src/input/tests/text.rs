//! Lines and NUL-separated text.

use std::io::{Read, repeat};

use proptest::prelude::*;
use serde_json::Value;
use workitem_store::MAX_PAYLOAD;

use super::*;

const LIMIT: u64 = MAX_PAYLOAD as u64;

fn lines(text: &'static str) -> Vec<String> {
    values(text.into(), &Options::default()).iter().map(|value| value.as_str().unwrap().to_owned()).collect()
}

#[test]
fn lines_are_split_at_newlines_alone() {
    assert_eq!(lines("a\nb\n"), ["a", "b"]);
    assert_eq!(lines("a\nb"), ["a", "b"]);
    assert_eq!(lines("a\n\nb\n\n"), ["a", "", "b", ""]);
    assert_eq!(lines("\n"), [""]);
    assert_eq!(lines(""), [""; 0]);
    assert_eq!(lines(" a\t\r\n\u{feff}b\u{2028}c\x0b\n"), [" a\t\r", "\u{feff}b\u{2028}c\x0b"]);
    assert_eq!(lines("\u{feff}a\0b"), ["\u{feff}a\0b"]);
}

#[test]
fn nul_separates_what_may_hold_newlines() {
    let values = values("a\nb\0\0c\0".into(), &format(Format::Nul));
    assert_eq!(values, ["a\nb", "", "c"]);
}

#[test]
fn the_position_is_the_number_of_the_line() {
    let positions: Vec<_> = reader("a\n\nb", &Options::default())
        .unwrap()
        .map(|entry| entry.unwrap().unwrap())
        .map(|input| (input.position, input.id.into_string()))
        .collect();
    assert_eq!(positions, [(1, "1".to_owned()), (2, "2".to_owned()), (3, "3".to_owned())]);
}

#[test]
fn what_is_not_utf_8_is_bad_and_counts() {
    assert_eq!(
        shown(b"ok\nab\xff\n\n", &Options::default()),
        ["line 1 = \"ok\"", "line 2: is not UTF-8 from byte 3 on", "line 3 = \"\""]
    );
    assert_eq!(shown(b"\xc3", &format(Format::Nul)), ["item 1: is not UTF-8 from byte 1 on"]);
}

#[test]
fn what_is_too_long_is_bad_and_the_next_line_is_found() {
    let long = repeat(b'x').take(3 * LIMIT).chain(&b"\nnext\n"[..]);
    let (bad, good) = bad_then_good(long, &Options::default());
    assert_eq!((bad.as_str(), good), ("line 1: is longer than 16 MiB as JSON", "next".into()));
}

#[test]
fn the_limit_is_that_of_the_value_as_json() {
    let read = |bytes: u64, byte| {
        let from = BufReader::new(repeat(byte).take(bytes).chain(&b"\n"[..]));
        let mut entries = Reader::new(String::new(), from, &Options::default(), Format::Lines).unwrap();
        entries.next().unwrap().unwrap().map(|input| input.value.as_str().unwrap().len() as u64)
    };
    // Two quotes.
    assert_eq!(read(LIMIT - 2, b'x').unwrap(), LIMIT - 2);
    assert_eq!(read(LIMIT - 1, b'x').unwrap_err().reason, "is longer than 16 MiB as JSON");
    assert!(read(LIMIT, b'x').is_err() && read(LIMIT + 1, b'x').is_err());
    // `\u0001`.
    assert_eq!(read((LIMIT - 2) / 6, 1).unwrap(), (LIMIT - 2) / 6);
    assert!(read((LIMIT - 2) / 6 + 1, 1).is_err());
}

proptest! {
    #[test]
    fn every_text_comes_back_byte_for_byte(items in prop::collection::vec("[^\n]*", 0..20), end in any::<bool>()) {
        let mut text = items.join("\n");
        // Without a last newline an empty last line is not there.
        if end || items.last().is_some_and(String::is_empty) {
            text.push('\n');
        }
        prop_assume!(!items.is_empty());
        let expected: Vec<Value> = items.into_iter().map(Value::from).collect();
        prop_assert_eq!(values(text.into(), &Options::default()), expected);
    }

    #[test]
    fn every_nul_separated_text_comes_back(items in prop::collection::vec("[^\0]*", 0..20)) {
        let text = items.iter().flat_map(|item| [item, "\0"]).collect::<String>();
        let expected: Vec<Value> = items.into_iter().map(Value::from).collect();
        prop_assert_eq!(values(text.into(), &format(Format::Nul)), expected);
    }
}
