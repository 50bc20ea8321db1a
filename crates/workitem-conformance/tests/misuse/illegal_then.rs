// A step goes on from the state it led to, not from the one it left.
// The error names `Interrupt` and `Pending`.

use chrono::{DateTime, Utc};
use workitem_typestate::{InProgress, Interrupt, Pending, Step, WorkItem};

fn misuse(item: WorkItem<InProgress>, now: DateTime<Utc>) {
    let step: Step<Pending> = item.step(Interrupt, now);
    let _further = step.then(Interrupt, now);
}

fn main() {}
