// An item cannot be taken apart, and so not be put together in another state.
// The error names `WorkItem::<DeadLettered>` and `private field`.

use workitem_typestate::{DeadLettered, WorkItem};

fn misuse(item: WorkItem<DeadLettered>) {
    let WorkItem::<DeadLettered> { state: _state, .. } = item;
}

fn main() {}
