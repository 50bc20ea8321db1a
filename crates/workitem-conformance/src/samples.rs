//! One event of each kind and items in each state, no two texts, times or numbers alike: a field that ends
//! up in the place of another is seen. A `voice` tells the payloads of one set from those of another.

use std::time::Duration;

use chrono::{DateTime, Utc};
use workitem_types::{
    AgentResult, AgentStatus, CleanupStatus, StatusKind, WorkItemEvent, WorkItemRecord, WorkItemStatus,
};

use crate::machines::Happening;

/// The time at which events of one voice happen; no sample holds it.
pub const NOW: DateTime<Utc> = now(0);

/// The time at which events happen; no sample holds it.
pub const fn now(voice: u32) -> DateTime<Utc> {
    at(1_000_000 + voice)
}

const fn at(seconds: u32) -> DateTime<Utc> {
    match DateTime::from_timestamp(seconds as i64, 123_456_789) {
        Some(time) => time,
        None => DateTime::UNIX_EPOCH,
    }
}

/// One event of each kind.
pub fn events(voice: u32) -> [WorkItemEvent; 6] {
    events_with(voice, result(&format!("new {voice}")))
}

/// One event of each kind, with a result that is quick to copy.
pub fn light_events(voice: u32) -> [WorkItemEvent; 6] {
    events_with(voice, AgentResult::success(format!("item of result {voice}"), None, Duration::ZERO))
}

fn events_with(voice: u32, result: AgentResult) -> [WorkItemEvent; 6] {
    [
        WorkItemEvent::AgentStart { agent_id: format!("agent that starts {voice}") },
        WorkItemEvent::AgentComplete { result: Box::new(result) },
        WorkItemEvent::AgentFailed { error: format!("new error {voice}") },
        WorkItemEvent::Interrupt,
        WorkItemEvent::Retry,
        WorkItemEvent::MoveToDeadLetter,
    ]
}

/// The events, each happening at the voice's time.
pub fn happenings(voice: u32, events: [WorkItemEvent; 6]) -> [Happening; 6] {
    events.map(|event| Happening::new(event, now(voice)))
}

/// Items in every state, each in its first attempt and in a later one where there can be one.
pub fn items(voice: u32) -> Vec<WorkItemRecord> {
    [
        (0, 0, StatusKind::Pending),
        (7, 2, StatusKind::Pending),
        (1, 0, StatusKind::InProgress),
        (8, 3, StatusKind::InProgress),
        (1, 0, StatusKind::Completed),
        (9, 4, StatusKind::Completed),
        (1, 1, StatusKind::Failed),
        (10, 5, StatusKind::Failed),
        (1, 1, StatusKind::DeadLettered),
        (11, 6, StatusKind::DeadLettered),
    ]
    .into_iter()
    .map(|(attempts, failures, kind)| WorkItemRecord {
        id: format!("{kind} item {voice}, tried {attempts} times").into(),
        attempts,
        failures,
        status: status(kind, failures, voice),
    })
    .collect()
}

/// A status in the given state, with `retry_count` where there is one.
pub fn status(kind: StatusKind, retry_count: usize, voice: u32) -> WorkItemStatus {
    match kind {
        StatusKind::Pending => WorkItemStatus::Pending,
        StatusKind::InProgress => {
            let agent_id = format!("agent at work {voice}");
            WorkItemStatus::InProgress { agent_id, started_at: at(1_000 + voice) }
        }
        StatusKind::Completed => {
            WorkItemStatus::Completed { result: Box::new(result(&format!("old {voice}"))) }
        }
        StatusKind::Failed => WorkItemStatus::Failed { error: format!("last error {voice}"), retry_count },
        StatusKind::DeadLettered => {
            let error = format!("final error {voice}");
            WorkItemStatus::DeadLettered { error, retry_count, dlq_at: at(2_000 + voice) }
        }
    }
}

/// A result whose every field is set and tells itself from the others.
pub fn result(whose: &str) -> AgentResult {
    AgentResult {
        item_id: format!("{whose} item id"),
        status: AgentStatus::Retrying(3),
        output: Some(format!("{whose} output")),
        commits: vec![format!("{whose} commit"), format!("{whose} other commit")],
        files_modified: vec![format!("{whose} file")],
        duration: Duration::from_millis(4_567),
        error: Some(format!("{whose} error in the result")),
        worktree_path: Some(format!("{whose} path").into()),
        branch_name: Some(format!("{whose} branch")),
        worktree_session_id: Some(format!("{whose} session")),
        json_log_location: Some(format!("{whose} log")),
        cleanup_status: Some(CleanupStatus::Failed(format!("{whose} cleanup"))),
    }
}
