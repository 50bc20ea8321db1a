//! The seven rows are the rules of both machines, and the names in them are the names of both.

use std::collections::BTreeSet;

use workitem_conformance::samples::{self, NOW};
use workitem_dynamic::{Event, Status, apply};
use workitem_table::{EVENTS, ROWS, STATES};
use workitem_types::{EventKind, StatusKind};
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
        assert_eq!(terminal, samples::status(kind, 1).is_terminal(), "{kind}");
    }
}

/// Both directions: a row that the machine does not have, and a rule that the table does not have.
#[test]
fn the_rows_are_the_rules_of_the_dynamic_machine() {
    let mut rules = BTreeSet::new();
    for kind in StatusKind::ALL {
        for event in samples::events() {
            let mut status = samples::status(kind, 1);
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
        for event in samples::events() {
            let Err(refused) = apply(&mut samples::status(kind, 1), event, NOW) else { continue };
            let listed: BTreeSet<_> = refused.legal().iter().map(|event| event.name()).collect();
            let legal: BTreeSet<_> = workitem_table::rows_from(kind.name()).map(|row| row.event).collect();
            assert_eq!(listed, legal, "{kind}");
            states.insert(kind);
        }
    }
    assert_eq!(states.len(), StatusKind::ALL.len(), "every state refuses something");
}

#[test]
fn observers_follow_the_state() {
    for kind in StatusKind::ALL {
        let status = samples::status(kind, 2);
        assert_eq!(status.kind(), kind);
        assert_eq!(status.discriminant(), kind.name());
        assert_eq!(status.needs_processing(), kind == StatusKind::Pending);
        let retriable = [0, 1, 2, 3].map(|max| status.can_retry(max));
        assert_eq!(retriable, [false, false, false, kind == StatusKind::Failed]);
        for other in StatusKind::ALL {
            assert_eq!(status.matches(&samples::status(other, 7)), kind == other);
        }
    }
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
        let status: Status<_> = samples::status(kind, 1);
        assert_eq!(key(serde_json::to_value(status).unwrap()), kind.name());
    }
    for event in samples::events() {
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
