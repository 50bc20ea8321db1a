// Items of two states do not change places.
// The error names `WorkItem<Completed>` and `WorkItem<Failed>`.

use workitem_typestate::{Completed, Failed, WorkItem};

fn misuse(failed: &mut WorkItem<Failed>, completed: &mut WorkItem<Completed>) {
    std::mem::swap(failed, completed);
}

fn main() {}
