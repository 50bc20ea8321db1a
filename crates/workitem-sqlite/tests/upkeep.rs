//! What belongs to nobody is swept, and room is given back.
#![cfg(test)]

mod common;

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt, chown, symlink};
use std::path::Path;
use std::time::Duration;

use common::{common_runner, count, with_items, with_job};
use rusqlite::Connection;
use serde_json::Value;
use tempfile::tempdir;
use workitem_sqlite::SqliteStore;
use workitem_store::{
    AttemptOutput, BlobName, Blobs, Captured, ClaimRequest, Kept, NewItem, NewJob, Store, StoreError,
    StreamKind, Upkeep, verify,
};
use workitem_types::AgentResult;
use workitem_typestate::AgentComplete;

#[test]
fn a_deletion_that_was_cut_off_is_finished_by_a_sweep() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("workitem.db");
    let (store, job) = with_items(&path, 7_000);
    let new = NewJob { name: Some("other".into()), spec: Value::Null, now: job.created_at };
    let other = store.create_job(&new).unwrap();
    let request = ClaimRequest::new(job.id, "agent-1", 10, job.created_at);
    assert_eq!(store.claim(&request).unwrap().claims.len(), 10);
    // As after a crash: the job is gone, and some of its items.
    let cut_off = "DELETE FROM jobs WHERE id = 1; DELETE FROM items WHERE seq <= 4000;";
    Connection::open(&path).unwrap().execute_batch(cut_off).unwrap();
    assert!(verify(&store, &other).unwrap().passed());
    assert_eq!(store.sweep_gone(false).unwrap().pieces, 1, "rows");
    let lock = store.lock_job(&job, &common_runner()).unwrap();
    assert_eq!(store.sweep_gone(true).unwrap().pieces, 0, "who holds the lock is just deleting it");
    drop(lock);
    let counted = store.sweep_gone(false).unwrap();
    assert_eq!((counted.pieces, count(&path, "payloads")), (2, 7_000), "rows and a lock");
    assert_eq!(store.sweep_gone(true).unwrap(), counted);
    for table in ["items", "payloads", "history"] {
        assert_eq!(count(&path, table), 0, "{table}");
    }
    assert_eq!(store.sweep_gone(true).unwrap().pieces, 0);
    assert_eq!(store.jobs().unwrap(), [other]);
}

#[test]
fn a_lock_that_cannot_be_swept_is_an_error() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("workitem.db");
    let (store, _) = with_job(&path);
    fs::create_dir_all(folder.path().join("workitem.db.locks/7")).unwrap();
    let refused = store.sweep_gone(true).unwrap_err().to_string();
    assert!(refused.contains("deleting a job's lock"), "{refused}");
}

#[test]
fn only_what_is_ours_is_swept() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("workitem.db");
    let (store, job) = with_job(&path);
    let beside = |name: &str| folder.path().join(format!("workitem.db{name}"));
    fs::create_dir_all(beside(".output/1")).unwrap();
    fs::create_dir_all(beside(".locks")).unwrap();
    let ours = [".locks/7", ".output/1/1-1.stdout", ".output/1/99-3.stderr"];
    let not_ours =
        [".locks/1", ".locks/README", ".output/1/notes.txt", ".output/1/1-1.stdout.bak", ".output/9a"];
    for name in ours.iter().chain(&not_ours) {
        fs::write(beside(name), "text").unwrap();
    }
    assert_eq!(store.sweep_job(job.id, true).unwrap().pieces, 2);
    assert_eq!(store.sweep_gone(true).unwrap().pieces, 1);
    assert_eq!(ours.map(|name| beside(name).exists()), [false; 3]);
    assert_eq!(not_ours.map(|name| beside(name).exists()), [true; 5]);

    fs::remove_dir_all(beside(".output")).unwrap();
    let elsewhere = folder.path().join("elsewhere");
    fs::create_dir_all(elsewhere.join("1")).unwrap();
    fs::write(elsewhere.join("1/1-1.stdout"), "precious").unwrap();
    // Only root can give a folder away; anybody else can let a link lead to one of root.
    if fs::metadata(&path).unwrap().uid() == 0 {
        chown(&elsewhere, Some(54_321), None).unwrap();
        symlink(&elsewhere, beside(".output")).unwrap();
    } else {
        symlink("/", beside(".output")).unwrap();
    }
    for refused in [store.sweep_job(job.id, true).err(), store.sweep_gone(true).err()] {
        let refused = refused.unwrap().to_string();
        assert!(refused.contains("belongs to another user"), "{refused}");
    }
    assert!(elsewhere.join("1/1-1.stdout").exists());
}

