// A function that promises one state does not return another.
// The error names `WorkItem<Pending>` and `WorkItem<Failed>`.

use workitem_typestate::{Failed, InProgress, Pending, WorkItem};

fn misuse(item: WorkItem<InProgress>, error: String) -> WorkItem<Pending> {
    let failed: WorkItem<Failed> = item.fail(error);
    failed
}

fn main() {}
