//! Output too long for a row.

use std::io::{Read, Write};

use workitem_store::{BlobName, Blobs, ClaimRequest, Store, StoreError, StreamKind, Swept, Upkeep, verify};

use super::common::{claim, completed, job_of, throwaway};

const PIECE: usize = 256 << 10;

fn pattern(len: usize) -> Vec<u8> {
    (0..=250).cycle().take(len).collect()
}

#[test]
fn output_of_any_length_comes_back_byte_for_byte() {
    let store = throwaway();
    let job = job_of(&*store, 1);
    for (attempt, len) in (1..).zip([0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 17]) {
        let name = BlobName { job: job.id, seq: 1, attempt, stream: StreamKind::Stderr };
        let (bytes, mut blob) = (pattern(len), store.create(name).unwrap());
        for part in bytes.chunks(100_003) {
            blob.write_all(part).unwrap();
        }
        assert!(Blobs::open(&*store, name).is_err(), "it is not there before it is finished");
        blob.finish().unwrap();
        let mut read = Vec::new();
        Blobs::open(&*store, name).unwrap().read_to_end(&mut read).unwrap();
        assert!(read == bytes, "{len} bytes");
    }
}

#[test]
fn a_writer_that_is_dropped_leaves_nothing_and_one_that_dies_leaves_what_upkeep_finds() {
    let store = throwaway();
    let job = job_of(&*store, 1);
    let name = BlobName { job: job.id, seq: 1, attempt: 1, stream: StreamKind::Stdout };
    let pieces = || -> i64 { store.admin().query_one("SELECT count(*) FROM pieces", &[]).unwrap().get(0) };
    let mut dropped = store.create(name).unwrap();
    dropped.write_all(&pattern(2 * PIECE)).unwrap();
    assert_eq!(pieces(), 2);
    drop(dropped);
    assert_eq!(pieces(), 0);

    let mut dies = store.create(name).unwrap();
    dies.write_all(&pattern(2 * PIECE)).unwrap();
    std::mem::forget(dies);
    // As long as its worker lives, it may still be at it; once the attempt is over, it belongs to nobody.
    let leased = claim(&*store, &job, "worker", 1).remove(0);
    assert_eq!(store.sweep_job(job.id, true).unwrap(), Swept::default());
    store.record(&[completed(leased)]).unwrap();
    let left = Swept { pieces: 1, bytes: 2 * PIECE as u64 };
    assert_eq!(store.sweep_job(job.id, false).unwrap(), left);
    assert_eq!(store.sweep_job(job.id, true).unwrap(), left);
    assert_eq!(pieces(), 0);
}

#[test]
fn output_of_which_a_piece_was_lost_on_its_way_is_never_finished() {
    let store = throwaway();
    let job = job_of(&*store, 1);
    let name = BlobName { job: job.id, seq: 1, attempt: 1, stream: StreamKind::Stdout };
    let mut blob = store.create(name).unwrap();
    // It is refused by the commit, when all seems to be done.
    let refuse = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''no''; END';
         CREATE CONSTRAINT TRIGGER refusal AFTER INSERT ON pieces DEFERRABLE INITIALLY DEFERRED
         FOR EACH ROW EXECUTE FUNCTION refuse()";
    store.admin().batch_execute(refuse).unwrap();
    assert!(blob.write_all(&pattern(PIECE)).is_err());
    store.admin().batch_execute("DROP TRIGGER refusal ON pieces").unwrap();
    // Whoever goes on all the same must not be told that everything is there.
    let _ = blob.write_all(b"the end");
    assert!(blob.finish().is_err());
    assert!(Blobs::open(&*store, name).is_err());
}

#[test]
fn a_piece_that_is_gone_is_damage_and_no_end_of_file() {
    let store = throwaway();
    let job = job_of(&*store, 1);
    let name = BlobName { job: job.id, seq: 1, attempt: 1, stream: StreamKind::Stdout };
    let mut blob = store.create(name).unwrap();
    blob.write_all(&pattern(2 * PIECE)).unwrap();
    blob.finish().unwrap();
    store.admin().execute("DELETE FROM pieces WHERE part = 1", &[]).unwrap();
    let mut read = Vec::new();
    let error = Blobs::open(&*store, name).unwrap().read_to_end(&mut read).unwrap_err().to_string();
    assert!(error.contains("piece 1 of it is gone"), "{error}");
}

#[test]
fn what_the_server_does_not_write_is_damage() {
    let store = throwaway();
    let job = job_of(&*store, 3);
    let keeps = "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
        CREATE TRIGGER keep BEFORE UPDATE ON items FOR EACH ROW WHEN (old.seq = 2) EXECUTE FUNCTION keep()";
    store.admin().batch_execute(keeps).unwrap();
    let refused = store.claim(&ClaimRequest::new(job.id, "agent-1", 3, job.created_at)).unwrap_err();
    assert!(matches!(refused, StoreError::Damaged { .. }), "{refused:?}");
    assert!(refused.to_string().contains("of 3 items that were locked, 2 could be written"), "{refused}");
    assert_eq!(store.counts(job.id).unwrap().by_status.pending, 3);
}

#[test]
fn damage_is_found_and_told() {
    let store = throwaway();
    let job = job_of(&*store, 3);
    store
        .admin()
        .batch_execute("DELETE FROM payloads WHERE seq = 1; DELETE FROM items WHERE seq = 2; UPDATE counts SET pending = pending + 1 WHERE shard = 3")
        .unwrap();
    let audit = verify(&*store, &job).unwrap();
    let told = audit.problems.join("\n");
    for words in
        ["item 1 has no input", "there is an input of item 2, but no such item", "the counts kept are"]
    {
        assert!(told.contains(words), "{told}");
    }
    store.admin().execute("UPDATE items SET id = 'other' WHERE seq = 3", &[]).unwrap();
    let told = verify(&*store, &job).unwrap().problems.join("\n");
    assert!(told.contains("item 3 and its input have different ids"), "{told}");
    store.admin().execute("UPDATE items SET state = 9, id = '3' WHERE seq = 3", &[]).unwrap();
    let told = store.item(&job, &"3".into()).unwrap_err().to_string();
    assert!(told.contains("item 3: `items.state`: no such state"), "{told}");
}
