//! Rows of a store with anything in them: what a program of another kind, or a broken disk, could have put there.
//!
//! Whatever stands in a row, whoever reads it gets what it says or an error that says it is damaged; and what the store
//! gives out to be worked on is what can be.

use std::cell::RefCell;

use rusqlite::types::Value;
use rusqlite::{Connection, params};
use tempfile::TempDir;
use workitem_sqlite::SqliteStore;
use workitem_store::{
    ClaimRequest, ItemQuery, Job, NewItem, NewJob, Runner, Store, StoreError, recover, verify,
};

use crate::power::in_memory;

/// The name of this door, among those that are fuzzed.
pub const DOOR: &str = "rows";

/// Every column that is read, by its table; the first two columns of which say which row.
const COLUMNS: [(&str, &str); 33] = [
    ("items", "id"),
    ("items", "version"),
    ("items", "status"),
    ("items", "attempts"),
    ("items", "failures"),
    ("items", "text"),
    ("items", "at"),
    ("items", "result"),
    ("items", "crashes"),
    ("items", "spawned"),
    ("items", "run_at"),
    ("items", "origin"),
    ("items", "dropped"),
    ("payloads", "payload"),
    ("history", "version"),
    ("history", "event"),
    ("history", "payload"),
    ("history", "at"),
    ("history", "cause"),
    ("attempts", "attempt"),
    ("attempts", "stdout"),
    ("attempts", "stdout_blob"),
    ("attempts", "stdout_total"),
    ("skipped", "place"),
    ("skipped", "position"),
    ("jobs", "spec"),
    ("jobs", "created_at"),
    ("jobs", "digest"),
    ("jobs", "input_items"),
    ("jobs", "control"),
    ("jobs", "pending"),
    ("jobs", "open_letters"),
    ("jobs", "name"),
];

thread_local! {
    /// One store serves for all, each time as it was: what is written is taken back.
    static BENCH: RefCell<Option<Bench>> = const { RefCell::new(None) };
}

struct Bench {
    sound: Vec<u8>,
    folder: TempDir,
}

/// Puts values into columns and reads everything. Each value takes a byte for its column, one for its kind and its row,
/// one for its length, and its bytes.
///
/// # Panics
///
/// If that is not as it must be.
pub fn read(bytes: &[u8]) {
    BENCH.with_borrow_mut(|bench| {
        let bench = bench.get_or_insert_with(|| Bench::new().expect("a store can be made"));
        bench.read(bytes).expect("a store can be written to");
    });
}

impl Bench {
    fn new() -> anyhow::Result<Self> {
        let folder = in_memory("workitem-rows-")?;
        let path = folder.path().join("store.db");
        let store = SqliteStore::create(&path)?;
        let now = chrono::DateTime::UNIX_EPOCH;
        let job = store.create_job(&NewJob { name: Some("job".into()), spec: serde_json::json!({}), now })?;
        let items = ["1", "2", "3", "4"].map(|id| NewItem { id: id.into(), payload: "x".into() });
        store.submit(job.id, &items)?;
        store.seal(job.id, "four items")?;
        drop(store);
        Connection::open(&path)?.execute_batch(
            "INSERT INTO attempts VALUES (1, 1, 1, x'61', NULL, 1, x'', NULL, 0), (1, 4, 1, x'61', NULL, 1, x'', NULL, 0);
             INSERT INTO skipped VALUES (1, 5, 'line 5', 'why');
             INSERT INTO history VALUES (1, 1, 1, 0, 'agent', 1, NULL), (1, 2, 1, 0, 'agent', 1, NULL),
                 (1, 2, 2, 2, 'exit 1', 2, '{}'), (1, 2, 3, 5, NULL, 2, NULL), (1, 4, 1, 0, 'agent', 1, NULL);
             UPDATE items SET version = 1, status = 1, attempts = 1, text = 'agent', at = 1 WHERE seq IN (1, 4);
             UPDATE items SET version = 3, status = 4, attempts = 1, failures = 1, text = 'exit 1', at = 2 WHERE seq = 2;
             UPDATE jobs SET pending = 1, in_progress = 2, dead_lettered = 1, open_letters = 1;
             PRAGMA journal_mode = DELETE;",
        )?;
        Ok(Self { sound: std::fs::read(path)?, folder })
    }

