//! Observers, bulk functions and results: both say the same of the same.

use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use workitem_conformance::bounds::bounds;
use workitem_conformance::{arbitrary, random};
use workitem_peers::{
    CELLS, TYPES, assert_looks_the_same, assert_same, original, ours, to_original, to_ours,
};

#[test]
fn every_observer_says_the_same() {
    random::check(
        bounds().cases,
        || (arbitrary::status(), arbitrary::status(), any::<usize>()),
        |(status, other, max)| {
            let (theirs, others) = (to_original::status(status.clone()), to_original::status(other.clone()));
            let said = (status.discriminant(), status.is_terminal(), status.needs_processing());
            let expected = (theirs.discriminant(), theirs.is_terminal(), theirs.needs_processing());
            assert_eq!(said, expected, "look at {TYPES}: {status:?}");
            assert_eq!(
                status.matches(&other),
                theirs.matches(&others),
                "look at {TYPES}: {status:?}, {other:?}"
            );
            assert!(status.matches(&status) && theirs.matches(&theirs), "{status:?}");
            for max in limits(&status).into_iter().chain([max]) {
                let said = (status.can_retry(max), theirs.can_retry(max));
                assert_eq!(said.0, said.1, "look at {TYPES}: {status:?}, retried up to {max} times");
            }
        },
    );
}

/// Small limits, and those around the count that the status has.
fn limits(status: &ours::WorkItemStatus) -> Vec<usize> {
    let around = |count: usize| [count.saturating_sub(1), count, count.saturating_add(1)];
    let mut limits = vec![0, 1, 2, 3, usize::MAX];
    match status {
        ours::WorkItemStatus::Failed { retry_count, .. }
        | ours::WorkItemStatus::DeadLettered { retry_count, .. } => limits.extend(around(*retry_count)),
        ours::WorkItemStatus::Pending
        | ours::WorkItemStatus::InProgress { .. }
        | ours::WorkItemStatus::Completed { .. } => {}
    }
    limits
}

#[test]
fn every_fleet_is_interrupted_and_counted_the_same() {
    let fleets = || vec((arbitrary::text(), arbitrary::status()), 0..12);
    random::check(bounds().cases, fleets, |fleet| {
        let theirs: Vec<_> =
            fleet.iter().cloned().map(|(id, status)| (id, to_original::status(status))).collect();
        assert_is_counted_the_same(&fleet, &theirs);

        let (fleet, theirs) = (ours::apply_interrupt_to_all(fleet), original::apply_interrupt_to_all(theirs));
        assert_eq!(fleet.len(), theirs.len());
        for ((id, status), (expected, theirs)) in fleet.iter().zip(&theirs) {
            assert_eq!(id, expected, "the items are in another order");
            assert_same(status, theirs);
        }
        assert_is_counted_the_same(&fleet, &theirs);
    });
}

fn assert_is_counted_the_same(
    ours: &[(String, ours::WorkItemStatus)],
    theirs: &[(String, original::WorkItemStatus)],
) {
    let ours = ours::count_by_status(ours.iter().map(|(_, status)| status));
    let theirs = original::count_by_status(theirs.iter().map(|(_, status)| status));
    assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
    assert_eq!(ours.total(), theirs.total());
    assert_eq!(ours, to_ours::counts(theirs.clone()));
    assert_eq!(to_original::counts(ours), theirs);
}

/// Of any number of items; the sum of all fits.
#[test]
fn every_total_is_the_same() {
    let numbers = || [(); 5].map(|()| 0..=usize::MAX / 5);
    random::check(bounds().cases, numbers, |[pending, in_progress, completed, failed, dead_lettered]| {
        let counts = ours::StatusCounts { pending, in_progress, completed, failed, dead_lettered };
        assert_eq!(
            counts.total(),
            to_original::counts(counts.clone()).total(),
            "{counts:?}: look at {TYPES}"
        );
    });
}

#[test]
fn every_result_is_built_and_asked_the_same() {
    let parts = || (arbitrary::text(), option::of(arbitrary::text()), any::<Duration>(), arbitrary::result());
    random::check(bounds().cases, parts, |(id, text, duration, any)| {
        let why = text.clone().unwrap_or_default();
        for (ours, theirs) in [
            (
                ours::AgentResult::success(id.clone(), text.clone(), duration),
                original::AgentResult::success(id.clone(), text, duration),
            ),
            (
                ours::AgentResult::failed(id.clone(), why.clone(), duration),
                original::AgentResult::failed(id, why, duration),
            ),
            (any.clone(), to_original::result(any)),
        ] {
            assert_eq!(ours, to_ours::result(theirs.clone()), "look at {TYPES}");
            assert_looks_the_same(&ours, &theirs);
            let said = (ours.is_success(), ours.is_failure());
            assert_eq!(said, (theirs.is_success(), theirs.is_failure()), "look at {TYPES}: {ours:?}");
        }
    });
}

/// Events have no JSON in the original, and are compared as they are printed.
#[test]
fn every_event_is_printed_the_same() {
    random::check(bounds().cases, arbitrary::event, |event| {
        let theirs = to_original::event(event.clone());
        assert_eq!(format!("{event:?}"), format!("{theirs:?}"), "look at {TYPES}");
        assert_eq!(to_ours::event(theirs), event, "look at {CELLS}");
    });
}
