//! The in-memory store keeps the contract.
#![cfg(test)]

use workitem_store::MemoryStore;

workitem_store::contract_tests!(|| Box::new(MemoryStore::new()));
