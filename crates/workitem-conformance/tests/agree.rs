//! All thirty cells, at both levels: the typed machine, the dynamic one and the table give one answer.

use workitem_conformance::samples::{self, NOW};
use workitem_conformance::{Verdict, dynamic, typed};
use workitem_types::{StatusKind, WorkItemEvent, WorkItemRecord, WorkItemStatus};
use workitem_typestate::{AnyWorkItem, MaxAttempts, Settled};

fn rehydrate(item: &WorkItemRecord) -> AnyWorkItem {
    AnyWorkItem::rehydrate(item.clone()).expect("samples are consistent")
}

/// The table's verdict, which knows names only.
fn by_table(from: StatusKind, event: &WorkItemEvent) -> Verdict<&'static str> {
    match workitem_table::next(from.name(), event.kind().name()) {
        Some(row) => Verdict::Moved(row.to),
        None => Verdict::Illegal(from.name()),
    }
}

#[test]
fn every_cell_agrees_at_the_item_level() {
    let (mut cells, mut legal) = (0, 0);
    for item in samples::items() {
        for event in samples::events() {
            let cell = format!("{} in {}", event.kind(), item.status.kind());
            let verdict = dynamic::on_item(&item, &event, NOW);
            assert_eq!(verdict, typed::by_method(rehydrate(&item), event.clone(), NOW), "methods: {cell}");
            assert_eq!(verdict, typed::by_event(rehydrate(&item), event.clone(), NOW), "LegalIn: {cell}");
            assert_eq!(verdict, typed::by_step(rehydrate(&item), event.clone(), NOW), "steps: {cell}");

            legal += usize::from(matches!(verdict, Verdict::Moved(_)));
            cells += 1;
            let names = verdict.map(|item| item.status.discriminant());
            assert_eq!(names, by_table(item.status.kind(), &event), "table: {cell}");
        }
    }
    assert_eq!((cells, legal), (2 * 30, 2 * 7), "two items in each state");
}

/// The typed machine knows whole items only, so each status becomes the item that failed as often as the
/// status says. A status forgets its count at a retry and an item does not; these have not been retried.
#[test]
fn every_cell_agrees_at_the_status_level() {
    let mut legal = 0;
    for kind in StatusKind::ALL {
        for event in samples::events() {
            let cell = format!("{} in {kind}", event.kind());
            let status = samples::status(kind, 3);
            let failures = match kind {
                StatusKind::Pending | StatusKind::InProgress | StatusKind::Completed => 0,
                StatusKind::Failed | StatusKind::DeadLettered => 3,
            };
            let item = WorkItemRecord { id: "42".into(), attempts: 5, failures, status: status.clone() };

            let verdict = dynamic::on_status(&status, &event, NOW);
            let typed = typed::by_method(rehydrate(&item), event.clone(), NOW);
            assert_eq!(verdict, typed.map(|item| item.status), "methods: {cell}");
            legal += usize::from(matches!(verdict, Verdict::Moved(_)));
            let names = verdict.map(|status| status.discriminant());
            assert_eq!(names, by_table(kind, &event), "table: {cell}");
        }
    }
    assert_eq!(legal, 7);
}

/// The one difference between the levels: what a failure after a retry counts.
#[test]
fn a_status_forgets_its_failures_at_a_retry_and_an_item_does_not() {
    let round = [
        WorkItemEvent::AgentStart { agent_id: "agent-1".into() },
        WorkItemEvent::AgentFailed { error: "exit 7".into() },
        WorkItemEvent::Retry,
    ];
    let mut status = WorkItemStatus::Pending;
    let mut item = WorkItemRecord::new("42");
    for failures in 1..=5 {
        for event in &round {
            status = dynamic::on_status(&status, event, NOW).into_inner();
            item = dynamic::on_item(&item, event, NOW).into_inner();
            if let WorkItemEvent::AgentFailed { error } = event {
                let failed = |retry_count| WorkItemStatus::Failed { error: error.clone(), retry_count };
                assert_eq!(status, failed(1));
                assert_eq!(item.status, failed(failures));
                assert_eq!(item.status.can_retry(3), failures < 3);
            }
        }
        assert_eq!((item.attempts, item.failures), (failures, failures));
    }
}

#[test]
fn settling_is_retrying_or_giving_up() {
    let failed: Vec<_> =
        samples::items().into_iter().filter(|item| item.status.kind() == StatusKind::Failed).collect();
    assert!(!failed.is_empty());
    for item in failed {
        for max in 0..8 {
            let event = if item.status.can_retry(max) {
                WorkItemEvent::Retry
            } else {
                WorkItemEvent::MoveToDeadLetter
            };
            let AnyWorkItem::Failed(typed) = rehydrate(&item) else { panic!("{item:?} is failed") };
            assert_eq!(typed.can_retry(max), item.status.can_retry(max));
            let settled: WorkItemRecord = match typed.settle(&MaxAttempts(max), NOW) {
                Settled::Retry(item) => item.into(),
                Settled::DeadLetter(item) => item.into(),
            };
            assert_eq!(Verdict::Moved(settled), dynamic::on_item(&item, &event, NOW));
        }
    }
}
