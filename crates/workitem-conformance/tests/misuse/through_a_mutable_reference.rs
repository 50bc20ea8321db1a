// Not even whoever may change the item can take it and leave nothing behind.
// The error names `WorkItem<Failed>` and `retry`.

use workitem_typestate::{Failed, WorkItem};

fn misuse(item: &mut WorkItem<Failed>) {
    let _pending = item.retry();
}

fn main() {}
