// A store does not take records: anyone can write one down.
// The error names `LeasedStep<Completed>` and `WorkItemRecord`.

use workitem_store::{Store, StoreExt};
use workitem_types::WorkItemRecord;
use workitem_typestate::Completed;

fn misuse(store: &dyn Store, record: WorkItemRecord) {
    let _lease = store.commit::<Completed>(record);
}

fn main() {}
