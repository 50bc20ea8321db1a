//! Names, states and observers are one everywhere; the seven rows are the rules of both machines.

use std::collections::BTreeSet;

use proptest::prelude::*;
use workitem_conformance::bounds::bounds;
use workitem_conformance::samples::{self, NOW};
use workitem_conformance::{arbitrary, random};
use workitem_dynamic::{Event, Status, apply};
use workitem_table::{EVENTS, ROWS, STATES};
use workitem_types::{EventKind, StatusKind, WorkItemStatus};
use workitem_typestate::{
    AgentComplete, AgentFailed, AgentStart, Completed, DeadLettered, Failed, InProgress, Interrupt, LegalIn,
    MoveToDeadLetter, Pending, Retry, State,
};

#[test]
fn the_table_names_every_state_and_event_in_order() {
    assert_eq!(STATES, StatusKind::ALL.map(StatusKind::name));
    assert_eq!(EVENTS, EventKind::ALL.map(EventKind::name));
}

#[test]
fn terminal_is_one_property_everywhere() {
    let typed = [
        (Pending::KIND, Pending::TERMINAL),
        (InProgress::KIND, InProgress::TERMINAL),
        (Completed::<()>::KIND, Completed::<()>::TERMINAL),
        (Failed::KIND, Failed::TERMINAL),
        (DeadLettered::KIND, DeadLettered::TERMINAL),
    ];
    assert_eq!(typed.map(|(kind, _)| kind), StatusKind::ALL);
    for (kind, terminal) in typed {
        assert_eq!(terminal, workitem_table::is_terminal(kind.name()), "{kind}");
        assert_eq!(terminal, kind.is_terminal(), "{kind}");
    }
}

/// What a status says of itself is what the table has for its state: it is terminal where no row leaves it,
/// waits for an agent where one can start, and can be retried where there is a retry and budget left.
#[test]
fn observers_say_what_the_table_says() {
    random::check(
        bounds().cases,
        || (arbitrary::status(), any::<usize>(), 0..6_usize),
        |(status, far, near)| {
            let state = status.discriminant();
            let legal = |event| workitem_table::next(state, event).is_some();
            assert_eq!(status.kind().name(), state);
            assert_eq!(status.is_terminal(), workitem_table::is_terminal(state), "{state}");
            assert_eq!(status.needs_processing(), legal("AgentStart"), "{state}");
            for max in [0, near, far, usize::MAX] {
                let budget_left = match &status {
                    WorkItemStatus::Failed { retry_count, .. }
                    | WorkItemStatus::DeadLettered { retry_count, .. } => *retry_count < max,
                    WorkItemStatus::Pending
                    | WorkItemStatus::InProgress { .. }
                    | WorkItemStatus::Completed { .. } => true,
                };
                assert_eq!(status.can_retry(max), legal("Retry") && budget_left, "{state}, {max}");
            }
            for other in StatusKind::ALL {
                assert_eq!(
                    status.matches(&samples::status(other, near, 1)),
                    other.name() == state,
                    "{state}"
                );
            }
        },
    );
}

/// Both directions: a row that the machine does not have, and a rule that the table does not have.
#[test]
fn the_rows_are_the_rules_of_the_dynamic_machine() {
    let mut rules = BTreeSet::new();
    for kind in StatusKind::ALL {
        for event in samples::events(1) {
            let mut status = samples::status(kind, 1, 1);
            if apply(&mut status, event.clone(), NOW).is_ok() {
                rules.insert((kind.name(), event.kind().name(), status.kind().name()));
            }
        }
    }
    assert_eq!(rules, ROWS.iter().map(|row| (row.from, row.event, row.to)).collect());
}

/// The typed machine's `Next`, asked of the compiler row by row; `tests/agree.rs` sees to the other cells.
#[test]
fn the_rows_are_the_rules_of_the_typed_machine() {
    fn rule<S: State, E: LegalIn<S>>() -> (&'static str, &'static str) {
        (S::KIND.name(), E::Next::KIND.name())
    }
    let rules = [
        rule::<Pending, AgentStart>(),
        rule::<InProgress, AgentComplete>(),
        rule::<InProgress, AgentFailed>(),
        rule::<InProgress, Interrupt>(),
        rule::<Failed, Retry>(),
        rule::<Failed, MoveToDeadLetter>(),
        rule::<Failed, AgentFailed>(),
    ];
    assert_eq!(rules, ROWS.map(|row| (row.from, row.to)));
}

/// What a refusal offers instead is what the table has for that state.
#[test]
fn a_refusal_lists_the_legal_events_of_its_state() {
    let mut states = BTreeSet::new();
    for kind in StatusKind::ALL {
        for event in samples::events(1) {
            let Err(refused) = apply(&mut samples::status(kind, 1, 1), event, NOW) else { continue };
            let listed: BTreeSet<_> = refused.legal().iter().map(|event| event.name()).collect();
            let legal: BTreeSet<_> = workitem_table::rows_from(kind.name()).map(|row| row.event).collect();
            assert_eq!(listed, legal, "{kind}: look at crates/workitem-dynamic/src/refused.rs");
            states.insert(kind);
        }
    }
    assert_eq!(states.len(), StatusKind::ALL.len(), "every state refuses something");
}

/// Kinds and JSON speak of the same names.
#[test]
fn names_are_those_of_the_json() {
    let key = |value: serde_json::Value| match value {
        serde_json::Value::String(name) => name,
        serde_json::Value::Object(fields) => fields.keys().next().expect("one key").clone(),
        other => panic!("{other} is neither a name nor an object"),
    };
    for kind in StatusKind::ALL {
        let status: Status<_> = samples::status(kind, 1, 1);
        assert_eq!(key(serde_json::to_value(status).unwrap()), kind.name());
    }
    for event in samples::events(1) {
        let kind = event.kind();
        assert_eq!(key(serde_json::to_value::<Event<_>>(event).unwrap()), kind.name());
    }
}

/// What `workitem machine --format json` prints is JSON, and the whole table.
#[test]
fn the_printed_json_is_the_table() {
    let json: serde_json::Value = serde_json::from_str(&workitem_table::to_json()).expect("it is JSON");
    let transitions = json["transitions"].as_array().expect("a list");
    assert_eq!(transitions.len(), ROWS.len());
    for (row, transition) in ROWS.iter().zip(transitions) {
        let expected = serde_json::json!({
            "from": row.from, "event": row.event, "method": row.method,
            "to": row.to, "changes": row.changes, "reason": row.reason,
        });
        assert_eq!(transition, &expected);
    }
    let names = |list: &serde_json::Value| -> Vec<_> {
        list.as_array().expect("a list").iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&json["states"]), STATES);
    assert_eq!(names(&json["events"]), EVENTS);
}
