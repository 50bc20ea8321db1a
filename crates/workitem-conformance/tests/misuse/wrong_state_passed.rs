// A function that wants one state does not take another.
// The error names `WorkItem<Completed>` and `WorkItem<InProgress>`.

use workitem_typestate::{Completed, InProgress, WorkItem};

fn publish(_item: WorkItem<Completed>) {}

fn misuse(item: WorkItem<InProgress>) {
    publish(item);
}

fn main() {}
