// There are seven rules: a known event cannot be made legal outside where it is not.
// The error names `LegalIn<Completed> for Retry` and `only traits defined in the current crate`.

use chrono::{DateTime, Utc};
use workitem_typestate::{Completed, LegalIn, Pending, Retry, WorkItem};

impl LegalIn<Completed> for Retry {
    type Next = Pending;

    fn happen_to(self, _item: WorkItem<Completed>, _now: DateTime<Utc>) -> WorkItem<Pending> {
        WorkItem::new("42")
    }
}

fn main() {}
