//! Arbitrary items, events and payloads, for proptest. What is large is boxed: values that are nested in place
//! outgrow the stack of a thread.

use std::time::Duration;

use chrono::{DateTime, Utc};
use proptest::char;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use workitem_table::{EVENTS, Row, is_terminal, rows_from};
use workitem_types::{
    AgentResult, AgentStatus, CleanupStatus, StatusKind, WorkItemEvent, WorkItemRecord, WorkItemStatus,
};

use crate::machines::Happening;

/// Any text: empty, short, any Unicode, and now and then huge.
pub fn text() -> BoxedStrategy<String> {
    // Not by regular expression: it would be parsed anew for each text.
    prop_oneof![
        50 => Just(String::new()),
        100 => char::range('a', 'z').prop_map(String::from),
        100 => vec(any::<char>(), 1..12).prop_map(String::from_iter),
        1 => (any::<char>(), 1_000..30_000_usize).prop_map(|(c, n)| c.to_string().repeat(n)),
    ]
    .boxed()
}

/// Any time that a clock may show, to the nanosecond.
pub fn time() -> impl Strategy<Value = DateTime<Utc>> {
    let parts = (-62_135_596_800_i64..253_402_300_800, 0..1_000_000_000_u32);
    parts.prop_map(|(seconds, nanos)| DateTime::from_timestamp(seconds, nanos).unwrap_or_default())
}

/// Any result, each field present or not.
pub fn result() -> BoxedStrategy<AgentResult> {
    let agent_status = prop_oneof![
        Just(AgentStatus::Pending),
        Just(AgentStatus::Running),
        Just(AgentStatus::Success),
        text().prop_map(AgentStatus::Failed),
        Just(AgentStatus::Timeout),
        any::<u32>().prop_map(AgentStatus::Retrying),
    ];
    let cleanup = prop_oneof![
        Just(CleanupStatus::Success),
        text().prop_map(CleanupStatus::Failed),
        Just(CleanupStatus::Skipped),
    ];
    let duration = (any::<u64>(), 0..1_000_000_000_u32).prop_map(|(secs, nanos)| Duration::new(secs, nanos));
    let present = (text(), agent_status, vec(text(), 0..3), vec(text(), 0..3), duration);
    let maybe = || option::of(text());
    let optional = (maybe(), maybe(), maybe(), maybe(), maybe(), maybe(), option::of(cleanup));
    let result = (present, optional).prop_map(
        |(
            (item_id, status, commits, files_modified, duration),
            (output, error, path, branch_name, worktree_session_id, json_log_location, cleanup_status),
        )| AgentResult {
            item_id,
            status,
            output,
            commits,
            files_modified,
            duration,
            error,
            worktree_path: path.map(Into::into),
            branch_name,
            worktree_session_id,
            json_log_location,
            cleanup_status,
        },
    );
    result.boxed()
}

/// Any event.
pub fn event() -> impl Strategy<Value = WorkItemEvent> {
    prop_oneof![
        text().prop_map(|agent_id| WorkItemEvent::AgentStart { agent_id }),
        result().prop_map(|result| WorkItemEvent::AgentComplete { result: Box::new(result) }),
        text().prop_map(|error| WorkItemEvent::AgentFailed { error }),
        Just(WorkItemEvent::Interrupt),
        Just(WorkItemEvent::Retry),
        Just(WorkItemEvent::MoveToDeadLetter),
    ]
}

/// Something that will happen to an item, once its state is known.
#[derive(Debug, Clone)]
pub struct Chance {
    luck: Luck,
    text: String,
    now: DateTime<Utc>,
}

/// Left to any event alone, an item would soon stand still for ever.
#[derive(Debug, Clone, Copy)]
enum Luck {
    /// An event that is legal and does not end the item, if there is one.
    GoesOn(usize),
    /// An event that is legal, if there is one.
    Legal(usize),
    /// This event.
    Any(&'static str),
}

impl Chance {
    /// What happens to an item in this state.
    pub fn happening(&self, state: StatusKind) -> Happening {
        Happening::new(self.event(state), self.now)
    }

