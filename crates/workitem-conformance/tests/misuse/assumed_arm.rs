// An item of unknown state is matched, or asked for with an answer for the case that it is not there.
// The error names `WorkItem<Failed>` and `AnyWorkItem`.

use workitem_typestate::{AnyWorkItem, Failed, WorkItem};

fn misuse(item: AnyWorkItem) {
    let _failed = WorkItem::<Failed>::from(item);
}

fn main() {}
