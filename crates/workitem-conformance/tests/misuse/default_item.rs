// There is no item without an id.
// The error names `WorkItem<Pending>` and `default`.

use workitem_typestate::{Pending, WorkItem};

fn misuse() {
    let _item = WorkItem::<Pending>::default();
}

fn main() {}
