// A step alone is not written either: it goes with the token of its claim.
// The error names `LeasedStep<Completed>` and `Step<Completed>`.

use workitem_store::{Store, StoreExt};
use workitem_typestate::{Completed, Step};

fn misuse(store: &dyn Store, step: Step<Completed>) {
    let _lease = store.commit::<Completed>(step);
}

fn main() {}
