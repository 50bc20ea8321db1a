// An item cannot be written down as a struct literal: its fields are private.
// The error names `WorkItem<Pending>` and `private field`.

use workitem_typestate::{Pending, WorkItem};

fn misuse(state: Pending) {
    let _item: WorkItem<Pending> = WorkItem { id: "42".into(), attempts: 0, failures: 0, state };
}

fn main() {}
