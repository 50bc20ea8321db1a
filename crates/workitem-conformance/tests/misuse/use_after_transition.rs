// A transition consumes the item: what it was before cannot be used again.
// The error names `WorkItem<Pending>` and `start`.

use chrono::{DateTime, Utc};
use workitem_typestate::{Pending, WorkItem};

fn misuse(item: WorkItem<Pending>, now: DateTime<Utc>) {
    let _started = item.start("agent-1", now);
    let _again = item.start("agent-2", now);
}

fn main() {}
