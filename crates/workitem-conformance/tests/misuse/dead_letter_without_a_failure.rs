// Nothing is given up that has not failed.
// The error names `MoveToDeadLetter` and `InProgress`.

use chrono::{DateTime, Utc};
use workitem_store::Leased;
use workitem_typestate::{InProgress, MoveToDeadLetter};

fn misuse(lease: Leased<InProgress>, now: DateTime<Utc>) {
    let _letter = lease.step(MoveToDeadLetter, now);
}

fn main() {}
