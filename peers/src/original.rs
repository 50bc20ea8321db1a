//! The state machine of `prodigy` 0.4.4, gathered from where it keeps it.

pub use prodigy::cook::execution::mapreduce::agent::types::{AgentResult, AgentStatus, CleanupStatus};
pub use prodigy::cook::execution::mapreduce::checkpoint::pure::state_transitions::{
    StatusCounts, TransitionError, WorkItemEvent, WorkItemStatus, apply_interrupt_to_all, count_by_status,
    transition_work_item,
};
