//! Values of the one crate as values of the other.
//!
//! Nothing goes through JSON, or a comparison of JSON would compare nothing. Every field is named and no pattern
//! has a `..`: a field or a variant that one of the two does not have does not compile.

/// Both directions have one text; what differs is which crate's types it speaks of.
macro_rules! translation {
    ($(#[$doc:meta])* $name:ident: $from:ident -> $to:ident) => {
        $(#[$doc])*
        pub mod $name {
            use crate::{$from as from, $to as to};

            /// A status.
            pub fn status(status: from::WorkItemStatus) -> to::WorkItemStatus {
                match status {
                    from::WorkItemStatus::Pending => to::WorkItemStatus::Pending,
                    from::WorkItemStatus::InProgress { agent_id, started_at } => {
                        to::WorkItemStatus::InProgress { agent_id, started_at }
                    }
                    from::WorkItemStatus::Completed { result: done } => {
                        to::WorkItemStatus::Completed { result: Box::new(result(*done)) }
                    }
                    from::WorkItemStatus::Failed { error, retry_count } => {
                        to::WorkItemStatus::Failed { error, retry_count }
                    }
                    from::WorkItemStatus::DeadLettered { error, retry_count, dlq_at } => {
                        to::WorkItemStatus::DeadLettered { error, retry_count, dlq_at }
                    }
                }
            }

            /// An event.
            pub fn event(event: from::WorkItemEvent) -> to::WorkItemEvent {
                match event {
                    from::WorkItemEvent::AgentStart { agent_id } => to::WorkItemEvent::AgentStart { agent_id },
                    from::WorkItemEvent::AgentComplete { result: done } => {
                        to::WorkItemEvent::AgentComplete { result: Box::new(result(*done)) }
                    }
                    from::WorkItemEvent::AgentFailed { error } => to::WorkItemEvent::AgentFailed { error },
                    from::WorkItemEvent::Interrupt => to::WorkItemEvent::Interrupt,
                    from::WorkItemEvent::Retry => to::WorkItemEvent::Retry,
                    from::WorkItemEvent::MoveToDeadLetter => to::WorkItemEvent::MoveToDeadLetter,
                }
            }

            /// A result.
            pub fn result(result: from::AgentResult) -> to::AgentResult {
                let from::AgentResult {
                    item_id,
                    status,
                    output,
                    commits,
                    files_modified,
                    duration,
                    error,
                    worktree_path,
                    branch_name,
                    worktree_session_id,
                    json_log_location,
                    cleanup_status,
                } = result;
                to::AgentResult {
                    item_id,
                    status: agent_status(status),
                    output,
                    commits,
                    files_modified,
                    duration,
                    error,
                    worktree_path,
                    branch_name,
                    worktree_session_id,
                    json_log_location,
                    cleanup_status: cleanup_status.map(self::cleanup_status),
                }
            }

            /// How an agent's run stands.
            pub fn agent_status(status: from::AgentStatus) -> to::AgentStatus {
                match status {
                    from::AgentStatus::Pending => to::AgentStatus::Pending,
                    from::AgentStatus::Running => to::AgentStatus::Running,
                    from::AgentStatus::Success => to::AgentStatus::Success,
                    from::AgentStatus::Failed(error) => to::AgentStatus::Failed(error),
                    from::AgentStatus::Timeout => to::AgentStatus::Timeout,
                    from::AgentStatus::Retrying(retry) => to::AgentStatus::Retrying(retry),
                }
            }

            /// What became of an agent's surroundings.
            pub fn cleanup_status(status: from::CleanupStatus) -> to::CleanupStatus {
                match status {
                    from::CleanupStatus::Success => to::CleanupStatus::Success,
                    from::CleanupStatus::Failed(error) => to::CleanupStatus::Failed(error),
                    from::CleanupStatus::Skipped => to::CleanupStatus::Skipped,
                }
            }

            /// Numbers of items.
            pub fn counts(counts: from::StatusCounts) -> to::StatusCounts {
                let from::StatusCounts { pending, in_progress, completed, failed, dead_lettered } = counts;
                to::StatusCounts { pending, in_progress, completed, failed, dead_lettered }
            }
        }
    };
}

translation!(
    /// Values of `workitem-dynamic` as values of the original.
    to_original: ours -> original
);

translation!(
    /// Values of the original as values of `workitem-dynamic`.
    to_ours: original -> ours
);
