// There is no item without an id.

use workitem_typestate::{Pending, WorkItem};

fn misuse() {
    let _item = WorkItem::<Pending>::default();
}

fn main() {}
