//! From rows to values and back. This is the only place outside the machine that makes a status by hand.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use postgres::Row;
use postgres::types::FromSql;
use workitem_store::{AttemptOutput, AttemptRow, Captured, Cause, HistoryRow, ItemRow, Kept, Payload};
use workitem_types::{
    AgentResult, EventKind, ItemId, StatusKind, WorkItemEvent, WorkItemRecord, WorkItemStatus,
};

use crate::codes::{event_kind, status_kind};
use crate::error::Failure;

/// What [`item`] reads, in its order.
pub const ITEM: &str = "i.seq, i.id, i.version, i.state, i.attempts, i.failures, i.text, i.at, i.result, i.crashes, i.run_at, i.origin";
/// How many columns that is.
pub const AFTER_ITEM: usize = 12;

pub fn item(row: &Row) -> Result<ItemRow, Failure> {
    let fields = Fields::of("item", "items_now", row);
    let (seq, failures, run_at) = (fields.number(0)?, fields.number(5)?, fields.get::<i64>(10)?);
    let record = WorkItemRecord {
        id: fields.get::<String>(1)?.into(),
        attempts: fields.number(4)?,
        failures,
        status: status(&fields, failures)?,
    };
    Ok(ItemRow {
        seq,
        record,
        version: fields.number(2)?,
        crashes: fields.number(9)?,
        run_at: if run_at == 0 { None } else { Some(fields.time(10)?) },
        origin: fields.get::<Option<String>>(11)?.map(ItemId::from),
    })
}

fn status(fields: &Fields<'_>, failures: usize) -> Result<WorkItemStatus, Failure> {
    let kind = status_kind(fields.get(3)?).ok_or_else(|| fields.misfit(3, "no such state"))?;
    Ok(match kind {
        StatusKind::Pending => WorkItemStatus::Pending,
        StatusKind::InProgress => {
            WorkItemStatus::InProgress { agent_id: fields.text(6)?, started_at: fields.time(7)? }
        }
        StatusKind::Completed => WorkItemStatus::Completed { result: fields.json(8, &fields.text(8)?)? },
        StatusKind::Failed => WorkItemStatus::Failed { error: fields.text(6)?, retry_count: failures },
        StatusKind::DeadLettered => WorkItemStatus::DeadLettered {
            error: fields.text(6)?,
            retry_count: failures,
            dlq_at: fields.time(7)?,
        },
    })
}

/// The columns `text` and `at` of a status. What is in progress is stored as pending; a result stands in the history.
pub fn status_columns(status: &WorkItemStatus) -> (Option<&[u8]>, Option<i64>) {
    match status {
        WorkItemStatus::Pending | WorkItemStatus::InProgress { .. } | WorkItemStatus::Completed { .. } => {
            (None, None)
        }
        WorkItemStatus::Failed { error, retry_count: _ } => (Some(error.as_bytes()), None),
        WorkItemStatus::DeadLettered { error, retry_count: _, dlq_at } => {
            (Some(error.as_bytes()), Some(micros(*dlq_at)))
        }
    }
}

/// What [`pending`] reads, in its order.
pub const PENDING: &str =
    "i.seq, i.id, n.version, coalesce(s.attempts, 0), coalesce(s.failures, 0), i.payload";

/// A pending item that is about to be claimed, and its input.
pub fn pending(row: &Row) -> Result<(ItemRow, Payload), Failure> {
    let fields = Fields::of("item", "items", row);
    let record = WorkItemRecord {
        id: fields.get::<String>(1)?.into(),
        attempts: fields.number(3)?,
        failures: fields.number(4)?,
        status: WorkItemStatus::Pending,
    };
    let (seq, version) = (fields.number(0)?, fields.number(2)?);
    let item = ItemRow { seq, record, version, crashes: 0, run_at: None, origin: None };
    Ok((item, payload(row, 5, seq)?))
}

/// An item's input.
pub fn payload(row: &Row, column: usize, of: u64) -> Result<Payload, Failure> {
    let fields = Fields { what: "item", table: "items", number: i64::try_from(of).unwrap_or_default(), row };
    Payload::from_json(fields.get::<&str>(column)?).map_err(|error| fields.misfit(column, error))
}

/// What [`history`] reads, in its order.
pub const HISTORY: &str = "h.seq, h.version, h.event, h.payload, h.at, h.cause";
/// How many columns that is.
pub const AFTER_HISTORY: usize = 6;

pub fn history(row: &Row) -> Result<HistoryRow, Failure> {
    let fields = Fields::of("item", "history", row);
    let kind = event_kind(fields.get(2)?).ok_or_else(|| fields.misfit(2, "no such event"))?;
    let event = match kind {
        EventKind::AgentStart => WorkItemEvent::AgentStart { agent_id: fields.text(3)? },
        EventKind::AgentComplete => {
            WorkItemEvent::AgentComplete { result: fields.json(3, &fields.text(3)?)? }
        }
        EventKind::AgentFailed => WorkItemEvent::AgentFailed { error: fields.text(3)? },
        EventKind::Interrupt => WorkItemEvent::Interrupt,
        EventKind::Retry => WorkItemEvent::Retry,
        EventKind::MoveToDeadLetter => WorkItemEvent::MoveToDeadLetter,
    };
    let cause: Option<&str> = fields.get(5)?;
    let cause = cause.map(|json| fields.json::<Cause>(5, json)).transpose()?;
    Ok(HistoryRow { seq: fields.number(0)?, version: fields.number(1)?, event, at: fields.time(4)?, cause })
}

