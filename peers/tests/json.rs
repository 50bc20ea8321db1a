//! What the one writes the other reads, and both write the same text, to the letter.

use std::fmt::Debug;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use proptest::sample::Index;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use workitem_conformance::bounds::{bounds, covered, grouped};
use workitem_conformance::{arbitrary, random};
use workitem_peers::{TYPES, json, original, ours, to_original, to_ours};

/// Our value and the original's are one in writing, and each is read from what the other wrote.
fn assert_is_read_by_both<O, T>(ours: &O, to_original: fn(O) -> T, to_ours: fn(T) -> O)
where
    O: Clone + PartialEq + Debug + Serialize + DeserializeOwned,
    T: Debug + Serialize + DeserializeOwned,
{
    let theirs = to_original(ours.clone());
    workitem_peers::assert_looks_the_same(ours, &theirs);

    let read: O = serde_json::from_str(&json(&theirs)).expect("what the original writes can be read");
    assert_eq!(&read, ours, "what the original wrote is read as another value: look at {TYPES}");
    let read: T = serde_json::from_str(&json(ours)).expect("the original reads what is written");
    assert_eq!(&to_ours(read), ours, "the original reads another value: look at {TYPES}");
}

#[test]
fn every_status_is_written_and_read_the_same() {
    random::check(bounds().cases, arbitrary::status, |status| {
        assert_is_read_by_both(&status, to_original::status, to_ours::status);
    });
}

#[test]
fn every_result_is_written_and_read_the_same_with_all_its_parts() {
    random::check(bounds().cases, arbitrary::result, |result| {
        assert_is_read_by_both(&result, to_original::result, to_ours::result);
        assert_is_read_by_both(&result.status, to_original::agent_status, to_ours::agent_status);
        if let Some(cleanup) = &result.cleanup_status {
            assert_is_read_by_both(cleanup, to_original::cleanup_status, to_ours::cleanup_status);
        }
    });
}

/// A file that someone changed: both read the same value in it, or neither reads one.
#[test]
fn what_was_tampered_with_is_read_the_same_or_by_neither() {
    let values = || {
        prop_oneof![
            Just(None),
            Just(Some(Value::Null)),
            Just(Some(Value::from(-1))),
            Just(Some(Value::from("Success"))),
            Just(Some(Value::from(Vec::<Value>::new()))),
            Just(Some(serde_json::json!({"Failed": "why"}))),
        ]
    };
    let changed = || (arbitrary::status(), any::<Index>(), values());
    let both = AtomicUsize::new(0);
    random::check(bounds().cases, changed, |(status, place, value)| {
        let mut file = serde_json::to_value(&status).expect("a status can be written");
        tamper(&mut file, place, value);
        let read = serde_json::from_value::<ours::WorkItemStatus>(file.clone()).ok();
        let theirs = serde_json::from_value::<original::WorkItemStatus>(file).ok();
        both.fetch_add(usize::from(read.is_some()), Ordering::Relaxed);
        assert_eq!(read, theirs.map(to_ours::status), "not what the original reads: look at {TYPES}");
    });
    covered(format_args!(
        "of these, both read a value in {}, and neither one in the rest",
        grouped(both.into_inner())
    ));
}

/// Sets a field, or takes it out; in a completion it is one of the result's.
fn tamper(file: &mut Value, place: Index, value: Option<Value>) {
    let Some(fields) = file.as_object_mut().and_then(|states| states.values_mut().next()) else { return };
    let fields = if fields.get("result").is_some() { &mut fields["result"] } else { fields };
    let Some(fields) = fields.as_object_mut().filter(|fields| !fields.is_empty()) else { return };
    let names: Vec<_> = fields.keys().cloned().collect();
    let name = place.get(&names);
    match value {
        Some(value) => _ = fields.insert(name.clone(), value),
        None => _ = fields.shift_remove(name),
    }
}
