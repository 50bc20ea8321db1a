// A state gets no further methods from outside.
// The error names `impl WorkItem<Completed>` and `cannot define inherent`.

use workitem_typestate::{Completed, WorkItem};

impl WorkItem<Completed> {
    fn reopen(self) {}
}

fn main() {}
