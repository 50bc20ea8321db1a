//! The file: whose it is, who may read it, and what becomes of one that is not ours.
#![cfg(test)]

mod common;

use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::time::Duration;

use common::{common_runner, with_items, with_job};
use rusqlite::Connection;
use serde_json::Value;
use tempfile::tempdir;
use workitem_sqlite::SqliteStore;
use workitem_store::{
    BlobName, Blobs, ClaimRequest, Control, ItemQuery, NewJob, Store, StoreError, StreamKind, verify,
};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn only_the_owner_may_read_it() {
    let folder = tempdir().unwrap();
    let path = folder.path().join(".workitem/workitem.db");
    let (store, job) = with_job(&path);
    let lock = store.lock_job(&job, &common_runner()).unwrap();
    let name = BlobName { job: job.id, seq: 1, attempt: 1, stream: StreamKind::Stdout };
    store.create(name).unwrap().finish().unwrap();
    let beside = |suffix: &str| path.with_file_name(format!("workitem.db{suffix}"));
    for file in ["", "-wal", "-shm", ".locks/1", ".output/1/1-1.stdout"] {
        assert_eq!(mode(&beside(file)), 0o600, "{file}");
    }
    for folder in [path.parent().unwrap(), &beside(".locks"), &beside(".output"), &beside(".output/1")] {
        assert_eq!(mode(folder), 0o700, "{}", folder.display());
    }
    drop(lock);
}

#[test]
fn what_another_user_has_put_beside_it_is_refused() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("workitem.db");
    let (store, job) = with_job(&path);
    let beside = |suffix: &str| folder.path().join(format!("workitem.db{suffix}"));
    // Only root can give a folder away; anybody else can let a link lead to one of root.
    for suffix in [".output", ".locks"] {
        if fs::metadata(&path).unwrap().uid() == 0 {
            fs::create_dir(beside(suffix)).unwrap();
            chown(beside(suffix), Some(54_321), None).unwrap();
        } else {
            symlink("/", beside(suffix)).unwrap();
        }
    }
    let name = BlobName { job: job.id, seq: 1, attempt: 1, stream: StreamKind::Stdout };
    for refused in [store.create(name).err(), store.lock_job(&job, &common_runner()).err()] {
        let refused = refused.unwrap().to_string();
        assert!(refused.contains("belongs to another user"), "{refused}");
    }
}

#[test]
fn what_the_owner_of_the_store_has_put_beside_it_is_used_by_root() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("workitem.db");
    drop(with_job(&path));
    if fs::metadata(&path).unwrap().uid() == 0 {
        let locks = folder.path().join("workitem.db.locks");
        fs::create_dir(&locks).unwrap();
        for theirs in [&path, &locks] {
            chown(theirs, Some(54_321), None).unwrap();
        }
    }
    let store = SqliteStore::open(&path).unwrap();
    let job = store.job("job").unwrap();
    drop(store.lock_job(&job, &common_runner()).unwrap());
    assert_eq!(store.running(&job).unwrap(), None);
}

#[test]
fn a_link_in_the_place_of_a_file_is_not_followed() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("workitem.db");
    let (store, job) = with_job(&path);
    let precious = folder.path().join("precious");
    fs::write(&precious, "precious").unwrap();
    for suffix in [".output/1/1-1.stdout", ".locks/1"] {
        let link = folder.path().join(format!("workitem.db{suffix}"));
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(&precious, link).unwrap();
    }
    let name = BlobName { job: job.id, seq: 1, attempt: 1, stream: StreamKind::Stdout };
    assert!(store.create(name).is_err());
    assert!(store.open(name).is_err());
    assert!(store.lock_job(&job, &common_runner()).is_err());
    assert_eq!(fs::read(&precious).unwrap(), b"precious");
}

#[test]
fn a_store_that_is_not_there_is_not_made_by_looking() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("workitem.db");
    assert!(matches!(SqliteStore::open(&path), Err(StoreError::NoStore { .. })));
    assert!(!path.exists());
}

