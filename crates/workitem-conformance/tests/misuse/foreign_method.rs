// A state gets no further methods from outside.

use workitem_typestate::{Completed, WorkItem};

impl WorkItem<Completed> {
    fn reopen(self) {}
}

fn main() {}
