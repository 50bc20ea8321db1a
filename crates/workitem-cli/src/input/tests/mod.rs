//! Inputs of every format.

mod csv;
mod ids;
mod json;
mod text;

use std::io::{BufReader, Cursor, Read};
use std::path::Path;

use serde_json::Value;
use tempfile::tempdir;

use super::*;

/// A reader of bytes in memory.
fn reader(bytes: impl AsRef<[u8]> + 'static, options: &Options) -> Result<Reader, InputError> {
    Reader::new("input".to_owned(), Cursor::new(bytes), options, Format::Lines)
}

fn format(format: Format) -> Options {
    Options { format: Some(format), ..Options::default() }
}

/// What each place holds: `line 1 = "value"`, `line 2: what is wrong`, or the error.
fn shown(bytes: impl AsRef<[u8]> + 'static, options: &Options) -> Vec<String> {
    let entries = match reader(bytes, options) {
        Ok(reader) => reader,
        Err(error) => return vec![error.to_string()],
    };
    entries
        .map(|entry| match entry {
            Ok(Ok(Input { place, value, .. })) => format!("{place} = {value}"),
            Ok(Err(Bad { place, reason, .. })) => format!("{place}: {reason}"),
            Err(error) => error.to_string(),
        })
        .collect()
}

/// The values of an input in which nothing is bad.
fn values(bytes: Vec<u8>, options: &Options) -> Vec<Value> {
    reader(bytes, options).unwrap().map(|entry| entry.unwrap().unwrap().value).collect()
}

/// What is wrong with the first place, and the value of the second.
fn bad_then_good(from: impl Read + 'static, options: &Options) -> (String, Value) {
    let from = BufReader::new(from);
    let mut entries = Reader::new("input".to_owned(), from, options, Format::Lines).unwrap();
    let bad = entries.next().unwrap().unwrap().unwrap_err();
    let good = entries.next().unwrap().unwrap().unwrap();
    assert!(entries.next().is_none());
    (format!("{}: {}", bad.place, bad.reason), good.value)
}

#[test]
fn a_name_says_the_format() {
    for (name, format) in [
        ("a.txt", Format::Lines),
        ("a.jsonl", Format::Jsonl),
        ("a.NDJSON", Format::Jsonl),
        ("a.json", Format::Json),
        ("b/a.csv", Format::Csv),
        ("json", Format::Lines),
        ("a.json.list", Format::Lines),
    ] {
        assert_eq!(Format::of(Path::new(name)), format, "{name}");
    }
}

#[test]
fn files_are_read() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("items.jsonl");
    std::fs::write(&path, "[1]\n").unwrap();
    let mut entries = Reader::open(Some(&path), &Options::default()).unwrap();
    let input = entries.next().unwrap().unwrap().unwrap();
    let expected =
        Input { position: 1, place: "line 1".to_owned(), id: "1".into(), value: serde_json::json!([1]) };
    assert_eq!(input, expected);

    let missing = Reader::open(Some(Path::new("/no/such.txt")), &Options::default()).err().unwrap();
    assert_eq!(missing.to_string(), "could not open /no/such.txt: No such file or directory (os error 2)");
    let folder = Reader::open(Some(folder.path()), &Options::default()).unwrap().next().unwrap().unwrap_err();
    assert!(matches!(folder, InputError::Read { .. }), "{folder}");
}

#[test]
fn nothing_comes_after_an_error_of_the_medium() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("torn off"))
        }
    }
    let options = [Format::Lines, Format::Nul, Format::Jsonl].map(format);
    for options in options {
        let from = BufReader::new(Cursor::new("1\0\n2").chain(Broken));
        let entries = Reader::new("tape".to_owned(), from, &options, Format::Lines).unwrap();
        let ends: Vec<_> = entries.filter_map(Result::err).map(|error| error.to_string()).collect();
        assert_eq!(ends, ["could not read tape: torn off"]);
    }
    for options in [Format::Json, Format::Csv].map(format) {
        let error = Reader::new("tape".to_owned(), BufReader::new(Broken), &options, Format::Lines).err();
        assert_eq!(error.unwrap().to_string(), "could not read tape: torn off");
    }
    let records = BufReader::new(Cursor::new("a\n1\n").chain(Broken));
    let mut records = Reader::new("tape".to_owned(), records, &format(Format::Csv), Format::Lines).unwrap();
    assert!(records.next().unwrap().unwrap().is_ok());
    assert!(records.next().unwrap().is_err() && records.next().is_none());
}