#[test]
fn room_is_given_back_when_nobody_runs_a_job_and_readers_go_on() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("workitem.db");
    let (store, job) = with_items(&path, 5_000);
    let new = NewJob { name: Some("other".into()), spec: Value::Null, now: job.created_at };
    let other = store.create_job(&new).unwrap();
    let reader = Connection::open(&path).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM items;").unwrap();
    store.delete_job(job.id).unwrap();
    let size = || fs::metadata(&path).unwrap().len() + fs::metadata(beside_wal(&path)).unwrap().len();

    let lock = store.lock_job(&other, &common_runner()).unwrap();
    assert!(!store.compact().unwrap(), "who runs a job would have to wait");
    drop(lock);
    assert!(store.compact().unwrap());
    let seen: i64 = reader.query_row("SELECT count(*) FROM items", [], |row| row.get(0)).unwrap();
    assert_eq!(seen, 5_000, "who reads sees what there was");
    reader.execute_batch("COMMIT").unwrap();
    assert!(store.compact().unwrap());
    assert!(size() < 100_000, "{}", size());
    assert!(verify(&store, &other).unwrap().passed());
    assert_eq!(store.identity(), SqliteStore::open(&path).unwrap().identity());
}

#[test]
fn a_little_room_is_not_worth_writing_the_file_anew() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("workitem.db");
    let (store, job) = with_items(&path, 5_000);
    let new = NewJob { name: Some("other".into()), spec: Value::Null, now: job.created_at };
    let other = store.create_job(&new).unwrap();
    let items: Vec<NewItem> =
        (1..=200).map(|n| NewItem { id: n.to_string().into(), payload: "input".into() }).collect();
    store.submit(other.id, &items).unwrap();
    store.delete_job(other.id).unwrap();
    let free = |path: &Path| -> i64 {
        Connection::open(path).unwrap().query_row("PRAGMA freelist_count", [], |row| row.get(0)).unwrap()
    };
    let before = free(&path);
    assert!(before > 0);
    let lock = store.lock_job(&job, &common_runner()).unwrap();
    assert!(store.compact().unwrap(), "only the log is cut, for which nobody waits");
    drop(lock);
    assert!(store.compact().unwrap());
    assert_eq!(free(&path), before);
}

#[test]
fn room_is_not_given_back_while_another_process_writes_and_damage_is_an_error() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("workitem.db");
    let (store, job) = with_items(&path, 5_000);
    store.delete_job(job.id).unwrap();
    let writer = Connection::open(&path).unwrap();
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(!store.compact().unwrap());
    writer.execute_batch("COMMIT").unwrap();
    drop((store, writer));
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    // All but the schema.
    file.write_all_at(&vec![0xAA; 64 << 10], 4_096).unwrap();
    let damaged = SqliteStore::open(&path).unwrap().compact();
    assert!(matches!(damaged, Err(StoreError::Damaged { .. })), "{damaged:?}");
}

#[test]
fn output_is_not_swept_of_an_event_that_comes_back_with_the_log_of_who_was_killed() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("workitem.db");
    let (store, job) = with_job(&path);
    let request = ClaimRequest::new(job.id, "agent-1", 1, job.created_at);
    let leased = store.claim(&request).unwrap().claims.remove(0).leased;
    let name = BlobName { job: job.id, seq: 1, attempt: 1, stream: StreamKind::Stdout };
    let mut output = store.create(name).unwrap();
    output.write_all(b"long").unwrap();
    output.finish().unwrap();
    // As after a kill between the end of a transaction in the log and the index that tells others of it.
    let index = File::options().read(true).write(true).open(folder.path().join("workitem.db-shm")).unwrap();
    let mut untold = [0; 96];
    index.read_exact_at(&mut untold, 0).unwrap();
    let long = Captured { kept: Kept::Blob { len: 4 }, total: 4 };
    let said = AttemptOutput { stdout: long, ..AttemptOutput::default() };
    let result = Box::new(AgentResult::success("1".into(), None, Duration::ZERO));
    let completed = leased.step(AgentComplete { result }, job.created_at).with_output(said);
    store.record(&[completed.seal()]).unwrap();
    index.write_all_at(&untold, 0).unwrap();

    let completed = |store: &SqliteStore| store.counts(job.id).unwrap().by_status.completed;
    assert_eq!(completed(&store), 0, "nobody was told");
    let all_killed = || {
        let copy = tempdir().unwrap();
        for name in ["workitem.db", "workitem.db-wal"] {
            fs::copy(folder.path().join(name), copy.path().join(name)).unwrap();
        }
        let store = SqliteStore::open(&copy.path().join("workitem.db")).unwrap();
        (copy, store)
    };
    assert_eq!(completed(&all_killed().1), 1, "it comes back when all are killed");
    assert_eq!(store.sweep_job(job.id, true).unwrap().pieces, 1);
    assert_eq!(completed(&all_killed().1), 0, "never, once its output is gone");
}

#[test]
fn a_store_that_somebody_has_left_without_a_log_is_opened() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("workitem.db");
    let (store, job) = with_job(&path);
    drop(store);
    Connection::open(&path).unwrap().execute_batch("PRAGMA journal_mode = DELETE").unwrap();
    let store = SqliteStore::open(&path).unwrap();
    assert!(!beside_wal(&path).exists());
    assert!(verify(&store, &job).unwrap().passed());
}

fn beside_wal(path: &Path) -> std::path::PathBuf {
    path.with_file_name("workitem.db-wal")
}
