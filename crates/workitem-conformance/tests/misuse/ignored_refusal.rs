// A store may refuse a step: the next lease is in a result that says so.
// The error names `Leased<Completed>` and `Result<Leased<Completed>, StoreError>`.

use workitem_store::{Leased, LeasedStep, Store, StoreExt};
use workitem_typestate::Completed;

fn misuse(store: &dyn Store, step: LeasedStep<Completed>) -> Leased<Completed> {
    store.commit(step)
}

fn main() {}
