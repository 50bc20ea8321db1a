// A step cannot be made by hand: it is the witness that its transitions happened.
// The error names `Step` and `StatusKind::InProgress`.

use workitem_typestate::{Completed, Step, WorkItem};
use workitem_types::StatusKind;

fn misuse(item: WorkItem<Completed>) {
    let _step = Step { item, from: StatusKind::InProgress, events: Vec::new() };
}

fn main() {}
