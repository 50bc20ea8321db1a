// Generic code says which events it makes happen: not every event is legal in every state.
// The error names `Retry` and `work item in state`.

use chrono::{DateTime, Utc};
use workitem_typestate::{Retry, State, WorkItem};

fn misuse<S: State>(item: WorkItem<S>, event: Retry, now: DateTime<Utc>) {
    let _next = item.apply(event, now);
}

fn main() {}
