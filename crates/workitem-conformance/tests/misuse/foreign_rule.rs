// There are seven rules: a known event cannot be made legal outside where it is not.

use chrono::{DateTime, Utc};
use workitem_typestate::{Completed, LegalIn, Pending, Retry, WorkItem};

impl LegalIn<Completed> for Retry {
    type Next = Pending;

    fn happen_to(self, _item: WorkItem<Completed>, _now: DateTime<Utc>) -> WorkItem<Pending> {
        WorkItem::new("42")
    }
}

fn main() {}
