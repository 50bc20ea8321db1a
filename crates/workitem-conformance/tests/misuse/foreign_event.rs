// There are six events: `LegalIn` cannot be implemented outside for a seventh.
// The error names `LegalIn<Completed> for Reopen` and `Sealed`.

use chrono::{DateTime, Utc};
use workitem_typestate::{Completed, LegalIn, Pending, WorkItem};

struct Reopen;

impl LegalIn<Completed> for Reopen {
    type Next = Pending;

    fn happen_to(self, _item: WorkItem<Completed>, _now: DateTime<Utc>) -> WorkItem<Pending> {
        WorkItem::new("42")
    }
}

fn main() {}
