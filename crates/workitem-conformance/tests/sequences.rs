//! Arbitrary items, payloads and sequences of events: after every event, both machines hold the same item.
//!
//! A failure prints the smallest sequence that shows it and the seed, which proptest keeps beside this file
//! and tries first from then on. `PROPTEST_CASES=100000 cargo test -p workitem-conformance --test sequences`
//! looks longer.

use proptest::collection::vec;
use proptest::prelude::*;
use workitem_conformance::{Verdict, arbitrary, dynamic, typed};
use workitem_dynamic::{apply_interrupt_to_all, count_by_status, interrupt_all};
use workitem_types::{AgentResult, StatusKind, WorkItemEvent, WorkItemRecord, WorkItemStatus};
use workitem_typestate::AnyWorkItem;

fn rehydrate(item: &WorkItemRecord) -> AnyWorkItem {
    AnyWorkItem::rehydrate(item.clone()).expect("legal transitions lead from consistent to consistent")
}

/// What JSON makes of a value and back.
fn through_json<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
    let json = serde_json::to_string(value).expect("a value can be written");
    serde_json::from_str(&json).expect("what was written can be read")
}

proptest! {
    #[test]
    fn both_machines_take_every_item_the_same_way(
        start in arbitrary::item(),
        events in vec((arbitrary::event(), arbitrary::time()), 0..12),
    ) {
        let mut item = start;
        for (event, now) in events {
            let verdict = dynamic::on_item(&item, &event, now);
            prop_assert_eq!(&verdict, &typed::by_method(rehydrate(&item), event.clone(), now));
            prop_assert_eq!(&verdict, &typed::by_event(rehydrate(&item), event.clone(), now));
            prop_assert_eq!(&verdict, &typed::by_step(rehydrate(&item), event, now));
            item = verdict.into_inner();
        }
    }

    /// Sequences that keep moving: random ones soon end in a terminal state or stand still.
    #[test]
    fn both_machines_take_long_lives_the_same_way(
        rounds in vec((arbitrary::text(), 0..4_u8, arbitrary::text()), 0..40),
        now in arbitrary::time(),
    ) {
        let mut typed = AnyWorkItem::rehydrate(WorkItemRecord::new("42")).expect("a new item is consistent");
        let mut dynamic = WorkItemRecord::new("42");
        for (agent_id, ending, error) in rounds {
            let failure = || WorkItemEvent::AgentFailed { error: error.clone() };
            let mut events = vec![WorkItemEvent::AgentStart { agent_id }];
            match ending {
                0 => events.push(WorkItemEvent::Interrupt),
                1 => events.extend([failure(), WorkItemEvent::Retry]),
                2 => events.extend([failure(), failure(), WorkItemEvent::Retry]),
                _ => events.extend([WorkItemEvent::Retry, failure(), WorkItemEvent::Interrupt, WorkItemEvent::Retry]),
            }
            for event in events {
                dynamic = dynamic::on_item(&dynamic, &event, now).into_inner();
                let record = typed::by_method(typed, event, now).into_inner();
                prop_assert_eq!(&dynamic, &record);
                typed = AnyWorkItem::rehydrate(record).expect("legal transitions keep an item consistent");
            }
        }
    }

    /// The status level, whatever the status: also where no item could have it.
    #[test]
    fn a_status_moves_as_the_item_around_it(
        status in arbitrary::status(),
        event in arbitrary::event(),
        now in arbitrary::time(),
        failures in 0..5_usize,
    ) {
        let item = WorkItemRecord { failures, status: status.clone(), ..WorkItemRecord::new("42") };
        let forgetful_count = match &status {
            WorkItemStatus::Failed { retry_count, .. } => retry_count.saturating_add(1),
            WorkItemStatus::Pending
            | WorkItemStatus::InProgress { .. }
            | WorkItemStatus::Completed { .. }
            | WorkItemStatus::DeadLettered { .. } => 1,
        };
        let forget = |mut item: WorkItemRecord| {
            let failed = (&event, &mut item.status);
            if let (WorkItemEvent::AgentFailed { .. }, WorkItemStatus::Failed { retry_count, .. }) = failed {
                *retry_count = forgetful_count;
            }
            item.status
        };
        let on_status = dynamic::on_status(&status, &event, now);
        prop_assert_eq!(on_status, dynamic::on_item(&item, &event, now).map(forget));
    }

    #[test]
    fn counts_are_what_a_plain_count_finds(statuses in vec(arbitrary::status(), 0..50)) {
        let plain = StatusKind::ALL.map(|kind| statuses.iter().filter(|status| status.kind() == kind).count());
        let counts = count_by_status(&statuses);
        let found = [counts.pending, counts.in_progress, counts.completed, counts.failed, counts.dead_lettered];
        prop_assert_eq!(found, plain);
        prop_assert_eq!(counts.total(), statuses.len());
    }

    #[test]
    fn interrupting_all_is_interrupting_each_that_is_in_progress(
        statuses in vec(arbitrary::status(), 0..50),
        now in arbitrary::time(),
    ) {
        let expected: Vec<_> = statuses
            .iter()
            .map(|status| dynamic::on_status(status, &WorkItemEvent::Interrupt, now).into_inner())
            .collect();
        let interrupted = statuses.iter().filter(|status| status.kind() == StatusKind::InProgress).count();

        let mut in_place = statuses.clone();
        prop_assert_eq!(interrupt_all(&mut in_place), interrupted);
        prop_assert_eq!(&in_place, &expected);

        let named = |statuses: Vec<WorkItemStatus>| -> Vec<_> {
            statuses.into_iter().enumerate().map(|(i, status)| (i.to_string(), status)).collect()
        };
        prop_assert_eq!(apply_interrupt_to_all(named(statuses)), named(expected));
    }

    #[test]
    fn json_gives_back_what_it_was_given(item in arbitrary::item(), event in arbitrary::event()) {
        prop_assert_eq!(through_json(&item), item);
        prop_assert_eq!(through_json(&event), event);
    }

    /// An item whose result is not an agent's: the machines are generic in it.
    #[test]
    fn any_result_passes_through_unchanged(result in arbitrary::result(), now in arbitrary::time()) {
        type Bare = workitem_types::Status<Box<AgentResult>>;
        let mut status = Bare::InProgress { agent_id: String::new(), started_at: now };
        let event = workitem_types::Event::AgentComplete { result: Box::new(Box::new(result.clone())) };
        workitem_dynamic::apply(&mut status, event, now).expect("an agent at work can complete");
        prop_assert_eq!(status, Bare::Completed { result: Box::new(Box::new(result)) });
    }
}

/// The strategies reach every cell, both ways: else the tests above would say nothing of it.
#[test]
fn arbitrary_items_and_events_reach_all_thirty_cells() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut seen = std::collections::BTreeSet::new();
    let mut legal = std::collections::BTreeSet::new();
    for _ in 0..1_000 {
        let item = arbitrary::item().new_tree(&mut runner).expect("there are items").current();
        let event = arbitrary::event().new_tree(&mut runner).expect("there are events").current();
        let cell = (item.status.kind(), event.kind());
        seen.insert(cell);
        match dynamic::on_item(&item, &event, workitem_conformance::samples::NOW) {
            Verdict::Moved(_) => drop(legal.insert(cell)),
            Verdict::Illegal(_) => {}
        }
    }
    assert_eq!((seen.len(), legal.len()), (30, 7));
}
