// An item's counters cannot be changed around its methods.
// The error names `WorkItem::<Failed>` and `private field`.

use workitem_typestate::{Failed, WorkItem};

fn misuse(item: WorkItem<Failed>) {
    let _item = WorkItem::<Failed> { failures: 0, ..item };
}

fn main() {}
