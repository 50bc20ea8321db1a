//! The 180 answers that `workitem-conformance` keeps are what the original says: each is asked for anew.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use workitem_conformance::grid::{GRID, grid};
use workitem_peers::{original, to_original};

#[test]
fn every_answer_that_is_kept_is_the_originals() {
    let kept: Vec<Value> = GRID.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    for (answer, kept) in grid().into_iter().zip(&kept) {
        let read = serde_json::from_value(answer.from_json.clone());
        let from: original::WorkItemStatus = read.expect("the original reads what it wrote");
        // The original's events have no JSON form; ours were read, and become its own field by field.
        let said = json!({
            "from": &from,
            "event": &answer.event_json,
            "observers": observers(&from),
            "result": answer_of(from, to_original::event(answer.event.clone())),
        });
        assert_eq!(&said, kept, "line {}", answer.line);
    }
    assert_eq!(kept.len(), 180);
}

/// What the original makes of the event, with `NOW` for the time of the call.
fn answer_of(from: original::WorkItemStatus, event: original::WorkItemEvent) -> Value {
    let before = Utc::now();
    let Ok(mut next) = original::transition_work_item(from, event) else { return json!("rejected") };
    let after = Utc::now();
    let time = match &mut next {
        original::WorkItemStatus::InProgress { started_at, .. } => Some(*started_at),
        original::WorkItemStatus::DeadLettered { dlq_at, .. } => Some(*dlq_at),
        original::WorkItemStatus::Pending
        | original::WorkItemStatus::Completed { .. }
        | original::WorkItemStatus::Failed { .. } => None,
    };
    let written = json!(next);
    json!({ "ok": time.map_or(written.clone(), |time| named(written, time, before..=after)) })
}

fn named(mut status: Value, time: DateTime<Utc>, call: std::ops::RangeInclusive<DateTime<Utc>>) -> Value {
    assert!(call.contains(&time), "{time} is not within {call:?}");
    for (state, field) in [("InProgress", "started_at"), ("DeadLettered", "dlq_at")] {
        if let Some(time) = status.get_mut(state).and_then(|fields| fields.get_mut(field)) {
            *time = json!("NOW");
        }
    }
    status
}

fn observers(status: &original::WorkItemStatus) -> Value {
    let can_retry = [0, 1, 2, 3, 4].map(|max| status.can_retry(max));
    json!({
        "can_retry": can_retry,
        "discriminant": status.discriminant(),
        "is_terminal": status.is_terminal(),
        "needs_processing": status.needs_processing(),
    })
}
