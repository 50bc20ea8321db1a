//! The original and both of our ways in, event by event: the same is legal, and leads to the same.
//!
//! Each goes on from its own result, so that a difference that shows late is seen. What fails is shrunk to the
//! shortest trace, and printed with the line that runs it again.

use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::{DateTime, Utc};
use workitem_conformance::bounds::{bounds, covered, grouped};
use workitem_conformance::{Verdict, arbitrary, dynamic, random};
use workitem_peers::ours::{WorkItemEvent, WorkItemStatus};
use workitem_peers::{CELLS, assert_same, original, ours, to_original, to_ours};

#[test]
fn any_event_in_any_status_does_what_it_does_in_the_original() {
    let cells = || (arbitrary::status(), arbitrary::event());
    random::check(bounds().cases, cells, |(status, event)| {
        _ = Both::of(status).happen(&event);
    });
}

#[test]
fn every_trace_leads_where_the_originals_leads() {
    let [events, legal, longest] = [const { AtomicUsize::new(0) }; 3];
    let traces = || (arbitrary::status(), arbitrary::life());
    random::check(bounds().sequences, traces, |(status, life)| {
        let mut both = Both::of(status);
        longest.fetch_max(life.len(), Ordering::Relaxed);
        for chance in life {
            let event = chance.event(both.by_time.kind());
            let verdict = both.happen(&event);
            events.fetch_add(1, Ordering::Relaxed);
            legal.fetch_add(usize::from(verdict.is_legal()), Ordering::Relaxed);
            both = verdict.into_inner();
        }
    });
    let [events, legal, longest] = [events, legal, longest].map(AtomicUsize::into_inner);
    let [events, legal] = [events, legal].map(grouped);
    covered(format_args!("of these, the longest has {longest} events; {events} in all, {legal} legal"));
}

/// A whole item goes the original's way too; only how often it failed is remembered.
#[test]
fn an_item_differs_from_the_original_in_its_count_alone() {
    let remembered = AtomicUsize::new(0);
    let traces = || (arbitrary::item(), arbitrary::life());
    random::check(bounds().cases, traces, |(mut item, life)| {
        let mut theirs = to_original::status(item.status.clone());
        for chance in life {
            let event = chance.event(item.status.kind());
            if overflows(&to_ours::status(theirs.clone()), &event) {
                continue;
            }
            let next = original::transition_work_item(theirs.clone(), to_original::event(event.clone())).ok();
            let next = next.map(to_ours::status);
            let now = next.clone().as_mut().and_then(time).copied().unwrap_or_default();
            let verdict = dynamic::on_item(&item, &event, now);
            let cell = format!("`{}` in `{}`", event.kind(), item.status.kind());
            assert_eq!(
                verdict.is_legal(),
                next.is_some(),
                "{cell}: not the original's (right): look at {CELLS}"
            );
            item = verdict.into_inner();

            let mut next = next.unwrap_or_else(|| to_ours::status(theirs));
            theirs = to_original::status(next.clone());
            if let (Some(ours), Some(theirs)) = (count(&mut item.status.clone()), count(&mut next)) {
                remembered.fetch_add(usize::from(ours > theirs), Ordering::Relaxed);
                *theirs = *ours;
            }
            assert_eq!(item.status, next, "{cell}: not the original's (right): look at {CELLS}");
        }
    });
    let remembered = remembered.into_inner();
    assert!(remembered > 0, "no item remembered more than the original");
    covered(format_args!(
        "of these, an item remembered more than the original {} times",
        grouped(remembered)
    ));
}

/// One status, in the original and in both of our functions.
#[derive(Debug)]
struct Both {
    theirs: original::WorkItemStatus,
    /// As the original's function has it: the clock is read.
    by_clock: WorkItemStatus,
    /// As `apply` and `transition` have it: told the time at which the original's clock stood.
    by_time: WorkItemStatus,
}

impl Both {
    fn of(status: WorkItemStatus) -> Self {
        Self { theirs: to_original::status(status.clone()), by_clock: status.clone(), by_time: status }
    }

