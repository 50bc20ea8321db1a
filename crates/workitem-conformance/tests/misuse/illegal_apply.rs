// `apply` takes the events that are legal in the item's state, and the error says which one is not.

use chrono::{DateTime, Utc};
use workitem_typestate::{Completed, Retry, WorkItem};

fn misuse(item: WorkItem<Completed>, event: Retry, now: DateTime<Utc>) {
    let _next = item.apply(event, now);
}

fn main() {}