    fn read(&self, bytes: &[u8]) -> anyhow::Result<()> {
        let path = self.folder.path().join("store.db");
        for beside in ["-wal", "-shm", "-journal"] {
            let _ = std::fs::remove_file(self.folder.path().join(format!("store.db{beside}")));
        }
        std::fs::write(&path, &self.sound)?;
        let database = Connection::open(&path)?;
        database.execute_batch("PRAGMA synchronous = OFF")?;
        spoil(&database, bytes);
        drop(database);
        let store = match SqliteStore::open(&path) {
            Err(StoreError::Damaged { .. }) => return Ok(()),
            store => store?,
        };
        match store.jobs() {
            Err(error) => is_damaged(&error),
            Ok(jobs) => jobs.iter().for_each(|job| read_job(&store, job)),
        }
        Ok(())
    }
}

/// Writes values; those that the table does not take are passed over.
fn spoil(database: &Connection, mut bytes: &[u8]) {
    while let [column, kind, len, rest @ ..] = bytes {
        let (value, rest) = rest.split_at(rest.len().min(usize::from(*len)));
        bytes = rest;
        let (table, column) = COLUMNS[usize::from(*column) % COLUMNS.len()];
        let number = || value.iter().fold(0_i64, |number, byte| (number << 8) | i64::from(*byte));
        let text = || String::from_utf8_lossy(value).into_owned();
        let value = match kind % 8 {
            0 => Value::Null,
            1 | 2 => Value::Integer(number()),
            3 => Value::Integer(!number()),
            4 => Value::Blob(value.to_vec()),
            _ => Value::Text(text()),
        };
        let row = match table {
            "jobs" => "id = 1".to_owned(),
            "skipped" => "job = 1".to_owned(),
            _ => format!("job = 1 AND seq = {}", 1 + (kind >> 3) % 4),
        };
        let _ = database.execute(&format!("UPDATE {table} SET {column} = ? WHERE {row}"), params![value]);
    }
}

/// Reads all that there is, and does what a run would do first.
fn read_job(store: &SqliteStore, job: &Job) {
    let all = ItemQuery { status: None, after: 0, limit: 100 };
    let now = chrono::DateTime::UNIX_EPOCH;
    let told: [Result<(), StoreError>; 10] = [
        store.items(job.id, &all).map(drop),
        store.history(job.id, 0..=u64::MAX).map(drop),
        store.attempts(job.id, 0..=u64::MAX).map(drop),
        store.letters(job.id, 0, 100).map(drop),
        store.counts(job.id).map(drop),
        store.control(job.id).map(drop),
        store.skipped(job.id).map(drop),
        store.payload(job.id, 1).map(drop),
        store.waiting(job.id, now).map(drop),
        store.running(job).map(drop),
    ];
    for error in told.into_iter().filter_map(Result::err) {
        is_damaged(&error);
    }
    if let Err(error) = verify(store, job) {
        is_damaged(&error);
    }
    let runner = Runner { process: 1, since: now, settled_before: 0 };
    let _lock = store.lock_job(job, &runner).expect("nobody else has it");
    if let Err(error) = recover(store, job.id, 10, &|_| true, now) {
        is_damaged(&error);
    }
    if let Err(error) = store.claim(&ClaimRequest::new(job.id, "agent", 10, now)) {
        is_damaged(&error);
    }
}

fn is_damaged(error: &StoreError) {
    let is_damage =
        matches!(error, StoreError::Damaged { .. } | StoreError::NoJob { .. } | StoreError::NoItem { .. });
    assert!(is_damage, "it does not say what is damaged: {error}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_stands_in_a_row_is_read_or_said_to_be_damaged() {
        let mut rng = fastrand::Rng::with_seed(1);
        for _ in 0..100 {
            let bytes: Vec<u8> =
                (0..rng.usize(..24)).map(|_| if rng.bool() { rng.u8(..4) } else { rng.u8(..) }).collect();
            read(&bytes);
        }
    }
}
