// What ends an item can be called once.
// The error names `WorkItem<InProgress>` and `interrupt`.

use workitem_typestate::{InProgress, WorkItem};

fn twice(mut stop: impl FnMut()) {
    stop();
    stop();
}

fn misuse(item: WorkItem<InProgress>) {
    twice(move || {
        let _pending = item.interrupt();
    });
}

fn main() {}
