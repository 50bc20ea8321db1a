// A step takes the events that are legal in the item's state.
// The error names `MoveToDeadLetter` and `Pending`.

use chrono::{DateTime, Utc};
use workitem_typestate::{MoveToDeadLetter, Pending, WorkItem};

fn misuse(item: WorkItem<Pending>, event: MoveToDeadLetter, now: DateTime<Utc>) {
    let _step = item.step(event, now);
}

fn main() {}
