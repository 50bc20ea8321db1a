//! 180 answers of the original, `prodigy` 0.4.4: six samples of each of the thirty cells.
//!
//! Each line of `vectors/original-grid.jsonl` has a status, an event, what the original made of them (`NOW`
//! stands for the time of the call), and what its observers said of the status; `can_retry` was asked with
//! 0, 1, 2, 3 and 4. `cargo xtask peers` asks the original again.

use serde_json::Value;
use workitem_types::{WorkItemEvent, WorkItemStatus};

/// The answers as they are kept, one a line.
pub const GRID: &str = include_str!("../vectors/original-grid.jsonl");

/// What the original says of one event in one status.
#[derive(Debug)]
pub struct Answer {
    /// Where it stands in [`GRID`], the first line being 1.
    pub line: usize,
    /// The status, as it is written.
    pub from_json: Value,
    /// The status.
    pub from: WorkItemStatus,
    /// The event, as it is written.
    pub event_json: Value,
    /// The event.
    pub event: WorkItemEvent,
    /// `"rejected"`, or under `ok` the next status, as it is written.
    pub result: Value,
    /// What it says of the status.
    pub observers: Value,
}

/// Every answer.
///
/// # Panics
///
/// If a line cannot be understood.
pub fn grid() -> Vec<Answer> {
    let parse = |line: usize, text: &str| -> serde_json::Result<Answer> {
        let mut cell: Value = serde_json::from_str(text)?;
        let (from_json, event_json) = (cell["from"].take(), cell["event"].take());
        Ok(Answer {
            line,
            from: serde_json::from_value(from_json.clone())?,
            event: serde_json::from_value(event_json.clone())?,
            from_json,
            event_json,
            result: cell["result"].take(),
            observers: cell["observers"].take(),
        })
    };
    let lines = (1..).zip(GRID.lines());
    lines
        .map(|(line, text)| parse(line, text).unwrap_or_else(|error| panic!("line {line}: {error}")))
        .collect()
}
