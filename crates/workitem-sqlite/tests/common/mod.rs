//! A store with a job in it.
#![allow(dead_code, reason = "no test uses all of it")]

use std::path::Path;

use rusqlite::Connection;
use serde_json::Value;
use workitem_sqlite::SqliteStore;
use workitem_store::{Job, NewItem, NewJob, Store};

pub fn with_job(path: &Path) -> (SqliteStore, Job) {
    with_items(path, 5)
}

pub fn with_items(path: &Path, items: usize) -> (SqliteStore, Job) {
    let store = SqliteStore::create(path).unwrap();
    let now = chrono::DateTime::UNIX_EPOCH;
    let job = store.create_job(&NewJob { name: Some("job".into()), spec: Value::Null, now }).unwrap();
    let items: Vec<NewItem> =
        (1..=items).map(|n| NewItem { id: n.to_string().into(), payload: "input".into() }).collect();
    store.submit(job.id, &items).unwrap();
    store.seal(job.id, "digest").unwrap();
    (store, job)
}

pub fn common_runner() -> workitem_store::Runner {
    let since = chrono::DateTime::UNIX_EPOCH;
    workitem_store::Runner { process: std::process::id(), since, settled_before: 0 }
}

pub fn count(path: &Path, table: &str) -> i64 {
    let query = format!("SELECT count(*) FROM {table}");
    Connection::open(path).unwrap().query_row(&query, [], |row| row.get(0)).unwrap()
}
