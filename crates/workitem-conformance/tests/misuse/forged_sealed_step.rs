// A sealed step cannot be made by hand either.
// The error names `SealedStep` and `StatusKind::Pending`.

use workitem_typestate::SealedStep;
use workitem_types::{StatusKind, WorkItemRecord};

fn misuse(record: WorkItemRecord) {
    let _step = SealedStep { record, from: StatusKind::Pending, events: Vec::new() };
}

fn main() {}
