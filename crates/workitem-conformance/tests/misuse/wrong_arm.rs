// An item goes into the arm of its own state.
// The error names `WorkItem<Completed>` and `WorkItem<InProgress>`.

use workitem_typestate::{AnyWorkItem, InProgress, WorkItem};

fn misuse(item: WorkItem<InProgress>) {
    let _any: AnyWorkItem = AnyWorkItem::Completed(item);
}

fn main() {}
