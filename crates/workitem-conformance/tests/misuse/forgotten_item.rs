// An item that is not used is forgotten, and the compiler says so.

#![deny(unused_must_use)]

use chrono::{DateTime, Utc};
use workitem_typestate::{Pending, WorkItem};

fn misuse(item: WorkItem<Pending>, now: DateTime<Utc>) {
    item.start("agent-1", now);
}

fn main() {}
