// A pending item has no result: the accessor exists where the data does.
// The error names `WorkItem<Pending>` and `result`.

use workitem_typestate::{Pending, WorkItem};

fn misuse(item: &WorkItem<Pending>) {
    let _result = item.result();
}

fn main() {}
