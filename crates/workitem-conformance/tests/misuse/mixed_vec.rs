// A list of items of one state holds no other; `AnyWorkItem` is for that.
// The error names `WorkItem<Pending>` and `WorkItem<Failed>`.

use workitem_typestate::{Failed, Pending, WorkItem};

fn misuse(mut items: Vec<WorkItem<Pending>>, failed: WorkItem<Failed>) {
    items.push(failed);
}

fn main() {}
