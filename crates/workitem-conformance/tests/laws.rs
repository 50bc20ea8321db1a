//! Laws: what holds of every life, whatever the rules are in detail. Each is one test, over all short lives and
//! over arbitrary ones, with all machines living them.

use proptest::collection::vec;
use proptest::prelude::*;
use workitem_conformance::arbitrary::{self, Chance};
use workitem_conformance::bounds::bounds;
use workitem_conformance::machines::{Happening, Machines};
use workitem_conformance::samples::{self, NOW};
use workitem_conformance::{Verdict, random};
use workitem_dynamic::count_by_status;
use workitem_types::{EventKind, StatusCounts, StatusKind, WorkItemRecord, WorkItemStatus};
use workitem_typestate::{AnyWorkItem, Failed, MaxAttempts, Settled, WorkItem};

/// One event of a life.
#[derive(Debug)]
struct Moment {
    before: WorkItemRecord,
    event: EventKind,
    after: Verdict<WorkItemRecord>,
}

impl Moment {
    fn of(machines: Machines, happening: &Happening) -> (Self, Machines) {
        let before = machines.item().clone();
        let after = machines.happen(happening);
        let moment =
            Self { before, event: happening.kind(), after: after.as_ref().map(|after| after.item().clone()) };
        (moment, after.into_inner())
    }

    /// The item, before and after.
    fn items(&self) -> [&WorkItemRecord; 2] {
        [&self.before, self.after.as_ref().into_inner()]
    }
}

/// Holds the law against every life of four events, and against arbitrary ones from arbitrary items.
fn every_life_obeys(law: impl Fn(&[Moment]) + Sync) {
    const LENGTH: u32 = 4;
    for number in 0..6_usize.pow(LENGTH) {
        let (mut machines, mut life, mut number) = (Machines::born("42"), Vec::new(), number);
        for voice in 0..LENGTH {
            let happening = &samples::happenings(voice, samples::light_events(voice))[number % 6];
            number /= 6;
            let (moment, next) = Moment::of(machines, happening);
            life.push(moment);
            machines = next;
        }
        law(&life);
    }
    random::check(
        bounds().cases,
        || (arbitrary::item(), arbitrary::life()),
        |(item, chances)| {
            let (mut machines, mut life) = (Machines::of(&item), Vec::new());
            for chance in chances {
                let happening = chance.happening(machines.item().status.kind());
                let (moment, next) = Moment::of(machines, &happening);
                life.push(moment);
                machines = next;
            }
            law(&life);
        },
    );
}

#[test]
fn terminal_states_accept_nothing() {
    every_life_obeys(|life| {
        for Moment { before, event, after } in life {
            if before.status.is_terminal() {
                assert_eq!(
                    after,
                    &Verdict::Illegal(before.clone()),
                    "`{event}` in `{}`",
                    before.status.kind()
                );
            }
        }
    });
}

#[test]
fn a_refused_event_changes_nothing_and_no_event_changes_an_id() {
    every_life_obeys(|life| {
        for Moment { before, event, after } in life {
            match after {
                Verdict::Illegal(after) => assert_eq!(after, before, "`{event}`"),
                Verdict::Moved(after) => assert_eq!(after.id, before.id, "`{event}`"),
            }
        }
    });
}

#[test]
fn each_counter_counts_exactly_its_event_and_never_falls() {
    every_life_obeys(|life| {
        for moment in life {
            let [before, after] = moment.items();
            let counted = |event| usize::from(moment.event == event && moment.after.is_legal());
            let attempts = before.attempts.saturating_add(counted(EventKind::AgentStart));
            let failures = before.failures.saturating_add(counted(EventKind::AgentFailed));
            assert_eq!((after.attempts, after.failures), (attempts, failures), "{moment:?}");
            assert!(after.attempts >= before.attempts && after.failures >= before.failures, "{moment:?}");
        }
    });
}

#[test]
fn at_item_level_retry_count_equals_failures() {
    every_life_obeys(|life| {
        for item in life.iter().flat_map(Moment::items) {
            match &item.status {
                WorkItemStatus::Failed { retry_count, .. }
                | WorkItemStatus::DeadLettered { retry_count, .. } => {
                    assert_eq!(*retry_count, item.failures, "{item:?}");
                }
                WorkItemStatus::Pending
                | WorkItemStatus::InProgress { .. }
                | WorkItemStatus::Completed { .. } => {}
            }
        }
    });
}

