//! Connections that break.

use std::sync::mpsc;
use std::thread::scope;

use workitem_postgres::PostgresStore;
use workitem_store::{Outcome, Runner, Store, StoreError};

use super::common::{Throwaway, assert_sound, at, claim, completed, job_of, throwaway};

/// Ends every session of a store; how many.
fn end_sessions(store: &Throwaway) -> i64 {
    let name = store.schema();
    let mut admin = store.admin();
    let ended = admin.query_one(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = $1",
        &[&name],
    );
    ended.unwrap().get(0)
}

/// Its sessions are under its schema's name, so that a test ends its own only.
fn named() -> Throwaway {
    let store = throwaway();
    let url = format!("{}&application_name={}", store.url, store.schema());
    Throwaway { store: PostgresStore::open(&url).unwrap(), url }
}

#[test]
fn a_connection_that_broke_while_it_was_idle_is_replaced_and_nobody_hears_of_it() {
    let store = named();
    let job = job_of(&*store, 3);
    for round in 1..=3 {
        assert!(end_sessions(&store) > 0, "round {round}");
        assert_eq!(claim(&*store, &job, "worker", 1).len(), 1);
        assert!(end_sessions(&store) > 0, "round {round}");
        assert_eq!(store.counts(job.id).unwrap().by_status.in_progress, round);
    }
}

#[test]
fn who_connects_anew_meets_a_schema_that_has_become_newer() {
    let store = named();
    let job = job_of(&*store, 2);
    let claimed = claim(&*store, &job, "worker", 1);
    store.admin().execute(&format!("UPDATE {}.meta SET version = 99", store.schema()), &[]).unwrap();
    assert!(end_sessions(&store) > 0);
    let steps: Vec<_> = claimed.into_iter().map(completed).collect();
    let newer = |error: StoreError| {
        assert!(matches!(error, StoreError::NewerSchema { found: 99, known: 1, .. }), "{error}");
    };
    newer(store.record(&steps).unwrap_err());
    newer(store.counts(job.id).unwrap_err());
    let runner = Runner { process: 1, since: at(1), settled_before: 0 };
    newer(store.lock_job(&job, &runner).map(drop).unwrap_err());
    store.admin().execute(&format!("UPDATE {}.meta SET version = 1", store.schema()), &[]).unwrap();
    assert_eq!(store.record(&steps).unwrap(), [Outcome::Recorded]);
}

#[test]
fn a_connection_that_breaks_within_a_transaction_is_an_error_and_the_next_call_works() {
    let store = named();
    let job = job_of(&*store, 4);
    let claims = claim(&*store, &job, "worker", 2);
    let steps: Vec<_> = claims.into_iter().map(completed).collect();
    // Somebody holds the counts, so that the transaction waits at its end, and is ended meanwhile.
    let mut admin = store.admin();
    let mut holder = admin.transaction().unwrap();
    holder.execute("SELECT 1 FROM counts FOR UPDATE", &[]).unwrap();
    let (waits, told) = mpsc::channel();
    let failed = scope(|scope| {
        let (store, steps) = (&store, &steps);
        let recording = scope.spawn(move || {
            waits.send(()).unwrap();
            store.record(steps)
        });
        told.recv().unwrap();
        let mut other = store.admin();
        let waiting =
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock'";
        while other.query_one(waiting, &[&store.schema()]).unwrap().get::<_, i64>(0) == 0 {}
        assert!(end_sessions(store) > 0);
        recording.join().unwrap()
    });
    let Err(StoreError::Engine { what, .. }) = failed else { panic!("{failed:?}") };
    assert!(what.starts_with("recording: "), "{what}");
    holder.rollback().unwrap();
    // Nothing was written, and all stays with the caller.
    assert_eq!(store.counts(job.id).unwrap().by_status.in_progress, 2);
    assert_eq!(store.history(job.id, 1..=4).unwrap().len(), 2);
    assert_eq!(store.record(&steps).unwrap(), [Outcome::Recorded; 2]);
    assert_sound(&*store, &job);
}

#[test]
fn a_lock_ends_with_its_session_and_says_who_had_it_until_then() {
    let store = named();
    let job = job_of(&*store, 1);
    let runner = Runner { process: 4_711, since: at(1), settled_before: 3 };
    let other =
        PostgresStore::open(&store.url.replace("application_name=", "application_name=other_")).unwrap();
    let lost = store.lock_job(&job, &runner).unwrap();
    assert_eq!(other.running(&job).unwrap(), Some(runner.clone()));
    assert!(
        matches!(other.lock_job(&job, &runner), Err(StoreError::Busy { by, .. }) if by == "process 4711")
    );
    assert!(end_sessions(&store) > 0);
    let second = Runner { process: 4_712, ..runner };
    let held = other.lock_job(&job, &second).unwrap();
    assert_eq!(
        store.running(&job).unwrap(),
        Some(second.clone()),
        "the row of the one that died says nothing"
    );
    drop(lost);
    assert_eq!(store.running(&job).unwrap(), Some(second));
    drop(held);
    assert_eq!(store.running(&job).unwrap(), None);
}

#[test]
fn more_threads_than_connections_wait_for_each_other_and_all_are_served() {
    let store = named();
    let job = job_of(&*store, 1);
    scope(|scope| {
        for _ in 0..30 {
            let (store, id) = (&store, job.id);
            scope.spawn(move || {
                for _ in 0..10 {
                    assert_eq!(store.counts(id).unwrap().by_status.pending, 1);
                }
            });
        }
    });
    let open = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1";
    let open: i64 = store.admin().query_one(open, &[&store.schema()]).unwrap().get(0);
    assert!((1..=8).contains(&open), "{open}");
}