#[test]
fn an_error_tells_its_cause_once() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    for (path, cause) in [
        (file.join("workitem.db"), "File exists"),
        (folder.path().into(), "cannot be opened"),
        (folder.path().join("x".repeat(300)), "making it: File name too long"),
    ] {
        let error = SqliteStore::create(&path).err().unwrap();
        assert!(matches!(&error, StoreError::Engine { cause: Some(_), .. }), "{error:?}");
        let chain = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
        let told: Vec<String> = chain.map(ToString::to_string).collect();
        assert_eq!(told.concat().matches(cause).count(), 1, "{told:?}");
    }
}

#[test]
fn garbage_is_refused_and_left_as_it_is() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("workitem.db");
    let garbage = vec![0xA5; 10_000];
    fs::write(&path, &garbage).unwrap();
    let refused = SqliteStore::create(&path).err().unwrap();
    assert!(matches!(refused, StoreError::Damaged { .. }), "{refused}");
    assert_eq!(fs::read(&path).unwrap(), garbage);
}

#[test]
fn a_database_of_another_program_is_refused() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("workitem.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE cats (name TEXT)").unwrap();
    let refused = SqliteStore::create(&path).err().unwrap();
    assert!(refused.to_string().contains("another program"), "{refused}");
}

#[test]
fn a_newer_schema_is_refused() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("workitem.db");
    drop(with_job(&path));
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let refused = SqliteStore::open(&path).err().unwrap();
    assert!(matches!(refused, StoreError::NewerSchema { found: 99, known: 2, .. }), "{refused}");
}

/// A store of the first schema, which knew neither controls nor how many items an input had.
#[test]
fn an_older_schema_is_taken_over_with_all_it_holds() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("workitem.db");
    let (store, job) = with_job(&path);
    store.create_job(&NewJob { name: Some("open".into()), spec: Value::Null, now: job.created_at }).unwrap();
    drop(store);
    let old = Connection::open(&path).unwrap();
    old.execute_batch(
        "ALTER TABLE jobs DROP COLUMN control; ALTER TABLE jobs DROP COLUMN input_items;
         ALTER TABLE items DROP COLUMN dropped;
         INSERT INTO items (job, seq, id, origin) VALUES (1, 6, '1~1', '1');
         INSERT INTO payloads (job, seq, payload) VALUES (1, 6, '\"input\"');
         UPDATE jobs SET pending = 6 WHERE id = 1;
         PRAGMA user_version = 1;",
    )
    .unwrap();
    drop(old);

    let store = SqliteStore::open(&path).unwrap();
    assert_eq!(store.job("job").unwrap().input_items, 5, "without the successor");
    assert_eq!(store.job("open").unwrap().input_items, 0);
    assert_eq!(store.control(job.id).unwrap(), Control::Run);
    store.set_control(job.id, Control::Pause).unwrap();
    assert_eq!(store.counts(job.id).unwrap().by_status.pending, 6);
    assert!(verify(&store, &job).unwrap().passed());
    drop(store);
    let again = SqliteStore::open(&path).unwrap();
    assert_eq!(again.control(job.id).unwrap(), Control::Pause, "it is taken over once");
}

#[test]
fn what_is_stored_is_there_when_it_is_opened_again() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("workitem.db");
    let (store, job) = with_job(&path);
    let request = ClaimRequest::new(job.id, "agent-1", 2, chrono::DateTime::UNIX_EPOCH);
    assert_eq!(store.claim(&request).unwrap().claims.len(), 2);
    drop(store);
    let again = SqliteStore::open(&path).unwrap();
    let counts = again.counts(again.job("job").unwrap().id).unwrap().by_status;
    assert_eq!((counts.pending, counts.in_progress), (3, 2));
    assert!(verify(&again, &job).unwrap().passed());
}