/// Nothing is a dead end but what is meant to be one.
#[test]
fn what_has_not_ended_can_still_complete_and_still_be_given_up() {
    let ways = [
        [EventKind::AgentFailed, EventKind::Retry, EventKind::AgentStart, EventKind::AgentComplete],
        [EventKind::Retry, EventKind::AgentStart, EventKind::AgentFailed, EventKind::MoveToDeadLetter],
    ];
    let ends = [StatusKind::Completed, StatusKind::DeadLettered];
    random::check(bounds().cases, arbitrary::item, |item| {
        for (way, end) in ways.into_iter().zip(ends) {
            let mut machines = Machines::of(&item);
            // What is not legal on the way is passed over, so that one way serves every state.
            for kind in way {
                let events = samples::happenings(1, samples::events(1));
                let event = events.into_iter().find(|event| event.kind() == kind).expect("one of each");
                machines = machines.happen(&event).into_inner();
            }
            let found = machines.item().status.kind();
            assert!(found == end || item.status.is_terminal(), "`{found}`, not `{end}`");
        }
    });
}

/// Of many items, whatever happens to which of them: each is in one state, and a legal event moves one.
#[test]
fn counts_always_sum_to_the_total() {
    let fleets = || (vec(arbitrary::item(), 1..8), vec((any::<usize>(), arbitrary::life()), 0..4));
    random::check(bounds().cases, fleets, |(items, lives): (Vec<_>, Vec<(usize, Vec<Chance>)>)| {
        let mut fleet: Vec<WorkItemRecord> = items;
        for (number, life) in lives {
            let number = number % fleet.len();
            for chance in life {
                let counts =
                    |fleet: &[WorkItemRecord]| count_by_status(fleet.iter().map(|item| &item.status));
                let before = counts(&fleet);
                let machines = Machines::of(&fleet[number]);
                let happening = chance.happening(fleet[number].status.kind());
                let (moment, machines) = Moment::of(machines, &happening);
                fleet[number] = machines.item().clone();

                let after = counts(&fleet);
                assert_eq!((before.total(), after.total()), (fleet.len(), fleet.len()));
                let [from, to] = moment.items().map(|item| item.status.kind());
                let mut expected = before;
                *of(&mut expected, from) -= 1;
                *of(&mut expected, to) += 1;
                assert_eq!(after, expected, "`{}` in `{from}`", moment.event);
            }
        }
    });
}

fn of(counts: &mut StatusCounts, kind: StatusKind) -> &mut usize {
    match kind {
        StatusKind::Pending => &mut counts.pending,
        StatusKind::InProgress => &mut counts.in_progress,
        StatusKind::Completed => &mut counts.completed,
        StatusKind::Failed => &mut counts.failed,
        StatusKind::DeadLettered => &mut counts.dead_lettered,
    }
}

/// With a policy of a budget and a cause that is not retried, in both of the shapes that a policy has.
#[test]
fn a_dead_letter_made_by_settle_had_used_its_budget_or_failed_for_good() {
    let failed = || {
        arbitrary::item().prop_filter_map("it has not failed", |item| {
            matches!(item.status, WorkItemStatus::Failed { .. }).then_some(item)
        })
    };
    let typed = |item: &WorkItemRecord| match AnyWorkItem::rehydrate(item.clone()) {
        Ok(AnyWorkItem::Failed(item)) => item,
        other => panic!("{other:?} is not a failed item"),
    };
    random::check(
        bounds().cases,
        || (failed(), 0..8_usize, any::<bool>()),
        |(item, budget, at_its_end)| {
            // Often right at the budget: there the two sides of the rule meet.
            let budget = if at_its_end { item.failures } else { budget };
            let for_good = |item: &WorkItem<Failed>| item.error().is_empty();
            let policy = |item: &WorkItem<Failed>| !for_good(item) && item.can_retry(budget);
            let (spent, hopeless) = (item.failures >= budget, for_good(&typed(&item)));

            match typed(&item).settle(&policy, NOW) {
                Settled::DeadLetter(letter) => {
                    assert!(spent || hopeless, "{} of {budget} failures", letter.failures());
                }
                Settled::Retry(pending) => {
                    assert!(!spent && !hopeless, "{} of {budget} failures", pending.failures());
                }
            }
            let given_up = matches!(typed(&item).settle(&MaxAttempts(budget), NOW), Settled::DeadLetter(_));
            assert_eq!(given_up, spent, "{} of {budget} failures", item.failures);
        },
    );
}
