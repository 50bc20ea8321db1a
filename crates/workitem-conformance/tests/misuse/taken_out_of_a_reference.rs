// There is no item that could be left in the place of one that is taken.
// The error names `WorkItem<Pending>` and `take`.

use workitem_typestate::{Pending, WorkItem};

fn misuse(item: &mut WorkItem<Pending>) {
    let _taken: WorkItem<Pending> = std::mem::take(item);
}

fn main() {}
