// An item's counters cannot be changed around its methods.

use workitem_typestate::{Failed, WorkItem};

fn misuse(mut item: WorkItem<Failed>) {
    item.failures = 0;
}

fn main() {}
