//! Where the machine differs from the original on purpose. docs/design.md, "Departures", names these tests, and each
//! fails if the difference vanishes, on either side.

use std::any::type_name;
use std::hint::black_box;
use std::marker::PhantomData;
use std::panic::catch_unwind;

use chrono::{DateTime, Utc};
use serde::Serialize;
use workitem_peers::{assert_same, original, ours, to_original};

const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

#[test]
fn a_retry_forgets_in_the_original_and_not_in_an_item() {
    const MAX_RETRIES: usize = 3;
    let mut item = ours::WorkItemRecord::new("42");
    let (mut theirs, mut ours) = (original::WorkItemStatus::Pending, ours::WorkItemStatus::Pending);
    for round in 1..=5 {
        for event in [
            ours::WorkItemEvent::AgentStart { agent_id: "agent-1".into() },
            ours::WorkItemEvent::AgentFailed { error: "exit 7".into() },
        ] {
            let their_event = to_original::event(event.clone());
            theirs = original::transition_work_item(theirs, their_event).expect("it is legal");
            ours = ours::transition_work_item(ours, event.clone()).expect("it is legal");
            ours::apply_item(&mut item, event, NOW).expect("it is legal");
        }
        // The limit never bites there, nor at the status level, which is the original's.
        let forgetful = original::WorkItemStatus::Failed { error: "exit 7".into(), retry_count: 1 };
        assert_eq!(format!("{theirs:?}"), format!("{forgetful:?}"), "round {round}");
        assert!(theirs.can_retry(MAX_RETRIES), "round {round}");
        assert_same(&ours, &theirs);

        let remembers = ours::WorkItemStatus::Failed { error: "exit 7".into(), retry_count: round };
        assert_eq!(item.status, remembers);
        assert_eq!(item.status.can_retry(MAX_RETRIES), round < MAX_RETRIES, "round {round}");

        theirs = original::transition_work_item(theirs, original::WorkItemEvent::Retry).expect("it is legal");
        ours = ours::transition_work_item(ours, ours::WorkItemEvent::Retry).expect("it is legal");
        ours::apply_item(&mut item, ours::WorkItemEvent::Retry, NOW).expect("it is legal");
    }
}

/// The original adds one with `+`: what becomes of that is up to how it was compiled. With the checks of a debug
/// build it panics; without, as in its own release, the count is 0 again and every limit is open anew.
#[test]
fn a_counter_at_its_end_overflows_in_the_original_and_stays_here() {
    let failed_once_more = || {
        original::transition_work_item(
            original::WorkItemStatus::Failed { error: "exit 7".into(), retry_count: usize::MAX },
            original::WorkItemEvent::AgentFailed { error: "exit 8".into() },
        )
    };
    // All crates of a build have these checks, or none has.
    let is_checked = catch_unwind(|| black_box(usize::MAX) + black_box(1)).is_err();
    match catch_unwind(failed_once_more) {
        Err(panic) => {
            let said = panic.downcast_ref::<&str>().copied().unwrap_or_default();
            assert!(is_checked && said == "attempt to add with overflow", "{said}");
        }
        Ok(next) => {
            let next = next.expect("a failed item can fail once more");
            assert!(!is_checked && next.can_retry(1), "{next:?}");
        }
    }

    let ours = ours::transition_work_item(
        ours::WorkItemStatus::Failed { error: "exit 7".into(), retry_count: usize::MAX },
        ours::WorkItemEvent::AgentFailed { error: "exit 8".into() },
    );
    let stays = ours::WorkItemStatus::Failed { error: "exit 8".into(), retry_count: usize::MAX };
    assert_eq!(ours, Ok(stays));
}

#[test]
fn an_error_prints_payloads_in_the_original_and_names_here() {
    let refused = || {
        let status = ours::WorkItemStatus::Failed { error: "a secret".into(), retry_count: 1 };
        (status, ours::WorkItemEvent::AgentStart { agent_id: "another".into() })
    };
    let (status, event) = refused();
    let theirs = original::transition_work_item(to_original::status(status), to_original::event(event));
    let theirs = theirs.expect_err("it is not legal");
    for said in [theirs.to_string(), format!("{theirs:?}")] {
        assert!(said.contains("a secret") && said.contains("another"), "{said}");
    }
    let (status, event) = refused();
    let ours = ours::transition_work_item(status, event).expect_err("it is not legal");
    assert_eq!(ours.to_string(), "Invalid transition from Failed with event AgentStart");
    for said in [ours.to_string(), format!("{ours:?}")] {
        assert!(!said.contains("a secret") && !said.contains("another"), "{said}");
    }
}

/// Whether a type has a trait: the compiler prefers the constant that belongs to the type itself, where its bound
/// holds, and else takes that of the trait below.
struct Has<T>(PhantomData<T>);

trait Otherwise {
    const COMPARISON: bool = false;
    const JSON: bool = false;
}

impl<T> Otherwise for Has<T> {}

impl<T: PartialEq> Has<T> {
    const COMPARISON: bool = true;
}

impl<T: Serialize> Has<T> {
    const JSON: bool = true;
}

/// What each crate's type can do: be compared, and be written as JSON.
macro_rules! abilities {
    ($($name:ident),*) => {
        [$((
            type_name::<original::$name>(),
            [Has::<original::$name>::COMPARISON, Has::<original::$name>::JSON],
            [Has::<ours::$name>::COMPARISON, Has::<ours::$name>::JSON],
        )),*]
    };
}

#[test]
fn more_can_be_compared_and_written_than_in_the_original() {
    let [status, event, result, error, counts, agent, cleanup] = abilities!(
        WorkItemStatus,
        WorkItemEvent,
        AgentResult,
        TransitionError,
        StatusCounts,
        AgentStatus,
        CleanupStatus
    );
    for ((name, theirs, ours), expected_of_theirs, expected_of_ours) in [
        (status, [false, true], [true, true]),
        (event, [false, false], [true, true]),
        (result, [false, true], [true, true]),
        (error, [false, false], [true, false]),
        (counts, [true, false], [true, true]),
        (agent, [true, true], [true, true]),
        (cleanup, [true, true], [true, true]),
    ] {
        assert_eq!((theirs, ours), (expected_of_theirs, expected_of_ours), "[compared, written] of {name}");
    }
}

/// The list and the tests name each other.
#[test]
fn the_list_of_departures_is_this_file() {
    let design = include_str!("../../docs/design.md");
    let list = design.split("\n## ").find(|part| part.starts_with("Departures")).expect("the part is there");
    let list = list.split("\n\n").find(|part| part.starts_with("- ")).expect("the list is there");
    let here = include_str!("departures.rs").split("\n#[test]\nfn ").skip(1);
    let tests: Vec<&str> = here.filter_map(|test| test.split('(').next()).collect();
    for test in &tests[..tests.len() - 1] {
        assert!(list.contains(&format!("`{test}`")), "docs/design.md, Departures, does not name `{test}`");
    }
    let named = list.split('`').skip(1).step_by(2).filter(|name| name.matches('_').count() > 3);
    for name in named {
        assert!(
            tests.contains(&name),
            "docs/design.md, Departures, names `{name}`: there is no such test here"
        );
    }
}
