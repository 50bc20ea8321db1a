//! Arbitrary items, events and payloads, for proptest.

use std::time::Duration;

use chrono::{DateTime, Utc};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use workitem_types::{
    AgentResult, AgentStatus, CleanupStatus, WorkItemEvent, WorkItemRecord, WorkItemStatus,
};

/// Any text: empty, any Unicode, and now and then long.
pub fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        1 => Just(String::new()),
        8 => any::<String>(),
        1 => (any::<char>(), 1_000..20_000_usize).prop_map(|(c, n)| c.to_string().repeat(n)),
    ]
}

/// Any time that a clock may show, to the nanosecond.
pub fn time() -> impl Strategy<Value = DateTime<Utc>> {
    (-62_135_596_800_i64..253_402_300_800, 0..1_000_000_000_u32)
        .prop_filter_map("out of chrono's range", |(seconds, nanos)| DateTime::from_timestamp(seconds, nanos))
}

/// Any result, each field present or not.
pub fn result() -> impl Strategy<Value = AgentResult> {
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
    (present, optional).prop_map(
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
    )
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

/// Any item that legal transitions can have led to, counters at the end of their range included.
pub fn item() -> impl Strategy<Value = WorkItemRecord> {
    (text(), status(), count(), count()).prop_map(|(id, mut status, attempts, failures)| {
        let (attempts, failures) = match &mut status {
            WorkItemStatus::Pending => (attempts, if attempts == 0 { 0 } else { failures }),
            WorkItemStatus::InProgress { .. } | WorkItemStatus::Completed { .. } => {
                (attempts.max(1), if attempts <= 1 { 0 } else { failures })
            }
            WorkItemStatus::Failed { retry_count, .. } | WorkItemStatus::DeadLettered { retry_count, .. } => {
                *retry_count = failures.max(1);
                (attempts.max(1), *retry_count)
            }
        };
        WorkItemRecord { id: id.into(), attempts, failures, status }
    })
}

fn count() -> impl Strategy<Value = usize> {
    prop_oneof![4 => 0..5_usize, 1 => any::<usize>(), 1 => usize::MAX - 2..=usize::MAX]
}
