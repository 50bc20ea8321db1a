//! Our answers are the original's: held against the 180 that are kept of it.

use std::collections::BTreeMap;

use serde_json::Value;
use workitem_conformance::grid::{Answer, grid};
use workitem_conformance::samples::NOW;
use workitem_conformance::{Verdict, dynamic};
use workitem_dynamic::{TransitionError, transition_work_item};

/// The original's answer with the time of our call in place of its own.
fn expected(answer: &Answer) -> Verdict<Value> {
    let now = serde_json::to_value(NOW).expect("a time can be written");
    match answer.result.get("ok") {
        None => {
            assert_eq!(answer.result, "rejected", "line {}", answer.line);
            Verdict::Illegal(answer.from_json.clone())
        }
        Some(next) => {
            let mut next = next.clone();
            for (state, field) in [("InProgress", "started_at"), ("DeadLettered", "dlq_at")] {
                if let Some(time) = next.get_mut(state).and_then(|fields| fields.get_mut(field)) {
                    assert_eq!(*time, "NOW", "line {}", answer.line);
                    *time = now.clone();
                }
            }
            Verdict::Moved(next)
        }
    }
}

#[test]
fn the_grid_has_six_answers_for_each_cell() {
    let mut cells = BTreeMap::new();
    for answer in grid() {
        *cells.entry((answer.from.kind(), answer.event.kind())).or_insert(0) += 1;
    }
    assert_eq!(cells.len(), 30);
    assert!(cells.values().all(|&answers| answers == 6), "{cells:?}");
}

#[test]
fn every_answer_is_the_originals() {
    for answer in grid() {
        let verdict = dynamic::on_status(&answer.from, &answer.event, NOW);
        let written = verdict.map(|status| serde_json::to_value(status).expect("a status can be written"));
        assert_eq!(written, expected(&answer), "line {}", answer.line);
    }
}

#[test]
fn the_originals_function_answers_the_same_by_the_clock() {
    for answer in grid() {
        let Answer { line, from, event, .. } = answer;
        let verdict = dynamic::on_status(&from, &event, NOW);
        match (verdict, transition_work_item(from.clone(), event.clone())) {
            (Verdict::Moved(next), Ok(now)) => assert!(next.matches(&now), "line {line}"),
            (Verdict::Illegal(_), Err(error)) => {
                let TransitionError::Invalid { current, event: refused } = error;
                assert_eq!((&*current, &*refused), (from.kind().name(), event.kind().name()), "line {line}");
            }
            (verdict, result) => panic!("line {line}: {verdict:?}, but {result:?}"),
        }
    }
}

#[test]
fn every_json_value_is_written_back_as_it_was_read() {
    for answer in grid() {
        let line = answer.line;
        assert_eq!(serde_json::to_value(&answer.from).unwrap(), answer.from_json, "line {line}: status");
        assert_eq!(serde_json::to_value(&answer.event).unwrap(), answer.event_json, "line {line}: event");
    }
}

#[test]
fn every_observer_says_what_the_originals_said() {
    for Answer { line, from, observers, .. } in grid() {
        let can_retry = [0, 1, 2, 3, 4].map(|max| from.can_retry(max));
        let said = serde_json::json!({
            "can_retry": can_retry,
            "discriminant": from.discriminant(),
            "is_terminal": from.is_terminal(),
            "needs_processing": from.needs_processing(),
        });
        assert_eq!(said, observers, "line {line}");
    }
}
