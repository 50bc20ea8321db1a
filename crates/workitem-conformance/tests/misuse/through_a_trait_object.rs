// An object that can be retried is made of a failed item, and of no other.
// The error names `WorkItem<Completed>` and `Retriable`.

use workitem_typestate::{Completed, Failed, Pending, WorkItem};

trait Retriable {
    fn again(self: Box<Self>) -> WorkItem<Pending>;
}

impl Retriable for WorkItem<Failed> {
    fn again(self: Box<Self>) -> WorkItem<Pending> {
        self.retry()
    }
}

fn misuse(item: Box<WorkItem<Completed>>) -> WorkItem<Pending> {
    let object: Box<dyn Retriable> = item;
    object.again()
}

fn main() {}
