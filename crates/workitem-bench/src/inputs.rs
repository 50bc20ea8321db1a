//! What goes into a life and a refusal, made before anything is counted.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use workitem_types::{
    AgentResult, AgentStatus, CleanupStatus, ItemId, WorkItemEvent, WorkItemRecord, WorkItemStatus,
};

use crate::{Kept, Machine, Outcome, Refusing};

/// The time at which everything happens.
pub const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

/// Everything that a life needs. As a machine it does nothing: it only holds its inputs and drops them.
#[derive(Debug, Clone)]
pub struct Inputs<R = AgentResult> {
    /// The item.
    pub id: ItemId,
    /// Who starts on it.
    pub first_agent: String,
    /// How that ends.
    pub error: String,
    /// Who starts on it again.
    pub second_agent: String,
    /// How that ends.
    pub result: Box<R>,
    /// When all of it happens.
    pub now: DateTime<Utc>,
}

impl<R: DeserializeOwned> Inputs<R> {
    /// The inputs of every life. The result is the same whoever's type it has: all have one JSON.
    ///
    /// # Panics
    ///
    /// If the result's type has another JSON.
    pub fn new() -> Self {
        let result = serde_json::to_value(result()).and_then(serde_json::from_value);
        Self {
            id: "42".into(),
            first_agent: "agent-1".into(),
            error: "exit 7".into(),
            second_agent: "agent-2".into(),
            result: Box::new(result.expect("all have one JSON")),
            now: NOW,
        }
    }
}

impl<R: DeserializeOwned> Default for Inputs<R> {
    fn default() -> Self {
        Self::new()
    }
}

/// A result as an agent hands it back: about 200 bytes of text in nine places.
pub fn result() -> AgentResult {
    AgentResult {
        item_id: "42".into(),
        status: AgentStatus::Success,
        output: Some("14 files changed, 322 insertions(+), 57 deletions(-); all 118 tests pass".into()),
        commits: vec!["8f4c1ad2f0d95b1e6bb0c1f6a6f6f2f59c0ffee0".into()],
        files_modified: vec!["src/lib.rs".into(), "src/main.rs".into()],
        duration: Duration::from_secs(73),
        error: None,
        worktree_path: Some("/work/trees/agent-2".into()),
        branch_name: Some("agent-2/item-42".into()),
        worktree_session_id: Some("session-2041".into()),
        json_log_location: Some("/work/logs/agent-2.json".into()),
        cleanup_status: Some(CleanupStatus::Success),
    }
}

impl Machine for Inputs {
    const ID: &'static str = "inputs";
    const NAME: &'static str = "dropping the inputs";
    const STATUS: &'static [usize] = &[];
    type Result = AgentResult;
    type Completed = Self;

    fn live(inputs: Inputs) -> Self {
        inputs
    }

    fn outcome(inputs: Self) -> Outcome {
        Outcome { id: inputs.id.into_string(), result: *inputs.result, counted: None }
    }
}

/// A failed item, and the completion of the agent that was thought to have failed. As a machine it does nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Late {
    /// The item.
    pub item: WorkItemRecord,
    /// What is not legal any more.
    pub event: WorkItemEvent,
}

impl Late {
    /// The item and the event of every refusal.
    pub fn new() -> Self {
        let status = WorkItemStatus::Failed { error: "exit 7".into(), retry_count: 1 };
        Self {
            item: WorkItemRecord { id: "42".into(), attempts: 1, failures: 1, status },
            event: WorkItemEvent::AgentComplete { result: Box::new(result()) },
        }
    }
}

impl Default for Late {
    fn default() -> Self {
        Self::new()
    }
}

impl Refusing for Late {
    const ID: &'static str = "late_inputs";
    const NAME: &'static str = "dropping item and event";
    type Late = Self;
    type Left = Self;

    fn late() -> Self {
        Self::new()
    }

    fn refuse(late: Self) -> Self {
        late
    }

    fn kept(left: Self) -> Kept {
        let Self { item, event } = Self::new();
        Kept { item: left.item == item, event: left.event == event, message: String::new() }
    }
}
