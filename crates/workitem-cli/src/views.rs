//! What commands show of jobs and items, for people and as JSON. The JSON is stable: fields are only added.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use workitem_orchestrator::now;
use workitem_store::{Control, HistoryRow, ItemRow, Job, JobCounts, Store, StoreError};
use workitem_types::{StatusCounts, WorkItemEvent, WorkItemStatus};

use crate::text::one_line;

/// Most characters of an error or result in a line for people.
const WIDTH: usize = 100;

/// Where a job stands. Found out by looking, so that a crash cannot leave it wrong.
pub fn job_state(store: &dyn Store, job: &Job, counts: &JobCounts) -> Result<&'static str, StoreError> {
    if !job.is_sealed() {
        return Ok("submitting");
    }
    if counts.is_finished() {
        return Ok("finished");
    }
    Ok(match store.control(job.id)? {
        Control::Cancel => "cancelled",
        Control::Pause => "paused",
        Control::Run if store.running(job)?.is_some() => "running",
        Control::Run => "interrupted",
    })
}

/// Counts by state, with their total.
pub fn counts_json(counts: &StatusCounts) -> Value {
    json!({
        "pending": counts.pending,
        "in_progress": counts.in_progress,
        "completed": counts.completed,
        "failed": counts.failed,
        "dead_lettered": counts.dead_lettered,
        "total": counts.total(),
    })
}

/// An item.
pub fn item_json(row: &ItemRow) -> Value {
    json!({
        "id": row.record.id,
        "attempts": row.record.attempts,
        "failures": row.record.failures,
        "status": row.record.status,
        "crashes": row.crashes,
        "run_at": put_off_until(row),
        "origin": row.origin,
    })
}

/// When a pending item's next attempt is due, if that is still to come.
fn put_off_until(row: &ItemRow) -> Option<DateTime<Utc>> {
    row.run_at.filter(|run_at| *run_at > now())
}

/// An item in a line.
pub fn item_line(row: &ItemRow) -> String {
    let detail = match &row.record.status {
        WorkItemStatus::Pending => match put_off_until(row) {
            Some(run_at) => format!("waits until {}", run_at.format("%F %T UTC")),
            None => String::new(),
        },
        WorkItemStatus::InProgress { started_at, .. } => format!("since {}", started_at.format("%F %T UTC")),
        WorkItemStatus::Completed { result } => format!("took {}", crate::durations::short(result.duration)),
        WorkItemStatus::Failed { error, .. } | WorkItemStatus::DeadLettered { error, .. } => {
            one_line(error, WIDTH)
        }
    };
    let (id, kind) = (one_line(row.record.id.as_str(), WIDTH), row.record.status.kind().name());
    let line = format!("{id}\t{kind}\t{}\t{detail}", row.record.attempts);
    line.trim_end().to_owned()
}

/// An event.
pub fn event_json(row: &HistoryRow) -> Value {
    json!({ "version": row.version, "at": row.at, "event": row.event, "cause": row.cause })
}

/// An event in a line.
pub fn event_line(row: &HistoryRow) -> String {
    let detail = match &row.event {
        WorkItemEvent::AgentStart { agent_id } => format!("by {}", one_line(agent_id, WIDTH)),
        WorkItemEvent::AgentComplete { result } => {
            format!("took {}", crate::durations::short(result.duration))
        }
        WorkItemEvent::AgentFailed { error } => one_line(error, WIDTH),
        WorkItemEvent::Interrupt => row.cause.map(|cause| format!("by {cause}")).unwrap_or_default(),
        WorkItemEvent::Retry | WorkItemEvent::MoveToDeadLetter => String::new(),
    };
    let at = row.at.format("%F %T%.3f UTC");
    format!("{}\t{at}\t{}\t{detail}", row.version, row.event.kind()).trim_end().to_owned()
}
