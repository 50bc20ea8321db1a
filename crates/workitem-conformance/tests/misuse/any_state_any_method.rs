// Generic code has what every state has; a method of one state is not among it.
// The error names `WorkItem<S>` and `retry`.

use workitem_typestate::{State, WorkItem};

fn misuse<S: State>(item: WorkItem<S>) {
    let _next = item.retry();
}

fn main() {}
