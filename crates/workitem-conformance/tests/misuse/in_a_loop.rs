// An item is started once, not once a round.
// The error names `WorkItem<Pending>` and `start`.

use chrono::{DateTime, Utc};
use workitem_typestate::{Pending, WorkItem};

fn misuse(item: WorkItem<Pending>, agents: &[&str], now: DateTime<Utc>) {
    for &agent_id in agents {
        let _started = item.start(agent_id, now);
    }
}

fn main() {}
