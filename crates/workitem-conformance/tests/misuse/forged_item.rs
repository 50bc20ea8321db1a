// An item cannot be written down as a struct literal: its fields are private.

use workitem_typestate::{Pending, WorkItem};

fn misuse(state: Pending) {
    let _item = WorkItem { id: "42".into(), attempts: 0, failures: 0, state };
}

fn main() {}