/// The column `payload` of an event.
pub fn event_payload(event: &WorkItemEvent) -> Option<Cow<'_, [u8]>> {
    match event {
        WorkItemEvent::AgentStart { agent_id } => Some(agent_id.as_bytes().into()),
        WorkItemEvent::AgentComplete { result } => Some(result_json(result).into_bytes().into()),
        WorkItemEvent::AgentFailed { error } => Some(error.as_bytes().into()),
        WorkItemEvent::Interrupt | WorkItemEvent::Retry | WorkItemEvent::MoveToDeadLetter => None,
    }
}

/// What [`attempt`] reads, in its order.
pub const ATTEMPT: &str =
    "seq, attempt, stdout, stdout_blob, stdout_total, stderr, stderr_blob, stderr_total";

pub fn attempt(row: &Row) -> Result<AttemptRow, Failure> {
    let fields = Fields::of("item", "attempts", row);
    let stream = |first: usize| -> Result<Captured, Failure> {
        let kept = match fields.get::<Option<i64>>(first + 1)? {
            Some(_) => Kept::Blob { len: fields.number(first + 1)? },
            None => Kept::Inline(fields.get(first)?),
        };
        Ok(Captured { kept, total: fields.number(first + 2)? })
    };
    let output = AttemptOutput { stdout: stream(2)?, stderr: stream(5)? };
    Ok(AttemptRow { seq: fields.number(0)?, attempt: fields.number(1)?, output })
}

/// The columns of one stream: its bytes, or the length of the blob that holds them.
pub fn stream_columns(stream: &Captured) -> Result<(&[u8], Option<i64>, i64), Failure> {
    let total = number(stream.total)?;
    match &stream.kept {
        Kept::Inline(bytes) => Ok((bytes, None, total)),
        Kept::Blob { len } => Ok((&[], Some(number(*len)?), total)),
    }
}

pub const fn micros(time: DateTime<Utc>) -> i64 {
    time.timestamp_micros()
}

/// A number as PostgreSQL has it.
pub fn number(number: impl TryInto<i64> + Copy + std::fmt::Display) -> Result<i64, Failure> {
    number.try_into().map_err(|_| Failure::Misfit(format!("{number} is too large a number")))
}

/// A bound or a limit: the greatest number that PostgreSQL knows stands for all that are greater.
pub fn bound(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

fn result_json(result: &AgentResult) -> String {
    serde_json::to_string(result).unwrap_or_else(|_| {
        // Only a path that is not UTF-8 cannot be JSON; it is kept as well as JSON can.
        let path = result.worktree_path.as_ref().map(|path| path.to_string_lossy().into_owned().into());
        let lossy = AgentResult { worktree_path: path, ..result.clone() };
        serde_json::to_string(&lossy).expect("text and numbers are JSON")
    })
}

/// The fields of a row. If a value makes no sense, the error says where it is.
pub struct Fields<'r> {
    what: &'static str,
    table: &'static str,
    number: i64,
    row: &'r Row,
}

impl<'r> Fields<'r> {
    /// Those of a row whose first column is its number.
    pub fn of(what: &'static str, table: &'static str, row: &'r Row) -> Self {
        let number = row.try_get(0).unwrap_or_default();
        Self { what, table, number, row }
    }

    pub fn get<T: FromSql<'r>>(&self, column: usize) -> Result<T, Failure> {
        self.row.try_get(column).map_err(|error| {
            let why =
                std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            self.misfit(column, why)
        })
    }

    /// A number that is none below 0.
    pub fn number<T: TryFrom<i64>>(&self, column: usize) -> Result<T, Failure> {
        let value: i64 = self.get(column)?;
        T::try_from(value).map_err(|_| self.misfit(column, format!("{value} is out of range")))
    }

    /// Text that may hold a NUL.
    pub fn text(&self, column: usize) -> Result<String, Failure> {
        String::from_utf8(self.get(column)?).map_err(|error| self.misfit(column, error))
    }

    pub fn time(&self, column: usize) -> Result<DateTime<Utc>, Failure> {
        DateTime::from_timestamp_micros(self.get(column)?).ok_or_else(|| self.misfit(column, "no such time"))
    }

    pub fn json<T: serde::de::DeserializeOwned>(&self, column: usize, json: &str) -> Result<T, Failure> {
        serde_json::from_str(json).map_err(|error| self.misfit(column, error))
    }

    pub fn misfit(&self, column: usize, why: impl std::fmt::Display) -> Failure {
        let Self { what, table, number, row } = self;
        let name = row.columns().get(column).map_or("?", postgres::Column::name);
        Failure::Misfit(format!("{what} {number}: `{table}.{name}`: {why}"))
    }
}