    /// The event happens to each, and all make the same of it.
    fn happen(self, event: &WorkItemEvent) -> Verdict<Self> {
        if overflows(&self.by_time, event) {
            return Verdict::Illegal(self);
        }
        let cell = format!("`{}` in `{}`", event.kind(), self.by_time.kind());
        let start = Utc::now();
        let theirs = original::transition_work_item(self.theirs.clone(), to_original::event(event.clone()));
        let between = Utc::now();
        let by_clock = ours::transition_work_item(self.by_clock.clone(), event.clone());
        let end = Utc::now();
        let their_time =
            theirs.as_ref().ok().and_then(|next| time(&mut to_ours::status(next.clone())).copied());
        // Where the original writes no time down, any will do.
        let by_time = dynamic::on_status(&self.by_time, event, their_time.unwrap_or(start));
        match (theirs, by_clock, by_time) {
            (Ok(theirs), Ok(by_clock), Verdict::Moved(by_time)) => {
                assert_same(&by_time, &theirs);
                assert_is_by_the_clock(&cell, &by_clock, &by_time, [start, between, end]);
                Verdict::Moved(Self { theirs, by_clock, by_time })
            }
            (Err(theirs), Err(ours), Verdict::Illegal(_)) => {
                assert_names_the_same(&cell, &ours, &theirs);
                Verdict::Illegal(self)
            }
            (theirs, by_clock, by_time) => panic!(
                "{cell}: not what the original says: look at {CELLS}\n\
                 original: {theirs:?}\nours, by the clock: {by_clock:?}\nours, told the time: {by_time:?}"
            ),
        }
    }
}

/// The one place where the original has no answer to give: `departures.rs` has it.
fn overflows(status: &WorkItemStatus, event: &WorkItemEvent) -> bool {
    matches!(
        (status, event),
        (WorkItemStatus::Failed { retry_count: usize::MAX, .. }, WorkItemEvent::AgentFailed { .. })
    )
}

/// Each read the clock while it was called, and but for that both came to one status.
fn assert_is_by_the_clock(
    cell: &str,
    by_clock: &WorkItemStatus,
    theirs: &WorkItemStatus,
    [start, between, end]: [DateTime<Utc>; 3],
) {
    let (mut by_clock, mut theirs) = (by_clock.clone(), theirs.clone());
    if let (Some(ours), Some(theirs)) = (time(&mut by_clock), time(&mut theirs)) {
        assert!((start..=between).contains(theirs), "{cell}: the original's time is not that of its call");
        assert!(
            (between..=end).contains(ours),
            "{cell}: the time is not that of the call: look at {ORIGINAL}"
        );
        *ours = *theirs;
    }
    assert_eq!(by_clock, theirs, "{cell}: not the original's (right): look at {ORIGINAL}");
}

/// A refusal is the same variant, and ours names what the original's prints in full.
fn assert_names_the_same(cell: &str, ours: &ours::TransitionError, theirs: &original::TransitionError) {
    let ours::TransitionError::Invalid { current, event } = ours;
    let original::TransitionError::Invalid { current: printed, event: printed_event } = theirs;
    let begins_with = |printed: &str, name: &str| {
        printed.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(" {"))
    };
    assert!(
        begins_with(printed, current) && begins_with(printed_event, event),
        "{cell}: `{current}` and `{event}` are not what the original prints: look at {ORIGINAL}\n{theirs}"
    );
}

/// The time that the transition into this status wrote down.
fn time(status: &mut WorkItemStatus) -> Option<&mut DateTime<Utc>> {
    match status {
        WorkItemStatus::InProgress { started_at: time, .. }
        | WorkItemStatus::DeadLettered { dlq_at: time, .. } => Some(time),
        WorkItemStatus::Pending | WorkItemStatus::Completed { .. } | WorkItemStatus::Failed { .. } => None,
    }
}

/// How often an item failed, where a status says it.
fn count(status: &mut WorkItemStatus) -> Option<&mut usize> {
    match status {
        WorkItemStatus::Failed { retry_count, .. } | WorkItemStatus::DeadLettered { retry_count, .. } => {
            Some(retry_count)
        }
        WorkItemStatus::Pending | WorkItemStatus::InProgress { .. } | WorkItemStatus::Completed { .. } => {
            None
        }
    }
}

const ORIGINAL: &str = "crates/workitem-dynamic/src/original.rs";
