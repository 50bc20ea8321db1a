//! Ids from the items themselves.

use super::*;

fn by(format: Format, field: &str) -> Options {
    Options { format: Some(format), id_from: Some(field.to_owned()), ..Options::default() }
}

fn ids(text: &'static str, options: &Options) -> Vec<String> {
    let entries = reader(text, options).unwrap();
    entries.map(|entry| entry.unwrap().unwrap().id.into_string()).collect()
}

#[test]
fn strings_and_numbers_are_ids() {
    let text = "{\"a\":{\"id\":\"x\"}}\n{\"a\":{\"id\":7}}\n{\"a\":{\"id\":1.50}}";
    assert_eq!(ids(text, &by(Format::Jsonl, ".a.id")), ["x", "7", "1.50"]);
    assert_eq!(ids("slug,n\na,1\nb,2\n", &by(Format::Csv, ".slug")), ["a", "b"]);
    assert_eq!(ids("x\ny\n", &by(Format::Lines, ".")), ["x", "y"]);
}

#[test]
fn what_cannot_be_an_id_is_bad() {
    let long = "x".repeat(513);
    let text = [
        "{}",
        r#"{"id":null}"#,
        r#"{"id":""}"#,
        r#"{"id":"a\u0000b"}"#,
        r#"{"id":"a\nb"}"#,
        &format!(r#"{{"id":"{long}"}}"#),
        "3",
        &format!(r#"{{"id":"{}"}}"#, &long[1..]),
    ];
    let shown = shown(text.join("\n"), &by(Format::Jsonl, ".id"));
    assert_eq!(
        shown[..7],
        [
            "line 1: has no id: no field `.id`",
            "line 2: has no id: `.id` is neither a string nor a number",
            "line 3: has an empty id at `.id`",
            "line 4: has a control character in its id at `.id`",
            "line 5: has a control character in its id at `.id`",
            "line 6: has an id of 513 bytes at `.id`, and 512 is the most",
            "line 7: has no id: no field `.id`: the item is a number",
        ]
    );
    assert!(shown[7].starts_with("line 8 = "));
}

#[test]
fn an_id_that_two_items_have_is_an_error_that_names_both() {
    let csv = shown("id\na\nb\n\"a\"\nc\n", &by(Format::Csv, ".id"));
    assert_eq!(csv[2..], ["record 1 and record 3 (line 4) have the same id `a`"]);
    let number_and_string = shown("\n{\"id\":1}\n{\"id\":\"1\"}\n", &by(Format::Jsonl, ".id"));
    assert_eq!(number_and_string[1..], ["line 2 and line 3 have the same id `1`"]);
    assert_eq!(ids("same\nsame\n", &Options::default()), ["1", "2"]);
}

#[test]
fn the_field_must_be_a_path() {
    assert_eq!(
        shown("x", &by(Format::Lines, "id")),
        ["--id-from: `id` is no path to a field: expected `.name`, `.name.name` or `.name.0`"]
    );
}
