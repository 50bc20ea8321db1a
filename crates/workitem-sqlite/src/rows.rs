//! From rows to values and back. This is the only place outside the machine that makes a status by hand.

use chrono::{DateTime, Utc};
use rusqlite::Row;
use rusqlite::types::Type;
use workitem_store::{AttemptOutput, AttemptRow, Captured, Cause, HistoryRow, ItemRow, JobCounts, Kept};
use workitem_types::{
    AgentResult, EventKind, ItemId, StatusCounts, StatusKind, WorkItemEvent, WorkItemRecord, WorkItemStatus,
};

use crate::codes::{event_kind, status_kind};
use crate::error::misfit;

/// What [`item`] reads, in its order.
pub const ITEM: &str = "i.seq, i.id, i.version, i.status, i.attempts, i.failures, i.text, i.at, i.result, i.crashes, i.run_at, i.origin";

pub fn item(row: &Row<'_>) -> rusqlite::Result<ItemRow> {
    named("item", "items", row, item_row)
}

fn item_row(row: &Row<'_>) -> rusqlite::Result<ItemRow> {
    let (attempts, failures) = (row.get(4)?, row.get(5)?);
    let run_at: i64 = row.get(10)?;
    Ok(ItemRow {
        seq: row.get(0)?,
        record: WorkItemRecord {
            id: row.get::<_, String>(1)?.into(),
            attempts,
            failures,
            status: status(row, failures)?,
        },
        version: row.get(2)?,
        crashes: row.get(9)?,
        run_at: if run_at == 0 { None } else { Some(time(10, run_at)?) },
        origin: row.get::<_, Option<String>>(11)?.map(ItemId::from),
    })
}

fn status(row: &Row<'_>, failures: usize) -> rusqlite::Result<WorkItemStatus> {
    let kind = status_kind(row.get(3)?).ok_or_else(|| bad(3, "no such state"))?;
    Ok(match kind {
        StatusKind::Pending => WorkItemStatus::Pending,
        StatusKind::InProgress => {
            WorkItemStatus::InProgress { agent_id: row.get(6)?, started_at: time(7, row.get(7)?)? }
        }
        StatusKind::Completed => WorkItemStatus::Completed { result: result(8, row)? },
        StatusKind::Failed => WorkItemStatus::Failed { error: row.get(6)?, retry_count: failures },
        StatusKind::DeadLettered => WorkItemStatus::DeadLettered {
            error: row.get(6)?,
            retry_count: failures,
            dlq_at: time(7, row.get(7)?)?,
        },
    })
}

/// The columns `text`, `at` and `result` of a status.
pub fn status_columns(status: &WorkItemStatus) -> (Option<&str>, Option<i64>, Option<String>) {
    match status {
        WorkItemStatus::Pending => (None, None, None),
        WorkItemStatus::InProgress { agent_id, started_at } => {
            (Some(agent_id), Some(micros(*started_at)), None)
        }
        WorkItemStatus::Completed { result } => (None, None, Some(result_json(result))),
        WorkItemStatus::Failed { error, retry_count: _ } => (Some(error), None, None),
        WorkItemStatus::DeadLettered { error, retry_count: _, dlq_at } => {
            (Some(error), Some(micros(*dlq_at)), None)
        }
    }
}

/// What [`history`] reads, in its order.
pub const HISTORY: &str = "seq, version, event, payload, at, cause";

pub fn history(row: &Row<'_>) -> rusqlite::Result<HistoryRow> {
    named("item", "history", row, history_row)
}

fn history_row(row: &Row<'_>) -> rusqlite::Result<HistoryRow> {
    let kind = event_kind(row.get(2)?).ok_or_else(|| bad(2, "no such event"))?;
    let event = match kind {
        EventKind::AgentStart => WorkItemEvent::AgentStart { agent_id: row.get(3)? },
        EventKind::AgentComplete => WorkItemEvent::AgentComplete { result: result(3, row)? },
        EventKind::AgentFailed => WorkItemEvent::AgentFailed { error: row.get(3)? },
        EventKind::Interrupt => WorkItemEvent::Interrupt,
        EventKind::Retry => WorkItemEvent::Retry,
        EventKind::MoveToDeadLetter => WorkItemEvent::MoveToDeadLetter,
    };
    let cause: Option<String> = row.get(5)?;
    let cause = cause.map(|json| serde_json::from_str::<Cause>(&json)).transpose();
    Ok(HistoryRow {
        seq: row.get(0)?,
        version: row.get(1)?,
        event,
        at: time(4, row.get(4)?)?,
        cause: cause.map_err(|error| bad(5, error))?,
    })
}

