// A record does not become an item in a state of one's choice: it is checked and matched.
// The error names `WorkItem<Pending>` and `From<WorkItemRecord>`.

use workitem_types::WorkItemRecord;
use workitem_typestate::{Pending, WorkItem};

fn misuse(record: WorkItemRecord) {
    let _item: WorkItem<Pending> = record.into();
}

fn main() {}
