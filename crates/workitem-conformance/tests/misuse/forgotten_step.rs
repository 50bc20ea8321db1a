// A step that is not recorded never happened, and the compiler says so.
// The error names `WorkItem::<InProgress>::step` and `must be used`.

#![deny(unused_must_use)]

use chrono::{DateTime, Utc};
use workitem_typestate::{InProgress, Interrupt, WorkItem};

fn misuse(item: WorkItem<InProgress>, now: DateTime<Utc>) {
    WorkItem::<InProgress>::step(item, Interrupt, now);
}

fn main() {}
