//! Output too long for a row.

use std::io::{Read, Write};

use workitem_postgres::PostgresStore;
use workitem_store::{
    AnyStep, BlobName, Blobs, ClaimRequest, Leased, Outcome, Store, StoreError, StreamKind, Swept, Upkeep,
    verify,
};
use workitem_typestate::{AgentFailed, Failed, InProgress, Interrupt, MoveToDeadLetter};

use super::common::{at, claim, completed, job_of, throwaway};

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
fn errors_that_are_too_long_together_for_a_statement_are_recorded() {
    const ITEMS: usize = 5;
    let store = throwaway();
    let job = job_of(&*store, ITEMS);
    let error = "x".repeat(15 << 20);
    let failed = |leased: Leased<InProgress>| leased.step(AgentFailed { error: error.clone() }, at(2)).seal();
    let failed: Vec<AnyStep> = claim(&*store, &job, "worker", ITEMS).into_iter().map(failed).collect();
    assert_eq!(store.record(&failed).unwrap(), [Outcome::Recorded; ITEMS]);
    let dead = |failed: AnyStep| failed.durable::<Failed>().step(MoveToDeadLetter, at(3)).seal();
    let dead: Vec<AnyStep> = failed.into_iter().map(dead).collect();
    assert_eq!(store.record(&dead).unwrap(), [Outcome::Recorded; ITEMS]);
    assert_eq!(store.counts(job.id).unwrap().by_status.dead_lettered, ITEMS);
}

#[test]
fn output_of_which_a_server_that_went_down_has_forgotten_a_piece_is_never_finished() {
    let mut server = workitem_pgtest::Server::start(&[]).unwrap();
    let store = PostgresStore::create(&server.schema_url("forgotten")).unwrap();
    let job = job_of(&store, 1);
    let name = BlobName { job: job.id, seq: 1, attempt: 1, stream: StreamKind::Stdout };
    let mut blob = store.create(name).unwrap();
    blob.write_all(&pattern(PIECE)).unwrap();
    server.kill().unwrap();
    server.start_again().unwrap();
    blob.write_all(b"the end").unwrap();
    // That it was not waited for does not say that it is lost.
    match blob.finish() {
        Ok(()) => {
            let mut read = Vec::new();
            Blobs::open(&store, name).unwrap().read_to_end(&mut read).unwrap();
            assert_eq!(read.len(), PIECE + 7);
        }
        Err(error) => {
            assert!(
                error.to_string().contains("the server has lost some of it: of 2 pieces 1 are there"),
                "{error}"
            );
            assert!(Blobs::open(&store, name).is_err());
        }
    }
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
    let keep = "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
        CREATE TRIGGER keep BEFORE DELETE OR UPDATE ON due FOR EACH ROW EXECUTE FUNCTION keep()";
    store.admin().batch_execute(keep).unwrap();
    for (limit, words) in [(3, "of 1 ranges that were locked, 0 could be written"), (2, "of 1 ranges")] {
        let refused = store.claim(&ClaimRequest::new(job.id, "agent-1", limit, job.created_at)).unwrap_err();
        assert!(matches!(refused, StoreError::Damaged { .. }), "{refused:?}");
        assert!(refused.to_string().contains(words), "{refused}");
    }
    assert_eq!(store.counts(job.id).unwrap().by_status.pending, 3);
}

/// What `workitem verify` says once this was done to a job of four items, of which the second is completed and the third
/// was interrupted.
fn told(damage: &str) -> String {
    let store = throwaway();
    let job = job_of(&*store, 4);
    let mut claimed = claim(&*store, &job, "worker", 3);
    let third = claimed.pop().unwrap().step(Interrupt, job.created_at).seal();
    store.record(&[completed(claimed.pop().unwrap()), third]).unwrap();
    let sound = verify(&*store, &job).unwrap();
    assert!(sound.passed(), "{sound:?}");
    store.admin().batch_execute(damage).unwrap();
    verify(&*store, &job).unwrap().problems.join("\n")
}

#[test]
fn damage_is_found_and_told() {
    for (damage, words) in [
        ("UPDATE counts SET pending = pending + 1 WHERE shard = 3", "the counts kept are"),
        ("DELETE FROM items WHERE seq = 2", "there is a state of item 2, but no such item"),
        ("DELETE FROM due WHERE seq = 3", "item 3 is pending, but nobody can claim it"),
        ("DELETE FROM due WHERE seq = 4", "item 4 is pending, but nobody can claim it"),
        ("UPDATE due SET version = 0 WHERE seq = 3", "item 3 is pending, but nobody can claim it"),
        ("UPDATE due SET run_at = 1 WHERE seq = 3", "item 3 is pending, but nobody can claim it"),
        ("INSERT INTO due VALUES (1, 0, 2, 2, 2)", "2 items are pending, but 3 can be claimed"),
        ("DELETE FROM claims", "item 1 is pending, but nobody can claim it"),
        ("DELETE FROM history WHERE seq = 2 AND version = 2", "item 2"),
        ("UPDATE states SET version = 3 WHERE seq = 2", "item 2"),
        ("UPDATE states SET attempts = 7 WHERE seq = 3", "item `3`"),
    ] {
        let told = told(damage);
        assert!(told.contains(words), "{damage}: {told}");
    }
}

#[test]
fn a_state_that_does_not_exist_is_told_with_its_place() {
    let store = throwaway();
    let job = job_of(&*store, 1);
    store.admin().execute("INSERT INTO states (job, seq, state) VALUES (1, 1, 9)", &[]).unwrap();
    let told = store.item(&job, &"1".into()).unwrap_err().to_string();
    assert!(told.contains("item 1: `items_now.state`: no such state"), "{told}");
}

#[test]
fn what_is_due_at_a_version_that_its_items_do_not_have_is_not_handed_out() {
    let store = throwaway();
    let job = job_of(&*store, 1);
    let leased = claim(&*store, &job, "worker", 1).remove(0);
    store.record(&[leased.step(Interrupt, job.created_at).seal()]).unwrap();
    store.admin().execute("UPDATE states SET version = 3", &[]).unwrap();
    let told = store.claim(&ClaimRequest::new(job.id, "agent-1", 1, job.created_at)).unwrap_err().to_string();
    assert!(told.contains("of 1 items that are due, 0 are there and pending"), "{told}");
}
