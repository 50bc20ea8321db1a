// Whoever shares an item cannot change it: the others would hold it in its old state.
// The error names `WorkItem<InProgress>` and `interrupt`.

use std::rc::Rc;

use workitem_typestate::{InProgress, WorkItem};

fn misuse(item: Rc<WorkItem<InProgress>>) {
    let _pending = item.interrupt();
}

fn main() {}
