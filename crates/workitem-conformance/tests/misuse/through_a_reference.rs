// A transition takes the item; whoever only borrows it cannot make one.
// The error names `WorkItem<Pending>` and `start`.

use chrono::{DateTime, Utc};
use workitem_typestate::{Pending, WorkItem};

fn misuse(item: &WorkItem<Pending>, agent_id: String, now: DateTime<Utc>) {
    let _started = item.start(agent_id, now);
}

fn main() {}
