//! Arbitrary items, payloads and sequences of events: after every event, all machines hold the same item.
//!
//! A failure prints the smallest sequence that shows it, and a line that runs it again.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use workitem_conformance::bounds::{bounds, covered, grouped};
use workitem_conformance::machines::{Happening, Machines};
use workitem_conformance::{arbitrary, dynamic, random, samples, table};
use workitem_dynamic::{apply_interrupt_to_all, count_by_status, interrupt_all};
use workitem_types::{AgentResult, StatusKind, WorkItemEvent, WorkItemRecord, WorkItemStatus};

/// At some points of its life the item is written down and read back, which must change nothing of what follows.
#[test]
fn all_machines_take_every_sequence_the_same_way() {
    let [events, legal, written, longest] = [const { AtomicUsize::new(0) }; 4];
    let add = |counter: &AtomicUsize, n| _ = counter.fetch_add(n, Ordering::Relaxed);
    let born = || any::<char>().prop_map(|c| WorkItemRecord::new(c.to_string()));
    let lives = || (prop_oneof![born(), arbitrary::item()], arbitrary::life(), 1..20_usize);
    random::check(bounds().sequences, lives, |(item, life, write_every)| {
        let mut machines = Machines::of(&item);
        assert_eq!(machines.inconsistent(), None, "the strategy makes items that can be reached");
        add(&events, life.len());
        longest.fetch_max(life.len(), Ordering::Relaxed);
        for (place, chance) in life.iter().enumerate() {
            let happening = chance.happening(machines.item().status.kind());
            let verdict = machines.happen(&happening);
            add(&legal, usize::from(verdict.is_legal()));
            machines = verdict.into_inner();
            if place % write_every == 0 {
                machines = machines.through_json();
                add(&written, 1);
            }
        }
        let last = machines.item().clone();
        assert_eq!(machines.through_json().item(), &last);
    });
    let [events, legal, written, longest] = [events, legal, written, longest].map(AtomicUsize::into_inner);
    let [events, legal, written] = [events, legal, written].map(grouped);
    covered(format_args!(
        "of these, the longest has {longest} events; {events} in all, {legal} legal; {written} times through JSON"
    ));
}

/// Items that no events lead to: the typed machine does not let them in, and says which rule they break; the
/// dynamic machine and the table take them by the same rules as any other.
#[test]
fn what_is_refused_at_the_door_is_not_what_is_refused_as_an_event() {
    let [refused_at_the_door, moved_all_the_same] = [const { AtomicUsize::new(0) }; 2];
    let lives = || (arbitrary::record(), vec((arbitrary::event(), arbitrary::time()), 0..8));
    random::check(bounds().cases, lives, |(item, life)| {
        let mut machines = Machines::of(&item);
        for (event, now) in life {
            let kind = machines.item().status.kind();
            if let Some(broken) = machines.inconsistent() {
                let id = &machines.item().id;
                assert!(broken.to_string().starts_with(&format!("item `{id}` is `{kind}`")), "{broken}");
                refused_at_the_door.fetch_add(1, Ordering::Relaxed);
            }
            let was_refused = machines.inconsistent().is_some();
            let legal = workitem_table::next(kind.name(), event.kind().name()).is_some();
            let verdict = machines.happen(&Happening::new(event, now));
            assert_eq!(verdict.is_legal(), legal, "an item that no events lead to obeys the same rules");
            moved_all_the_same.fetch_add(usize::from(was_refused && legal), Ordering::Relaxed);
            // Anew by the door: an item that failed once more may be one that can be reached.
            machines = Machines::of(verdict.into_inner().item());
        }
    });
    let [refused, moved] = [refused_at_the_door, moved_all_the_same].map(AtomicUsize::into_inner);
    assert!(refused > 0 && moved > 0, "{refused} refused, {moved} moved");
    let [refused, moved] = [refused, moved].map(grouped);
    covered(format_args!(
        "of these, {refused} were refused at the door, and events moved {moved} all the same"
    ));
}

/// The status level, whatever the status: also where no item could have it.
#[test]
fn a_status_moves_as_the_table_says() {
    let cells = || (arbitrary::status(), arbitrary::event(), arbitrary::time());
    random::check(bounds().cases, cells, |(status, event, now)| {
        let verdict = dynamic::on_status(&status, &event, now);
        assert_eq!(verdict, table::on_status(&status, &event, now), "crates/workitem-dynamic/src/status.rs");
    });
}

#[test]
fn interrupting_all_is_interrupting_each_that_is_in_progress() {
    let statuses = || (vec(arbitrary::status(), 0..50), arbitrary::time());
    random::check(bounds().cases, statuses, |(statuses, now)| {
        let interrupted = |status| dynamic::on_status(status, &WorkItemEvent::Interrupt, now);
        let count = statuses.iter().filter(|status| interrupted(status).is_legal()).count();
        let expected: Vec<_> = statuses.iter().map(|status| interrupted(status).into_inner()).collect();

        let mut in_place = statuses.clone();
        assert_eq!(interrupt_all(&mut in_place), count);
        assert_eq!(in_place, expected);

        let named = |statuses: Vec<WorkItemStatus>| -> Vec<_> {
            statuses.into_iter().enumerate().map(|(i, status)| (i.to_string(), status)).collect()
        };
        assert_eq!(apply_interrupt_to_all(named(statuses)), named(expected));
    });
}

#[test]
fn counts_are_what_a_plain_count_finds() {
    random::check(
        bounds().cases,
        || vec(arbitrary::status(), 0..50),
        |statuses| {
            let count = |kind| statuses.iter().filter(|status| status.kind() == kind).count();
            let found = count_by_status(&statuses);
            let found =
                [found.pending, found.in_progress, found.completed, found.failed, found.dead_lettered];
            assert_eq!(found, StatusKind::ALL.map(count));
        },
    );
}

#[test]
fn json_gives_back_what_it_was_given() {
    random::check(
        bounds().cases,
        || (arbitrary::record(), arbitrary::event()),
        |(item, event)| {
            let read = serde_json::from_str(&serde_json::to_string(&item).unwrap());
            assert_eq!(read.ok(), Some(item));
            let read = serde_json::from_str(&serde_json::to_string(&event).unwrap());
            assert_eq!(read.ok(), Some(event));
        },
    );
}

/// An item whose result is not an agent's: the machines are generic in it.
#[test]
fn any_result_passes_through_unchanged() {
    type Bare = workitem_types::Status<Box<AgentResult>>;
    random::check(
        bounds().cases,
        || (arbitrary::result(), arbitrary::time()),
        |(result, now)| {
            let mut status = Bare::InProgress { agent_id: String::new(), started_at: now };
            let event = workitem_types::Event::AgentComplete { result: Box::new(Box::new(result.clone())) };
            workitem_dynamic::apply(&mut status, event, now).expect("an agent at work can complete");
            assert_eq!(status, Bare::Completed { result: Box::new(Box::new(result)) });
        },
    );
}

/// The strategies reach every cell, both ways: else the tests above would say nothing of it.
#[test]
fn arbitrary_items_and_events_reach_all_thirty_cells() {
    let mut runner = TestRunner::deterministic();
    let (mut seen, mut legal) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..2_000 {
        let item = arbitrary::item().new_tree(&mut runner).expect("there are items").current();
        let event = arbitrary::event().new_tree(&mut runner).expect("there are events").current();
        let cell = (item.status.kind(), event.kind());
        seen.insert(cell);
        if dynamic::on_item(&item, &event, samples::NOW).is_legal() {
            legal.insert(cell);
        }
    }
    assert_eq!((seen.len(), legal.len()), (30, 7));
}
