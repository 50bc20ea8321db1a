// An event leads where it leads, whatever the caller would like.
// The error names `WorkItem<Completed>` and `WorkItem<Pending>`.

use chrono::{DateTime, Utc};
use workitem_typestate::{Completed, InProgress, Interrupt, WorkItem};

fn misuse(item: WorkItem<InProgress>, event: Interrupt, now: DateTime<Utc>) {
    let _done: WorkItem<Completed> = item.apply(event, now);
}

fn main() {}
