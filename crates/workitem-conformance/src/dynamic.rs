//! What the dynamic machine makes of an event: in place and by value, which must be the same.

use chrono::{DateTime, Utc};
use workitem_dynamic::{
    Refused, WorkItemEvent, WorkItemRecord, WorkItemStatus, apply, apply_item, transition, transition_item,
};

use crate::Verdict;

/// The verdict at the status level.
///
/// # Panics
///
/// If in place and by value differ, or a refusal loses or misnames anything.
pub fn on_status(
    status: &WorkItemStatus,
    event: &WorkItemEvent,
    now: DateTime<Utc>,
) -> Verdict<WorkItemStatus> {
    let mut in_place = status.clone();
    let verdict = match apply(&mut in_place, event.clone(), now) {
        Ok(()) => Verdict::Moved(in_place),
        Err(refused) => {
            assert_loses_nothing(&refused, status, event);
            assert_eq!(&in_place, status, "a refusal touches nothing: look at {CELLS}");
            Verdict::Illegal(in_place)
        }
    };
    let by_value = match transition(status.clone(), event.clone(), now) {
        Ok(next) => Verdict::Moved(next),
        Err(refused) => {
            assert_loses_nothing(refused.refused(), status, event);
            let (status, back) = refused.into_parts();
            assert_eq!(&back, event, "a refusal loses nothing: look at {REFUSED}");
            Verdict::Illegal(status)
        }
    };
    assert_eq!(verdict, by_value, "in place and by value are one rule: look at {STATUS}");
    verdict
}

/// The verdict at the item level.
///
/// # Panics
///
/// If in place and by value differ, or a refusal loses or misnames anything.
pub fn on_item(item: &WorkItemRecord, event: &WorkItemEvent, now: DateTime<Utc>) -> Verdict<WorkItemRecord> {
    let mut in_place = item.clone();
    let verdict = match apply_item(&mut in_place, event.clone(), now) {
        Ok(()) => Verdict::Moved(in_place),
        Err(refused) => {
            assert_loses_nothing(&refused, &item.status, event);
            assert_eq!(&in_place, item, "a refusal touches nothing: look at {CELLS}");
            Verdict::Illegal(in_place)
        }
    };
    let by_value = match transition_item(item.clone(), event.clone(), now) {
        Ok(next) => Verdict::Moved(next),
        Err(refused) => {
            assert_loses_nothing(refused.refused(), &item.status, event);
            let (item, back) = refused.into_parts();
            assert_eq!(&back, event, "a refusal loses nothing: look at {REFUSED}");
            Verdict::Illegal(item)
        }
    };
    assert_eq!(verdict, by_value, "in place and by value are one rule: look at {ITEM}");
    verdict
}

const CELLS: &str = "crates/workitem-dynamic/src/cells.rs";
const REFUSED: &str = "crates/workitem-dynamic/src/refused.rs";
const STATUS: &str = "crates/workitem-dynamic/src/status.rs";
const ITEM: &str = "crates/workitem-dynamic/src/item.rs";

fn assert_loses_nothing(refused: &Refused, status: &WorkItemStatus, event: &WorkItemEvent) {
    let told = (refused.from(), refused.event_kind());
    assert_eq!(told, (status.kind(), event.kind()), "a refusal names its cell: look at {CELLS}");
    assert_eq!(refused.event(), event, "a refusal loses nothing: look at {REFUSED}");
    assert_eq!(&refused.clone().into_event(), event, "a refusal loses nothing: look at {REFUSED}");
    let offered = refused.legal().contains(&event.kind());
    assert!(!offered, "{refused}, but it says that it would be: look at {REFUSED}");
}
