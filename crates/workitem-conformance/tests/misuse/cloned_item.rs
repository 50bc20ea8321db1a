// An item is one value: two of them would be run twice.
// The error names `WorkItem<Pending>` and `clone`.

use workitem_typestate::{Pending, WorkItem};

fn misuse(item: WorkItem<Pending>) {
    let _twin = item.clone();
}

fn main() {}
