// What acts on a lease does not take a step that is not durable yet.
// The error names `Leased<InProgress>` and `LeasedStep<InProgress>`.

use workitem_store::{Leased, LeasedStep};
use workitem_typestate::InProgress;

fn spawn(_lease: &Leased<InProgress>) {}

fn misuse(started: LeasedStep<InProgress>) {
    spawn(&started);
}

fn main() {}
