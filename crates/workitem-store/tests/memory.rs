//! The in-memory store keeps the contract.
#![cfg(test)]

use workitem_store::{MemoryStore, Store};

workitem_store::contract_tests!(|| Box::new(MemoryStore::new()));

mod shared {
    use super::MemoryStore;

    workitem_store::contract_tests!(|| Box::new(MemoryStore::shared(chrono::Utc::now)));
}

#[test]
fn two_stores_are_two_and_a_clone_is_the_same() {
    let (one, other) = (MemoryStore::new(), MemoryStore::new());
    assert_ne!(one.identity(), other.identity());
    assert_eq!(one.identity(), one.clone().identity());
}