#[test]
fn two_openers_share_one_store() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("workitem.db");
    let (first, job) = with_job(&path);
    let second = SqliteStore::create(&path).unwrap();
    assert_eq!(first.identity(), second.identity());
    let third = SqliteStore::create(&folder.path().join("another.db")).unwrap();
    assert_ne!(first.identity(), third.identity());
    let lock = first.lock_job(&job, &common_runner()).unwrap();
    assert!(matches!(second.lock_job(&job, &common_runner()), Err(StoreError::Busy { .. })));
    assert_eq!(second.running(&job).unwrap(), Some(common_runner()));
    drop(lock);
    assert_eq!(second.running(&job).unwrap(), None);
    let seen: usize = std::thread::scope(|scope| {
        let claimers = [&first, &second].map(|store| {
            scope.spawn(|| {
                let request = ClaimRequest::new(job.id, "agent", 1, chrono::DateTime::UNIX_EPOCH);
                std::iter::from_fn(|| store.claim(&request).unwrap().claims.pop()).count()
            })
        });
        claimers.into_iter().map(|claimer| claimer.join().unwrap()).sum()
    });
    assert_eq!(seen, 5);
}

#[test]
fn by_whichever_path_it_is_opened_it_is_one_store() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("workitem.db");
    let (store, job) = with_job(&path);
    let link = folder.path().join("link.db");
    symlink("workitem.db", &link).unwrap();
    let linked = SqliteStore::create(&link).unwrap();
    // The other tests of this file name their stores from the root.
    std::env::set_current_dir(folder.path()).unwrap();
    let near = SqliteStore::open("workitem.db".as_ref()).unwrap();
    std::env::set_current_dir("/").unwrap();

    let lock = store.lock_job(&job, &common_runner()).unwrap();
    for (seq, other) in (1..).zip([&linked, &near]) {
        assert!(matches!(other.lock_job(&job, &common_runner()), Err(StoreError::Busy { .. })));
        let name = BlobName { job: job.id, seq, attempt: 1, stream: StreamKind::Stdout };
        other.create(name).unwrap().finish().unwrap();
        assert!(store.open(name).is_ok());
    }
    drop(lock);
    assert_eq!((linked.name(), near.name()), (link.display().to_string(), "workitem.db".into()));
}

#[test]
fn many_can_make_and_open_it_at_once() {
    let folder = tempdir().unwrap();
    for round in 0..20 {
        let path = folder.path().join(format!("{round}.db"));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| SqliteStore::create(&path).unwrap().jobs().unwrap());
            }
        });
    }
}

#[test]
fn it_is_opened_while_another_program_looks_at_the_empty_file_or_is_about_to_write_it() {
    // For who is about to write, SQLite does not wait by itself.
    for begins in ["BEGIN; SELECT count(*) FROM sqlite_schema;", "BEGIN IMMEDIATE;"] {
        let folder = tempdir().unwrap();
        let path = folder.path().join("workitem.db");
        fs::write(&path, "").unwrap();
        let other = Connection::open(&path).unwrap();
        other.execute_batch(begins).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                std::thread::sleep(Duration::from_millis(100));
                other.execute_batch("COMMIT").unwrap();
            });
            assert_eq!(SqliteStore::open(&path).unwrap().jobs().unwrap(), []);
        });
    }
}

#[test]
fn output_that_cannot_be_deleted_with_its_job_is_an_error() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("workitem.db");
    let (store, job) = with_job(&path);
    fs::create_dir(folder.path().join("workitem.db.output")).unwrap();
    fs::write(folder.path().join("workitem.db.output/1"), "no folder").unwrap();
    let refused = store.delete_job(job.id).unwrap_err().to_string();
    assert!(refused.contains("deleting output"), "{refused}");
}

#[test]
fn output_that_is_flushed_is_in_its_file() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("workitem.db");
    let (store, job) = with_job(&path);
    let name = BlobName { job: job.id, seq: 1, attempt: 1, stream: StreamKind::Stdout };
    let mut blob = store.create(name).unwrap();
    blob.write_all(b"so far").unwrap();
    blob.flush().unwrap();
    assert_eq!(fs::read(folder.path().join("workitem.db.output/1/1-1.stdout")).unwrap(), b"so far");
}

