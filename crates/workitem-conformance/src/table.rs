//! The table as a machine: what a row says in `changes` is done to an item, clause by clause.
//!
//! It works on names and JSON and knows no type of the other machines, so that what people read in the table
//! is compared with them as a whole value. A state holds what the row that leads to it speaks of, and
//! nothing else. A clause that is not known here is an error, not a comment.

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use workitem_table::{ROWS, Row, STATES};
use workitem_types::{WorkItemEvent, WorkItemRecord, WorkItemStatus};

use crate::Verdict;
use crate::machines::ROWS as TABLE;

/// A whole item, by names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    id: Value,
    attempts: usize,
    failures: usize,
    state: &'static str,
    fields: Map<String, Value>,
}

/// An event and the time at which it happens, by names.
#[derive(Debug, Clone)]
pub struct Event {
    name: String,
    fields: Map<String, Value>,
    now: Value,
}

impl Item {
    /// The item of a record.
    ///
    /// # Panics
    ///
    /// If the table does not know its state.
    pub fn new(record: &WorkItemRecord) -> Self {
        let (state, fields) = named(written(&record.status));
        let known = STATES.into_iter().find(|known| *known == state);
        let state = known.unwrap_or_else(|| panic!("the table has no state `{state}`"));
        let WorkItemRecord { id, attempts, failures, status: _ } = record;
        Self { id: written(id), attempts: *attempts, failures: *failures, state, fields }
    }

    /// The state's name.
    pub const fn state(&self) -> &'static str {
        self.state
    }

    /// What the event makes of the item.
    pub fn happen(&self, event: &Event) -> Verdict<Self> {
        match ROWS.iter().position(|row| row.from == self.state && row.event == event.name) {
            None => Verdict::Illegal(self.clone()),
            Some(row) => Verdict::Moved(self.changed(&ROWS[row], &CHANGES[row], event)),
        }
    }

    fn changed(&self, row: &Row, changes: &[Change], event: &Event) -> Self {
        let Self { id, mut attempts, mut failures, state: _, fields: old } = self.clone();
        let mut fields = Map::new();
        let held = |fields: &Map<String, Value>, name: &str| {
            fields
                .get(name)
                .cloned()
                .unwrap_or_else(|| panic!("{row:?}: there is no `{name}`: look at {TABLE}"))
        };
        for change in changes {
            match change {
                Change::Raise(Counter::Attempts) => attempts = attempts.saturating_add(1),
                Change::Raise(Counter::Failures) => failures = failures.saturating_add(1),
                Change::Set(name) => drop(fields.insert(name.clone(), held(&event.fields, name))),
                Change::Keep(name) => drop(fields.insert(name.clone(), held(&old, name))),
                Change::Now(name) => drop(fields.insert(name.clone(), event.now.clone())),
                Change::Copy(name, Counter::Attempts) => drop(fields.insert(name.clone(), attempts.into())),
                Change::Copy(name, Counter::Failures) => drop(fields.insert(name.clone(), failures.into())),
            }
        }
        Self { id, attempts, failures, state: row.to, fields }
    }

    /// The item's JSON, put together by hand.
    pub fn json(&self) -> Value {
        let Self { id, attempts, failures, state, fields } = self;
        let status = if fields.is_empty() { json!(state) } else { json!({ *state: fields }) };
        json!({ "id": id, "attempts": attempts, "failures": failures, "status": status })
    }

    /// The item as the other machines have it, read from its JSON.
    ///
    /// # Panics
    ///
    /// If the rows leave out a field of a state, or have one too many.
    pub fn record(&self) -> WorkItemRecord {
        let record = serde_json::from_value(self.json());
        record.unwrap_or_else(|error| {
            panic!("what the rows make of an item is none: {error}: look at {TABLE}\n{self:?}")
        })
    }
}

impl Event {
    /// The event, happening at `now`.
    pub fn new(event: &WorkItemEvent, now: DateTime<Utc>) -> Self {
        let (name, fields) = named(written(event));
        Self { name, fields, now: written(&now) }
    }
}

/// The verdict at the status level. A status knows no failure but those it counts: an agent at work has none.
pub fn on_status(
    status: &WorkItemStatus,
    event: &WorkItemEvent,
    now: DateTime<Utc>,
) -> Verdict<WorkItemStatus> {
    let failures = match status {
        WorkItemStatus::Pending | WorkItemStatus::InProgress { .. } | WorkItemStatus::Completed { .. } => 0,
        WorkItemStatus::Failed { retry_count, .. } | WorkItemStatus::DeadLettered { retry_count, .. } => {
            *retry_count
        }
    };
    let item = WorkItemRecord { failures, status: status.clone(), ..WorkItemRecord::new("") };
    Item::new(&item).happen(&Event::new(event, now)).map(|item| item.record().status)
}

/// What one clause of a row does.
#[derive(Debug)]
enum Change {
    Raise(Counter),
    /// The field comes from the event.
    Set(String),
    /// The field stays as the state before had it.
    Keep(String),
    /// The field is the time of the event.
    Now(String),
    /// The field is what the counter is by now.
    Copy(String, Counter),
}

#[derive(Debug, Clone, Copy)]
enum Counter {
    Attempts,
    Failures,
}

/// The changes of each row, in the order of the rows.
static CHANGES: LazyLock<Vec<Vec<Change>>> =
    LazyLock::new(|| ROWS.iter().map(|row| row.changes.split("; ").flat_map(parse).collect()).collect());

fn parse(clause: &str) -> Vec<Change> {
    let counter = |name: &str| match name {
        "attempts" => Some(Counter::Attempts),
        "failures" => Some(Counter::Failures),
        _ => None,
    };
    let change = match clause.split(' ').collect::<Vec<_>>()[..] {
        ["nothing", "else"] => Some(vec![]),
        // Counters stay where nothing else is said; the clause is for people.
        [name, "stays"] => counter(name).map(|_| vec![]),
        [name, "+", "1"] => counter(name).map(|counter| vec![Change::Raise(counter)]),
        [field, "is", "set" | "replaced"] => Some(vec![Change::Set(field.to_owned())]),
        [one, "and", other, "are", "kept"] => {
            Some(vec![Change::Keep(one.to_owned()), Change::Keep(other.to_owned())])
        }
        [field, "=", "now"] => Some(vec![Change::Now(field.to_owned())]),
        [field, "=", name] => counter(name).map(|counter| vec![Change::Copy(field.to_owned(), counter)]),
        _ => None,
    };
    change.unwrap_or_else(|| panic!("the table says `{clause}`: say in {} what that does", file!()))
}

/// A variant's name and its fields, from its JSON.
fn named(variant: Value) -> (String, Map<String, Value>) {
    match variant {
        Value::String(name) => (name, Map::new()),
        Value::Object(variant) => match variant.into_iter().next() {
            Some((name, Value::Object(fields))) => (name, fields),
            other => panic!("{other:?} is no variant with fields"),
        },
        other => panic!("{other} is neither a name nor an object"),
    }
}

fn written(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).expect("every value has a JSON form")
}
