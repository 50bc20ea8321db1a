// An item completes once: completing consumes it.
// The error names `WorkItem<InProgress>` and `complete`.

use workitem_types::AgentResult;
use workitem_typestate::{InProgress, WorkItem};

fn misuse(item: WorkItem<InProgress>, result: Box<AgentResult>, other: Box<AgentResult>) {
    let _completed = item.complete(result);
    let _again = item.complete(other);
}

fn main() {}
