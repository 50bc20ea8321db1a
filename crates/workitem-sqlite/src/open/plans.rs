//! How SQLite answers each statement that the contract makes the engine run. A plan that is not pinned to
//! its index may walk the whole job for every row, which no small test would notice.

use std::collections::BTreeSet;
use std::ops::Deref;
use std::sync::{Arc, Mutex};

use rusqlite::trace::{TraceEvent, TraceEventCodes};
use tempfile::TempDir;

use super::{SqliteStore, lock};

/// What may look at all rows of a job, or sort them.
const WALKS: [&str; 16] = [
    // These take one step, from an end of the index.
    "SELECT coalesce(max(seq), 0) FROM items",
    "SELECT run_at FROM items INDEXED BY items_due",
    "SELECT seq FROM sqlite_sequence",
    "SELECT min(",
    // These want all that the index or the table has.
    "FROM items i INDEXED BY items_abandoned",
    "FROM skipped",
    "FROM jobs ORDER BY id",
    "DELETE FROM",
    "SELECT seq FROM items t",
    "SELECT seq FROM payloads t",
    "SELECT max(at) FROM history",
    "SELECT coalesce(sum(octet_length",
    "SELECT coalesce(sum(16 +",
    "SELECT coalesce(sum(48 +",
    "SELECT status, count(*) FROM items",
    "SELECT count(*) FROM items l INDEXED BY items_dead",
];

/// A store that looks at the plans of all that was asked of it when it is dropped.
struct Watched {
    store: SqliteStore,
    statements: Arc<Mutex<BTreeSet<String>>>,
    _folder: TempDir,
}

impl Deref for Watched {
    type Target = SqliteStore;

    fn deref(&self) -> &SqliteStore {
        &self.store
    }
}

fn watched() -> Watched {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::create(&folder.path().join("workitem.db")).unwrap();
    let statements = Arc::new(Mutex::new(BTreeSet::new()));
    for connection in [&store.writer, &store.reader] {
        let seen = statements.clone();
        let note = move |event: TraceEvent<'_>| {
            if let TraceEvent::Stmt(_, sql) = event {
                seen.lock().unwrap().insert(sql.to_owned());
            }
        };
        lock(connection).trace_v2(TraceEventCodes::SQLITE_TRACE_STMT, Some(note)).unwrap();
    }
    Watched { store, statements, _folder: folder }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let statements = std::mem::take(&mut *self.statements.lock().unwrap());
        for statement in &statements {
            let may_walk = WALKS.iter().any(|walk| statement.contains(walk));
            for (nth, step) in self.plan(statement).into_iter().enumerate() {
                // What is inside a loop never may: it would walk once for every row.
                let walks = step.starts_with("SCAN ") || step.ends_with("(job=?)");
                let sorts = step.contains("TEMP B-TREE");
                assert!(!walks || may_walk && nth == 0, "{step}\n{statement}");
                assert!(!sorts || may_walk, "{step}\n{statement}");
            }
        }
    }
}

impl Watched {
    fn plan(&self, statement: &str) -> Vec<String> {
        let connection = lock(&self.store.reader);
        let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).unwrap();
        let lines = explain.raw_query().mapped(|row| row.get("detail")).collect::<Result<_, _>>();
        lines.unwrap()
    }
}

workitem_store::contract_tests!(watched);