/// What a stray hand can do to the file, and which words `verify` finds for it.
#[test]
fn verify_finds_what_was_tampered_with() {
    let tampered = [
        ("UPDATE items SET failures = 3 WHERE seq = 2", "item `2`: its history leads to"),
        ("UPDATE items SET version = 9 WHERE seq = 2", "item `2` is at version 9, but has 1 events"),
        ("DELETE FROM history WHERE seq = 2", "item `2` is at version 1, but has 0 events"),
        ("UPDATE history SET event = 4 WHERE seq = 1", "item `1`: event 1"),
        ("UPDATE jobs SET completed = 7", "the counts kept are"),
        (
            "INSERT INTO attempts VALUES (1, 3, 1, x'', 5, 5, x'', NULL, 0)",
            "item `3`: there is output of attempt 1",
        ),
        ("INSERT INTO attempts VALUES (1, 1, 1, x'', 5, 5, x'', NULL, 0)", "item `1`: 1/1-1.stdout"),
        ("INSERT INTO attempts VALUES (1, 6, 1, x'', NULL, 0, x'', NULL, 0)", "of item 6, but no such item"),
        ("INSERT INTO history VALUES (1, 9999999, 1, 4, NULL, 0, NULL)", "of item 9999999, but no such item"),
        ("INSERT INTO history VALUES (1, 0, 1, 4, NULL, 0, NULL)", "of item 0, but no such item"),
        ("DELETE FROM items WHERE seq = 1", "of item 1, but no such item"),
        ("INSERT INTO payloads VALUES (1, 6, 'null')", "there is an input of item 6, but no such item"),
        ("DELETE FROM payloads WHERE seq = 4", "item 4 has no input"),
    ];
    for (statement, words) in tampered {
        let folder = tempdir().unwrap();
        let path = folder.path().join("workitem.db");
        let (store, job) = with_job(&path);
        let request = ClaimRequest::new(job.id, "agent-1", 2, chrono::DateTime::UNIX_EPOCH);
        assert_eq!(store.claim(&request).unwrap().claims.len(), 2);
        assert!(verify(&store, &job).unwrap().passed());
        assert!(Connection::open(&path).unwrap().execute(statement, []).unwrap() > 0);
        let audit = verify(&store, &job).unwrap();
        assert!(audit.problems.iter().any(|problem| problem.contains(words)), "{statement}: {audit:?}");
    }
}

#[test]
fn verify_finds_output_of_another_length() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("workitem.db");
    let (store, job) = with_job(&path);
    let request = ClaimRequest::new(job.id, "agent-1", 1, chrono::DateTime::UNIX_EPOCH);
    assert_eq!(store.claim(&request).unwrap().claims.len(), 1);
    let name = BlobName { job: job.id, seq: 1, attempt: 1, stream: StreamKind::Stdout };
    let mut blob = store.create(name).unwrap();
    blob.write_all(b"abc").unwrap();
    blob.finish().unwrap();
    let row = "INSERT INTO attempts VALUES (1, 1, 1, x'', 3, 3, x'', NULL, 0)";
    assert_eq!(Connection::open(&path).unwrap().execute(row, []).unwrap(), 1);
    assert!(verify(&store, &job).unwrap().passed());
    let longer = "UPDATE attempts SET stdout_blob = 5";
    assert_eq!(Connection::open(&path).unwrap().execute(longer, []).unwrap(), 1);
    let audit = verify(&store, &job).unwrap();
    assert_eq!(audit.problems, ["item `1`: 1/1-1.stdout has 3 bytes instead of 5"]);
}

