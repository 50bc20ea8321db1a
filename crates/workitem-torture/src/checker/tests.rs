//! Each promise is broken by hand, in a store that was made as any other is; the checker must say which.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempDir;
use workitem_sqlite::SqliteStore;
use workitem_store::{ClaimRequest, NewItem, NewJob, SettledLease, Store, StoreExt};
use workitem_types::AgentResult;
use workitem_typestate::{AgentComplete, AgentFailed, MaxAttempts};

use super::{Acknowledged, Moment, Promise, check};

const NOW: chrono::DateTime<chrono::Utc> = chrono::DateTime::UNIX_EPOCH;

/// A store with a job of five items: the first completed, the second given up, the third in progress.
struct Bench {
    folder: TempDir,
    acknowledged: BTreeMap<String, Acknowledged>,
}

impl Bench {
    fn new() -> Self {
        let bench = Self { folder: tempfile::tempdir().unwrap(), acknowledged: BTreeMap::new() };
        let store = SqliteStore::create(&bench.path()).unwrap();
        let job = store.create_job(&NewJob { name: Some("job".into()), spec: "".into(), now: NOW }).unwrap();
        let items = ["1", "2", "3", "4", "5"].map(|id| NewItem { id: id.into(), payload: "x".into() });
        store.submit(job.id, &items).unwrap();
        store.seal(job.id, "five items").unwrap();
        let mut claims = store.claim(&ClaimRequest::new(job.id, "agent", 3, NOW)).unwrap().claims.into_iter();
        let mut next = || claims.next().unwrap().leased;
        let result = Box::new(AgentResult::success("1".into(), None, Duration::ZERO));
        let _ = store.commit(next().step(AgentComplete { result }, NOW)).unwrap();
        let failed = next().step(AgentFailed { error: "exit 1".into() }, NOW);
        let SettledLease::DeadLetter(step) = failed.settle(&MaxAttempts(1), NOW) else {
            panic!("one attempt")
        };
        let _ = store.commit(step).unwrap();
        let _ = next();
        let acknowledged = Acknowledged {
            items: Some(5),
            completed: ["1".to_owned()].into(),
            given_up: ["2".to_owned()].into(),
            started: [("1".to_owned(), 1), ("3".to_owned(), 1)].into(),
            ..Acknowledged::default()
        };
        Self { acknowledged: [("job".to_owned(), acknowledged)].into(), ..bench }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("store.db")
    }

    fn tamper(&self, sql: &str) {
        Connection::open(self.path()).unwrap().execute_batch(sql).unwrap();
    }

    fn knows(&mut self, what: impl FnOnce(&mut Acknowledged)) {
        what(self.acknowledged.get_mut("job").unwrap());
    }

    #[track_caller]
    fn breaks(&self, moment: Moment, promise: Promise, words: &str) {
        let found = check(&self.path(), &self.acknowledged, moment).unwrap();
        let expected =
            |violation: &super::Violation| violation.promise == promise && violation.what.contains(words);
        assert!(found.iter().any(expected), "expected `{words}`, found {found:#?}");
    }
}

#[test]
fn a_sound_store_breaks_nothing() {
    let bench = Bench::new();
    assert_eq!(check(&bench.path(), &bench.acknowledged, Moment::Cut).unwrap(), []);
    // Also where nobody knows anything.
    assert_eq!(check(&bench.path(), &BTreeMap::new(), Moment::Cut).unwrap(), []);
}

#[test]
fn what_was_acknowledged_must_be_there() {
    let mut bench = Bench::new();
    bench.knows(|job| job.items = Some(6));
    bench.breaks(Moment::Cut, Promise::NothingLost, "6 items were acknowledged, 5 are there");
    bench.knows(|job| {
        job.completed.insert("4".into());
        job.completed.insert("6".into());
    });
    bench.breaks(Moment::Cut, Promise::NothingLost, "item `4` was reported as Completed, and is Pending");
    bench.breaks(Moment::Cut, Promise::NothingLost, "item `6` was reported as Completed, and is not there");
    bench.knows(|job| {
        job.given_up.insert("1".into());
    });
    bench.breaks(
        Moment::Cut,
        Promise::NothingLost,
        "item `1` was reported as DeadLettered, and is Completed",
    );
    bench.knows(|job| {
        job.started.insert("3".into(), 2);
    });
    bench.breaks(Moment::Cut, Promise::NothingLost, "item `3`: attempt 2 has started, 1 are recorded");
}

#[test]
fn an_acknowledged_job_must_be_there_and_sealed() {
    let bench = Bench::new();
    bench.tamper("UPDATE jobs SET digest = NULL");
    bench.breaks(Moment::Cut, Promise::NothingLost, "its input was acknowledged, and is not complete");
    bench.tamper("DELETE FROM jobs");
    bench.breaks(Moment::Cut, Promise::NothingLost, "job `job`: is gone");
}

#[test]
fn an_item_completes_once() {
    let bench = Bench::new();
    // Wherever the second record stands, and whatever else is wrong with it.
    bench.tamper(
        "INSERT INTO history SELECT job, seq, version + 1, event, payload, at, cause FROM history WHERE event = 1",
    );
    bench.breaks(Moment::Cut, Promise::RecordedOnce, "item `1` is recorded as completed 2 times");
    bench.tamper("DELETE FROM history WHERE event = 1");
    bench.breaks(Moment::Cut, Promise::RecordedOnce, "item `1` is Completed, and completed 0 times");
}

#[test]
fn histories_have_no_gaps_and_counts_are_exact() {
    let bench = Bench::new();
    bench.tamper("UPDATE jobs SET pending = pending + 1");
    bench.breaks(Moment::Cut, Promise::Verifies, "counted anew");
    bench.tamper("DELETE FROM history WHERE seq = 2 AND version = 2");
    bench.breaks(Moment::Cut, Promise::Verifies, "item `2`: event 3 follows event 1");
}

#[test]
fn a_damaged_job_does_not_keep_the_others_from_being_checked() {
    let bench = Bench::new();
    let store = SqliteStore::open(&bench.path()).unwrap();
    store.create_job(&NewJob { name: Some("other".into()), spec: "".into(), now: NOW }).unwrap();
    bench.tamper(
        "UPDATE items SET text = NULL WHERE seq = 2; UPDATE jobs SET pending = 9 WHERE name = 'other'",
    );
    bench.breaks(Moment::Cut, Promise::Verifies, "job `job`");
    bench.breaks(Moment::Cut, Promise::Verifies, "job `other`");
}

#[test]
fn nothing_is_left_in_progress_at_rest_and_nothing_at_all_at_the_end() {
    let bench = Bench::new();
    bench.breaks(Moment::AtRest, Promise::NothingStuck, "item `3` is InProgress");
    assert_eq!(check(&bench.path(), &bench.acknowledged, Moment::AtRest).unwrap().len(), 1);
    bench.breaks(Moment::Finished, Promise::EveryItemSettled, "item `3` is InProgress");
    bench.breaks(Moment::Finished, Promise::EveryItemSettled, "item `4` is Pending");
    assert_eq!(check(&bench.path(), &bench.acknowledged, Moment::Finished).unwrap().len(), 3);
}
