// An item does not come from JSON unchecked: the door in is `AnyWorkItem::rehydrate`.
// The error names `WorkItem<Completed>` and `DeserializeOwned`.

use serde::de::DeserializeOwned;
use workitem_typestate::{Completed, WorkItem};

fn read<T: DeserializeOwned>() {}

fn misuse() {
    read::<WorkItem<Completed>>();
}

fn main() {}
