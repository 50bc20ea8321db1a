// An item that is not used is forgotten, and the compiler says so.
// The error names `WorkItem::<Pending>::start` and `must be used`.

#![deny(unused_must_use)]

use chrono::{DateTime, Utc};
use workitem_typestate::{Pending, WorkItem};

fn misuse(item: WorkItem<Pending>, now: DateTime<Utc>) {
    WorkItem::<Pending>::start(item, "agent-1", now);
}

fn main() {}
