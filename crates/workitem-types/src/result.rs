//! What an agent hands back.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What became of the agent's surroundings after it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CleanupStatus {
    /// Cleaned up.
    Success,
    /// Could not be cleaned up, and why.
    Failed(String),
    /// Left as it was.
    Skipped,
}

/// How an agent's run stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AgentStatus {
    /// Not started.
    Pending,
    /// Running.
    Running,
    /// Succeeded.
    Success,
    /// Failed, and why.
    Failed(String),
    /// Ran out of time.
    Timeout,
    /// Running again; the number of the retry.
    Retrying(u32),
}

/// The result of one agent's work on one item.
///
/// Fields and JSON are the original's; what is absent is left out of the JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentResult {
    /// The item worked on.
    pub item_id: String,
    /// How the run ended.
    pub status: AgentStatus,
    /// What the agent printed or returned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Commits it made.
    #[serde(default)]
    pub commits: Vec<String>,
    /// Files it changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files_modified: Vec<String>,
    /// How long it ran.
    pub duration: Duration,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Where it worked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worktree_path: Option<PathBuf>,
    /// The branch it worked on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch_name: Option<String>,
    /// The session its surroundings belong to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worktree_session_id: Option<String>,
    /// Where its own log is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json_log_location: Option<String>,
    /// What became of its surroundings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cleanup_status: Option<CleanupStatus>,
}

impl AgentResult {
    /// A success that took `duration`.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use workitem_types::AgentResult;
    /// let result = AgentResult::success("42".into(), Some("done".into()), Duration::from_secs(3));
    /// assert!(result.is_success());
    /// ```
    pub const fn success(item_id: String, output: Option<String>, duration: Duration) -> Self {
        Self {
            item_id,
            status: AgentStatus::Success,
            output,
            commits: Vec::new(),
            files_modified: Vec::new(),
            duration,
            error: None,
            worktree_path: None,
            branch_name: None,
            worktree_session_id: None,
            json_log_location: None,
            cleanup_status: None,
        }
    }

    /// A failure after `duration`; the error stands in `status` and in `error`.
    pub fn failed(item_id: String, error: String, duration: Duration) -> Self {
        Self {
            status: AgentStatus::Failed(error.clone()),
            error: Some(error),
            ..Self::success(item_id, None, duration)
        }
    }

    /// Whether the run succeeded.
    pub const fn is_success(&self) -> bool {
        match self.status {
            AgentStatus::Success => true,
            AgentStatus::Pending
            | AgentStatus::Running
            | AgentStatus::Failed(_)
            | AgentStatus::Timeout
            | AgentStatus::Retrying(_) => false,
        }
    }

    /// Whether the run failed or ran out of time.
    pub const fn is_failure(&self) -> bool {
        match self.status {
            AgentStatus::Failed(_) | AgentStatus::Timeout => true,
            AgentStatus::Pending | AgentStatus::Running | AgentStatus::Success | AgentStatus::Retrying(_) => {
                false
            }
        }
    }
}
