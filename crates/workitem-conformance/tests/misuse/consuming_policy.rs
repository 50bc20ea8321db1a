// A policy looks at the failed item; what becomes of it is not its to do.
// The error names `WorkItem<Failed>` and `retry`.

use workitem_typestate::{Failed, RetryPolicy, WorkItem};

struct Hasty;

impl RetryPolicy for Hasty {
    fn should_retry(&self, item: &WorkItem<Failed>) -> bool {
        item.retry().attempts() < 3
    }
}

fn main() {}