#[test]
fn verify_ends_where_nothing_can_be_read() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("workitem.db");
    drop(with_job(&path));
    let raw = Connection::open(&path).unwrap();
    let root: u64 = raw
        .query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'items'", [], |row| row.get(0))
        .unwrap();
    let page: u64 = raw.query_row("PRAGMA page_size", [], |row| row.get(0)).unwrap();
    raw.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(raw);
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&vec![0xA5; usize::try_from(page).unwrap()], (root - 1) * page).unwrap();
    let store = SqliteStore::open(&path).unwrap();
    let audit = verify(&store, &store.job("job").unwrap()).unwrap();
    assert!(!audit.passed() && audit.items == 0, "{audit:?}");
}

/// Values that the program never writes, and where they are said to be.
#[test]
fn a_row_that_makes_no_sense_is_damage_and_is_named() {
    let senseless = [
        ("UPDATE items SET status = 7 WHERE seq = 2", "item 2: `items.status`: no such state"),
        ("UPDATE items SET attempts = -1 WHERE seq = 2", "item 2: `items.attempts`: -1 is out of range"),
        ("UPDATE items SET text = NULL WHERE seq = 2", "item 2: `items.text`: it is of type Null"),
        ("UPDATE items SET at = 9223372036854775807 WHERE seq = 2", "item 2: `items.at`: no such time"),
        ("UPDATE items SET id = CAST(x'ff' AS TEXT) WHERE seq = 2", "item 2: `items.id`: invalid utf-8"),
        ("UPDATE items SET status = 2, result = '{' WHERE seq = 2", "item 2: `items.result`: EOF"),
        ("UPDATE items SET status = 2, result = NULL WHERE seq = 2", "item 2: `items.result`: it is of type"),
        ("UPDATE history SET event = 7 WHERE seq = 2", "item 2: `history.event`: no such event"),
        ("UPDATE history SET cause = 'why' WHERE seq = 2", "item 2: `history.cause`: expected value"),
        (
            "INSERT INTO attempts VALUES (1, 2, 1, x'', NULL, -1, x'', NULL, 0)",
            "item 2: `attempts.stdout_total`",
        ),
        ("UPDATE jobs SET spec = '{'", "job 1: `jobs.spec`: EOF"),
        ("UPDATE jobs SET pending = -1", "-1 is out of range"),
    ];
    for (statement, words) in senseless {
        let folder = tempdir().unwrap();
        let path = folder.path().join("workitem.db");
        let (store, job) = with_job(&path);
        let request = ClaimRequest::new(job.id, "agent-1", 2, chrono::DateTime::UNIX_EPOCH);
        assert_eq!(store.claim(&request).unwrap().claims.len(), 2);
        assert!(Connection::open(&path).unwrap().execute(statement, []).unwrap() > 0);
        let read = || {
            store.job("job")?;
            store.counts(job.id)?;
            store.items(job.id, &ItemQuery { status: None, after: 0, limit: 10 })?;
            store.history(job.id, 1..=5)?;
            store.attempts(job.id, 1..=5)
        };
        let refused = read().unwrap_err();
        assert!(matches!(&refused, StoreError::Damaged { what, .. } if what.contains(words)), "{refused}");
    }
}

#[test]
fn verify_goes_on_behind_what_cannot_be_read() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("workitem.db");
    let (store, job) = with_items(&path, 3_500);
    let damage = [
        "UPDATE items SET status = 7 WHERE seq = 500",
        "INSERT INTO history VALUES (1, 1500, 1, 7, NULL, 0, NULL)",
        "UPDATE items SET failures = 3 WHERE seq = 2500",
        "INSERT INTO attempts VALUES (1, 3501, 1, x'', NULL, 0, x'', NULL, 0)",
    ];
    for statement in damage {
        assert_eq!(Connection::open(&path).unwrap().execute(statement, []).unwrap(), 1);
    }
    let audit = verify(&store, &job).unwrap();
    assert_eq!(audit.items, 2_500, "all but those on the first page");
    for words in
        ["item 500: `items.status`", "item 1500: `history.event`", "item `2500`: its history", "3501"]
    {
        assert!(audit.problems.iter().any(|problem| problem.contains(words)), "{words}: {audit:?}");
    }
    assert_eq!(audit.found, damage.len() + 1, "and the counts: {audit:?}");
}
