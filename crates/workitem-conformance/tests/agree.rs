//! All thirty cells, at both levels: the typed machine, the dynamic one and the table give one answer.

use workitem_conformance::bounds::covered;
use workitem_conformance::machines::{Machines, assert_one_answer};
use workitem_conformance::samples::{self, NOW};
use workitem_conformance::{Verdict, dynamic, table, typed};
use workitem_types::{StatusKind, WorkItemEvent, WorkItemRecord, WorkItemStatus};
use workitem_typestate::{AnyWorkItem, MaxAttempts, Settled, SettledStep};

/// Whatever an event or an item carries, there is another that carries something else: a constant in the
/// place of a payload is seen, and so is one payload in the place of another.
const VOICES: [u32; 2] = [1, 2];

fn rehydrate(item: &WorkItemRecord) -> AnyWorkItem {
    AnyWorkItem::rehydrate(item.clone()).expect("samples are consistent")
}

#[test]
fn every_cell_agrees_at_the_item_level() {
    let (mut cells, mut legal) = (0, 0);
    for item in VOICES.into_iter().flat_map(samples::items) {
        for voice in VOICES {
            for happening in samples::happenings(voice, samples::events(voice)) {
                let verdict = Machines::of(&item).happen(&happening);
                legal += usize::from(verdict.is_legal());
                cells += 1;
                let after = verdict.into_inner().through_json();
                assert_eq!(after.inconsistent(), None, "legal events lead from consistent to consistent");
            }
        }
    }
    assert_eq!((cells, legal), (8 * 30, 8 * 7), "two items in each state, in two voices each, met by two");
    covered(format_args!("{cells} cells of whole items: each of the 30 in 8 ways"));
}

/// The typed machine knows whole items only, so each status becomes the item that failed as often as the
/// status says. A status forgets its count at a retry and an item does not; these have not been retried.
#[test]
fn every_cell_agrees_at_the_status_level() {
    let (mut cells, mut legal) = (0, 0);
    for kind in StatusKind::ALL {
        for (one, other) in [(1, 1), (1, 2), (2, 1), (2, 2)] {
            let (status, now) = (samples::status(kind, 3, one), samples::now(other));
            let failures = match kind {
                StatusKind::Pending | StatusKind::InProgress | StatusKind::Completed => 0,
                StatusKind::Failed | StatusKind::DeadLettered => 3,
            };
            let item = WorkItemRecord { id: "42".into(), attempts: 5, failures, status: status.clone() };
            for event in samples::events(other) {
                let verdict = dynamic::on_status(&status, &event, now);
                let typed = typed::by_method(rehydrate(&item), event.clone(), now);
                let typed = typed.map(|item| typed::seen(&item).status);
                let table = table::on_status(&status, &event, now);
                let cell = format_args!("`{}` in the status `{kind}`", event.kind());
                assert_one_answer(&cell, &[typed], &verdict, &table);
                legal += usize::from(verdict.is_legal());
                cells += 1;
            }
        }
    }
    assert_eq!((cells, legal), (4 * 30, 4 * 7), "a status in two voices, met by two");
    covered(format_args!("{cells} cells of statuses: each of the 30 in 4 ways"));
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

/// By itself, and as a part of the step in which the item failed.
#[test]
fn settling_is_retrying_or_giving_up() {
    const SETTLE: &str = "crates/workitem-typestate/src/settle.rs";
    const STEP: &str = "crates/workitem-typestate/src/step.rs";
    let failure = || WorkItemEvent::AgentFailed { error: "exit 7".into() };
    let at_work = |item: &WorkItemRecord| item.status.kind() == StatusKind::InProgress;
    let mut settled = 0;
    for item in samples::items(1).into_iter().filter(at_work) {
        for max in 0..8 {
            let failed = dynamic::on_item(&item, &failure(), NOW).into_inner();
            let event = if failed.status.can_retry(max) {
                WorkItemEvent::Retry
            } else {
                WorkItemEvent::MoveToDeadLetter
            };
            let expected = dynamic::on_item(&failed, &event, NOW);

            let AnyWorkItem::Failed(typed) = rehydrate(&failed) else { panic!("{failed:?} is failed") };
            let alone: WorkItemRecord = match typed.settle(&MaxAttempts(max), NOW) {
                Settled::Retry(item) => item.into(),
                Settled::DeadLetter(item) => item.into(),
            };
            assert_eq!(Verdict::Moved(alone), expected, "look at {SETTLE}");

            let AnyWorkItem::InProgress(typed) = rehydrate(&item) else { panic!("{item:?} is at work") };
            let step = typed.step(workitem_typestate::AgentFailed { error: "exit 7".into() }, NOW);
            let step = match step.settle(&MaxAttempts(max), NOW) {
                SettledStep::Retry(step) => step.seal(),
                SettledStep::DeadLetter(step) => step.seal(),
            };
            assert_eq!(Verdict::Moved(step.record().clone()), expected, "look at {SETTLE} and {STEP}");
            let told: Vec<_> = step.events().iter().map(|told| told.event().clone()).collect();
            assert_eq!(
                (step.from(), told),
                (StatusKind::InProgress, vec![failure(), event]),
                "look at {SETTLE} and {STEP}"
            );
            settled += 1;
        }
    }
    assert_eq!(settled, 2 * 8);
}
