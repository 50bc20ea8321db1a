//! The embedded store keeps the contract.
#![cfg(test)]

use std::ops::Deref;

use tempfile::TempDir;
use workitem_sqlite::SqliteStore;

/// A store that takes its folder with it.
struct Throwaway {
    store: SqliteStore,
    _folder: TempDir,
}

impl Deref for Throwaway {
    type Target = SqliteStore;

    fn deref(&self) -> &SqliteStore {
        &self.store
    }
}

fn throwaway() -> Throwaway {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::create(&folder.path().join("deep/er/workitem.db")).unwrap();
    Throwaway { store, _folder: folder }
}

workitem_store::contract_tests!(throwaway);
