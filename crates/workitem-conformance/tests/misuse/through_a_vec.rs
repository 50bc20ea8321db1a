// An item in a list is moved out before anything happens to it, or the list would keep it too.
// The error names `WorkItem<Pending>` and `start`.

use chrono::{DateTime, Utc};
use workitem_typestate::{Pending, WorkItem};

fn misuse(items: Vec<WorkItem<Pending>>, agent_id: String, now: DateTime<Utc>) {
    let _started = items[0].start(agent_id, now);
}

fn main() {}
