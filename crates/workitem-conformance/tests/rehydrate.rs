//! The door into the typed world: it lets in what legal transitions can lead to, and nothing else.

use std::collections::BTreeSet;

use workitem_conformance::samples::{self, NOW};
use workitem_conformance::{dynamic, reachable};
use workitem_types::{StatusKind, WorkItemRecord, WorkItemStatus};
use workitem_typestate::{
    AnyWorkItem, Completed, DeadLettered, Failed, InProgress, Inconsistent, Pending, WorkItem, WrongState,
};

const REHYDRATE: &str = "crates/workitem-typestate/src/rehydrate.rs";
const ANY: &str = "crates/workitem-typestate/src/any.rs";

/// What the rules of consistency speak of: state, attempts, failures, and the status' own count.
type Shape = (StatusKind, usize, usize, Option<usize>);

fn shape(item: &WorkItemRecord) -> Shape {
    let count = match &item.status {
        WorkItemStatus::Failed { retry_count, .. } | WorkItemStatus::DeadLettered { retry_count, .. } => {
            Some(*retry_count)
        }
        WorkItemStatus::Pending | WorkItemStatus::InProgress { .. } | WorkItemStatus::Completed { .. } => {
            None
        }
    };
    (item.status.kind(), item.attempts, item.failures, count)
}

fn record((kind, attempts, failures, count): Shape) -> WorkItemRecord {
    let status = samples::status(kind, count.unwrap_or(0), 1);
    WorkItemRecord { id: "42".into(), attempts, failures, status }
}

/// Every shape that events lead to from a new item, with counters up to `bound`: complete, because counters
/// never fall.
fn reached(bound: usize) -> BTreeSet<Shape> {
    let mut seen = BTreeSet::new();
    let mut ahead = vec![WorkItemRecord::new("42")];
    while let Some(item) = ahead.pop() {
        if item.attempts > bound || item.failures > bound || !seen.insert(shape(&item)) {
            continue;
        }
        for event in samples::events(1) {
            ahead.push(dynamic::on_item(&item, &event, NOW).into_inner());
        }
    }
    seen
}

#[test]
fn what_rehydrates_is_what_can_be_reached() {
    const BOUND: usize = 4;
    let reached = reached(BOUND);
    for kind in StatusKind::ALL {
        let counts: &[Option<usize>] = match kind {
            StatusKind::Failed | StatusKind::DeadLettered => {
                &[Some(0), Some(1), Some(2), Some(3), Some(4), Some(5)]
            }
            StatusKind::Pending | StatusKind::InProgress | StatusKind::Completed => &[None],
        };
        for attempts in 0..=BOUND {
            for failures in 0..=BOUND {
                for &count in counts {
                    let shape = (kind, attempts, failures, count);
                    let accepted = AnyWorkItem::rehydrate(record(shape)).is_ok();
                    assert_eq!(accepted, reached.contains(&shape), "{shape:?}: look at {REHYDRATE}");
                    assert_eq!(accepted, reachable::is_reachable(&record(shape)), "{shape:?}");
                }
            }
        }
    }
}

#[test]
fn a_refusal_says_which_rule_is_broken() {
    let broken = |shape| {
        let broken = AnyWorkItem::rehydrate(record(shape)).err();
        broken.unwrap_or_else(|| panic!("{shape:?} is let in, where no life leads: look at {REHYDRATE}"))
    };
    let id = || "42".into();
    for kind in [StatusKind::InProgress, StatusKind::Completed] {
        assert_eq!(broken((kind, 0, 0, None)), Inconsistent::NoAttempt { id: id(), status: kind });
        assert_eq!(
            broken((kind, 1, 2, None)),
            Inconsistent::FailuresBeforeFirstAttempt { id: id(), status: kind, failures: 2 }
        );
    }
    for kind in [StatusKind::Failed, StatusKind::DeadLettered] {
        assert_eq!(broken((kind, 0, 1, Some(1))), Inconsistent::NoAttempt { id: id(), status: kind });
        assert_eq!(broken((kind, 1, 0, Some(0))), Inconsistent::NoFailure { id: id(), status: kind });
        assert_eq!(
            broken((kind, 1, 2, Some(1))),
            Inconsistent::RetryCount { id: id(), status: kind, retry_count: 1, failures: 2 }
        );
    }
    assert_eq!(
        broken((StatusKind::Pending, 0, 3, None)),
        Inconsistent::FailuresWithoutAttempt { id: id(), failures: 3 }
    );
}

/// `TryFrom` gives the item of the state it is in, and gives it back where it is in another.
#[test]
fn an_item_in_another_state_is_not_lost() {
    fn ask<S>(item: &WorkItemRecord, asked: StatusKind)
    where
        S: workitem_typestate::State,
        WorkItem<S>: TryFrom<AnyWorkItem, Error = WrongState>,
        WorkItemRecord: From<WorkItem<S>> + From<AnyWorkItem>,
    {
        let any = AnyWorkItem::rehydrate(item.clone()).expect("samples are consistent");
        match WorkItem::<S>::try_from(any) {
            Ok(typed) => {
                assert_eq!(asked, item.status.kind());
                assert_eq!(&WorkItemRecord::from(typed), item, "look at {ANY}");
            }
            Err(wrong) => {
                assert_ne!(asked, item.status.kind());
                assert_eq!(wrong.expected(), asked);
                let (id, found) = (&item.id, item.status.kind());
                assert_eq!(wrong.to_string(), format!("item `{id}` is in state `{found}`, not in `{asked}`"));
                let back: WorkItemRecord = wrong.into_item().into();
                assert_eq!(&back, item, "look at {ANY}");
            }
        }
    }
    for item in samples::items(1) {
        ask::<Pending>(&item, StatusKind::Pending);
        ask::<InProgress>(&item, StatusKind::InProgress);
        ask::<Completed>(&item, StatusKind::Completed);
        ask::<Failed>(&item, StatusKind::Failed);
        ask::<DeadLettered>(&item, StatusKind::DeadLettered);
    }
}
