//! One event of each kind and items in each state, no two texts, times or numbers alike: a field that ends
//! up in the place of another is seen.

use std::time::Duration;

use chrono::{DateTime, Utc};
use workitem_types::{
    AgentResult, AgentStatus, CleanupStatus, StatusKind, WorkItemEvent, WorkItemRecord, WorkItemStatus,
};

/// The time at which the events happen; no sample holds it.
pub const NOW: DateTime<Utc> = at(1_000_000);

const fn at(seconds: i64) -> DateTime<Utc> {
    match DateTime::from_timestamp(seconds, 123_456_789) {
        Some(time) => time,
        None => DateTime::UNIX_EPOCH,
    }
}

/// One event of each kind.
pub fn events() -> [WorkItemEvent; 6] {
    [
        WorkItemEvent::AgentStart { agent_id: "the agent that starts".into() },
        WorkItemEvent::AgentComplete { result: Box::new(result("the new")) },
        WorkItemEvent::AgentFailed { error: "the new error".into() },
        WorkItemEvent::Interrupt,
        WorkItemEvent::Retry,
        WorkItemEvent::MoveToDeadLetter,
    ]
}

/// Items in every state, each in its first attempt and in a later one where there can be one.
pub fn items() -> Vec<WorkItemRecord> {
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
        id: format!("a {kind} item, tried {attempts} times").into(),
        attempts,
        failures,
        status: status(kind, failures),
    })
    .collect()
}

/// A status in the given state, with `retry_count` where there is one.
pub fn status(kind: StatusKind, retry_count: usize) -> WorkItemStatus {
    match kind {
        StatusKind::Pending => WorkItemStatus::Pending,
        StatusKind::InProgress => {
            WorkItemStatus::InProgress { agent_id: "the agent at work".into(), started_at: at(1_001) }
        }
        StatusKind::Completed => WorkItemStatus::Completed { result: Box::new(result("the old")) },
        StatusKind::Failed => WorkItemStatus::Failed { error: "the last error".into(), retry_count },
        StatusKind::DeadLettered => {
            WorkItemStatus::DeadLettered { error: "the final error".into(), retry_count, dlq_at: at(1_002) }
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