    /// The same, without its time.
    pub fn event(&self, state: StatusKind) -> WorkItemEvent {
        let pick = |number: usize, accept: fn(&Row) -> bool| {
            let rows: Vec<_> = rows_from(state.name()).filter(|row| accept(row)).collect();
            if rows.is_empty() { EVENTS[number % EVENTS.len()] } else { rows[number % rows.len()].event }
        };
        let name = match self.luck {
            Luck::GoesOn(number) => pick(number, |row| !is_terminal(row.to)),
            Luck::Legal(number) => pick(number, |_| true),
            Luck::Any(name) => name,
        };
        self.named(name)
    }

    fn named(&self, name: &str) -> WorkItemEvent {
        let text = || self.text.clone();
        let events = [
            WorkItemEvent::AgentStart { agent_id: text() },
            WorkItemEvent::AgentComplete {
                result: Box::new(AgentResult::success(text(), Some(text()), Duration::ZERO)),
            },
            WorkItemEvent::AgentFailed { error: text() },
            WorkItemEvent::Interrupt,
            WorkItemEvent::Retry,
            WorkItemEvent::MoveToDeadLetter,
        ];
        events.into_iter().find(|event| event.kind().name() == name).expect("the table names these events")
    }
}

/// Up to 200 events; most lives are short, some have the full length.
pub fn life() -> impl Strategy<Value = Vec<Chance>> {
    let luck = || {
        prop_oneof![
            11 => (0..6_usize).prop_map(Luck::GoesOn),
            1 => (0..6_usize).prop_map(Luck::Legal),
            4 => select(&EVENTS[..]).prop_map(Luck::Any),
        ]
    };
    let chance = move || (luck(), text(), time()).prop_map(|(luck, text, now)| Chance { luck, text, now });
    // Each begins at nothing, so that what is found in a long one shrinks to a short one.
    let chances = move |most| vec(chance(), 0..=most);
    prop_oneof![12 => chances(8), 5 => chances(50), 1 => chances(200)]
}

/// Any status, whether or not an item could have it.
pub fn status() -> impl Strategy<Value = WorkItemStatus> {
    prop_oneof![
        Just(WorkItemStatus::Pending),
        (text(), time())
            .prop_map(|(agent_id, started_at)| WorkItemStatus::InProgress { agent_id, started_at }),
        result().prop_map(|result| WorkItemStatus::Completed { result: Box::new(result) }),
        (text(), count()).prop_map(|(error, retry_count)| WorkItemStatus::Failed { error, retry_count }),
        (text(), count(), time()).prop_map(|(error, retry_count, dlq_at)| WorkItemStatus::DeadLettered {
            error,
            retry_count,
            dlq_at
        }),
    ]
}

/// Any record at all, whether or not legal transitions can lead to it.
pub fn record() -> impl Strategy<Value = WorkItemRecord> {
    (text(), status(), count(), count()).prop_map(|(id, status, attempts, failures)| WorkItemRecord {
        id: id.into(),
        attempts,
        failures,
        status,
    })
}

/// Any item that legal transitions can have led to, counters at the end of their range included.
pub fn item() -> impl Strategy<Value = WorkItemRecord> {
    record().prop_map(|mut item| {
        let WorkItemRecord { id: _, attempts, failures, status } = &mut item;
        match status {
            WorkItemStatus::Pending => *failures *= usize::from(*attempts > 0),
            WorkItemStatus::InProgress { .. } | WorkItemStatus::Completed { .. } => {
                *failures *= usize::from(*attempts > 1);
                *attempts = (*attempts).max(1);
            }
            WorkItemStatus::Failed { retry_count, .. } | WorkItemStatus::DeadLettered { retry_count, .. } => {
                *attempts = (*attempts).max(1);
                *failures = (*failures).max(1);
                *retry_count = *failures;
            }
        }
        item
    })
}

fn count() -> impl Strategy<Value = usize> {
    prop_oneof![4 => 0..5_usize, 1 => any::<usize>(), 1 => usize::MAX - 2..=usize::MAX]
}