/// The column `payload` of an event.
pub fn event_payload(event: &WorkItemEvent) -> Option<String> {
    match event {
        WorkItemEvent::AgentStart { agent_id } => Some(agent_id.clone()),
        WorkItemEvent::AgentComplete { result } => Some(result_json(result)),
        WorkItemEvent::AgentFailed { error } => Some(error.clone()),
        WorkItemEvent::Interrupt | WorkItemEvent::Retry | WorkItemEvent::MoveToDeadLetter => None,
    }
}

/// What [`attempt`] reads, in its order.
pub const ATTEMPT: &str =
    "seq, attempt, stdout, stdout_blob, stdout_total, stderr, stderr_blob, stderr_total";

pub fn attempt(row: &Row<'_>) -> rusqlite::Result<AttemptRow> {
    named("item", "attempts", row, attempt_row)
}

fn attempt_row(row: &Row<'_>) -> rusqlite::Result<AttemptRow> {
    let stream = |first: usize| -> rusqlite::Result<Captured> {
        let kept = match row.get(first + 1)? {
            Some(len) => Kept::Blob { len },
            None => Kept::Inline(row.get(first)?),
        };
        Ok(Captured { kept, total: row.get(first + 2)? })
    };
    let output = AttemptOutput { stdout: stream(2)?, stderr: stream(5)? };
    Ok(AttemptRow { seq: row.get(0)?, attempt: row.get(1)?, output })
}

/// The columns of one stream: its bytes, or the length of the blob that holds them.
pub fn stream_columns(stream: &Captured) -> (&[u8], Option<u64>) {
    match &stream.kept {
        Kept::Inline(bytes) => (bytes, None),
        Kept::Blob { len } => (&[], Some(*len)),
    }
}

/// What [`counts`] reads, in its order.
pub const COUNTS: &str = "pending, in_progress, completed, failed, dead_lettered, open_letters, skipped";

pub fn counts(row: &Row<'_>) -> rusqlite::Result<JobCounts> {
    Ok(JobCounts {
        by_status: StatusCounts {
            pending: row.get(0)?,
            in_progress: row.get(1)?,
            completed: row.get(2)?,
            failed: row.get(3)?,
            dead_lettered: row.get(4)?,
        },
        open_letters: row.get(5)?,
        skipped: row.get(6)?,
    })
}

pub const fn micros(time: DateTime<Utc>) -> i64 {
    time.timestamp_micros()
}

pub fn time(column: usize, micros: i64) -> rusqlite::Result<DateTime<Utc>> {
    DateTime::from_timestamp_micros(micros).ok_or_else(|| bad(column, "no such time"))
}

fn result_json(result: &AgentResult) -> String {
    serde_json::to_string(result).unwrap_or_else(|_| {
        // Only a path that is not UTF-8 cannot be JSON; it is kept as well as JSON can.
        let path = result.worktree_path.as_ref().map(|path| path.to_string_lossy().into_owned().into());
        let lossy = AgentResult { worktree_path: path, ..result.clone() };
        serde_json::to_string(&lossy).expect("text and numbers are JSON")
    })
}

fn result(column: usize, row: &Row<'_>) -> rusqlite::Result<Box<AgentResult>> {
    let json: String = row.get(column)?;
    serde_json::from_str(&json).map_err(|error| bad(column, error))
}

/// Reads a row whose first column is its number. If a value makes no sense, the error says where it is.
pub fn named<T>(
    what: &str,
    table: &str,
    row: &Row<'_>,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    read(row).map_err(|error| {
        let Some((column, why)) = misfit(&error) else { return error };
        let number: i64 = row.get(0).unwrap_or_default();
        let name = row.as_ref().column_name(column).unwrap_or("?");
        bad(column, format!("{what} {number}: `{table}.{name}`: {why}"))
    })
}

pub fn bad(column: usize, why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Null, why.into())
}
