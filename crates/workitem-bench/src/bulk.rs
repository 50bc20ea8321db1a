//! Many statuses, of all five kinds, in an order that no branch predictor could learn.

use std::time::Duration;

use workitem_types::{AgentResult, WorkItemStatus};

use crate::NOW;

/// `count` statuses, the same for every caller.
pub fn statuses(count: usize) -> impl Iterator<Item = WorkItemStatus> {
    // Xorshift: small, and its low bits are good enough to pick one of five.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    (0..count).map(move |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        status(state % 5)
    })
}

/// `count` statuses with their ids.
pub fn pairs(count: usize) -> impl Iterator<Item = (String, WorkItemStatus)> {
    statuses(count).enumerate().map(|(id, status)| (id.to_string(), status))
}

fn status(kind: u64) -> WorkItemStatus {
    match kind {
        0 => WorkItemStatus::Pending,
        1 => WorkItemStatus::InProgress { agent_id: "agent-1".into(), started_at: NOW },
        // Millions of these are made: what is in the box is never looked at.
        2 => WorkItemStatus::Completed {
            result: Box::new(AgentResult::success(String::new(), None, Duration::ZERO)),
        },
        3 => WorkItemStatus::Failed { error: "exit 7".into(), retry_count: 1 },
        _ => WorkItemStatus::DeadLettered { error: "exit 7".into(), retry_count: 3, dlq_at: NOW },
    }
}
