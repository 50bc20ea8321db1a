//! Many at one job.

use std::collections::BTreeSet;
use std::thread::scope;
use std::time::Duration;

use workitem_postgres::PostgresStore;
use workitem_store::{Leased, Outcome, Recovered, Store, StoreError, StoreExt, recover};
use workitem_typestate::{AgentFailed, AgentStart, InProgress, Interrupt, MoveToDeadLetter};

use super::common::{assert_sound, at, claim, completed, job_of, throwaway};

const WORKERS: usize = 8;

#[test]
fn eight_workers_with_stores_of_their_own_share_no_item() {
    let store = throwaway();
    let job = job_of(&*store, 2_000);
    let seen: Vec<u64> = scope(|scope| {
        let workers: Vec<_> = (0..WORKERS)
            .map(|nth| {
                let (job, url) = (&job, &store.url);
                scope.spawn(move || {
                    let store = PostgresStore::open(url).unwrap();
                    let agent = format!("worker-{nth}");
                    let mut seen = Vec::new();
                    loop {
                        let claims = claim(&store, job, &agent, 10 + nth);
                        if claims.is_empty() {
                            return seen;
                        }
                        seen.extend(claims.iter().map(|leased| leased.token().seq()));
                        let steps: Vec<_> = claims.into_iter().map(completed).collect();
                        assert_eq!(store.record(&steps).unwrap(), vec![Outcome::Recorded; steps.len()]);
                    }
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert_eq!(seen.len(), 2_000);
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), (1..=2_000).collect());
    assert_eq!(store.counts(job.id).unwrap().by_status.completed, 2_000);
    assert_sound(&*store, &job);
}

#[test]
fn counts_are_exact_under_eight_writers_who_do_everything() {
    let store = throwaway();
    let job = job_of(&*store, 1_000);
    scope(|scope| {
        for nth in 0..WORKERS {
            let (job, store) = (&job, &store);
            scope.spawn(move || {
                let agent = format!("worker-{nth}");
                for round in 0..12 {
                    let claims = claim(&**store, job, &agent, 20);
                    let step = |(n, leased): (usize, Leased<_>)| match (n + nth + round) % 4 {
                        0 => completed(leased),
                        1 => leased.step(Interrupt, at(3)).seal(),
                        2 => leased.step(AgentFailed { error: "exit 7".into() }, at(3)).seal(),
                        _ => {
                            let failed = leased.step(AgentFailed { error: "exit 7".into() }, at(3));
                            failed.then(MoveToDeadLetter, at(3)).seal()
                        }
                    };
                    let steps: Vec<_> = claims.into_iter().enumerate().map(step).collect();
                    store.record(&steps).unwrap();
                    let added = format!("{nth} {round}");
                    let item =
                        workitem_store::NewItem { id: added.as_str().into(), payload: added.as_str().into() };
                    assert_eq!(store.add(job.id, &[item]).unwrap(), 1);
                    store.renew(job.id, &agent, Duration::from_mins(1), at(3)).unwrap();
                    let letters = store.letters(job.id, 0, 3).unwrap();
                    let seqs: Vec<u64> = letters.iter().map(|letter| letter.item.seq).collect();
                    if round % 2 == 0 {
                        store.retry_letters(job.id, &seqs).unwrap();
                    } else {
                        store.drop_letters(job.id, &seqs).unwrap();
                    }
                }
            });
        }
    });
    let counts = store.counts(job.id).unwrap();
    assert_eq!(counts, store.recount(job.id).unwrap());
    assert!(counts.by_status.total() > 1_096, "{counts:?}");
    assert_sound(&*store, &job);
}

#[test]
fn whoever_records_the_same_items_in_another_order_waits_and_does_not_deadlock() {
    let store = throwaway();
    let job = job_of(&*store, 200);
    let claims = claim(&*store, &job, "worker", 200);
    let steps: Vec<_> = claims.into_iter().map(completed).collect();
    let outcomes: Vec<Outcome> = scope(|scope| {
        let (forward, store) = (&steps, &store);
        let writers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(move || {
                    let mut all = Vec::new();
                    for _ in 0..5 {
                        all.extend(store.record(forward).unwrap());
                    }
                    all
                })
            })
            .collect();
        writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
    });
    assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Recorded), "each is told that it is recorded");
    assert_eq!(store.history(job.id, 1..=200).unwrap().len(), 400, "and each is, once");
    assert_sound(&*store, &job);
}

#[test]
fn an_item_of_a_live_worker_is_never_abandoned_while_others_recover() {
    let store = throwaway();
    let job = job_of(&*store, 400);
    let dead = claim(&*store, &job, "dead", 200).len();
    let live = claim(&*store, &job, "live", 200);
    store.renew(job.id, "dead", Duration::ZERO, at(3)).unwrap();
    let recovered: usize = scope(|scope| {
        let (store, id) = (&store, job.id);
        let keeper = scope.spawn(move || {
            for _ in 0..50 {
                store.renew(id, "live", Duration::from_secs(5), at(3)).unwrap();
            }
        });
        let recoverers = [4, 5, 6].map(|now| {
            scope.spawn(move || {
                let recovered = recover(&**store, id, 10, &|_| true, at(now)).unwrap();
                assert_eq!(
                    recovered,
                    Recovered { interrupted: recovered.interrupted, ..Recovered::default() }
                );
                recovered.interrupted
            })
        });
        keeper.join().unwrap();
        recoverers.into_iter().map(|recoverer| recoverer.join().unwrap()).sum()
    });
    assert_eq!(recovered, dead);
    let steps: Vec<_> = live.into_iter().map(completed).collect();
    assert!(store.record(&steps).unwrap().iter().all(|outcome| *outcome == Outcome::Recorded));
    assert_sound(&*store, &job);
}

#[test]
fn what_another_process_puts_back_is_found_again() {
    let store = throwaway();
    let other = PostgresStore::open(&store.url).unwrap();
    let job = job_of(&*store, 30);
    let first = claim(&*store, &job, "one", 10);
    assert_eq!(claim(&*store, &job, "one", 10).len(), 10);
    let steps: Vec<_> = first.into_iter().map(|leased| leased.step(Interrupt, at(3)).seal()).collect();
    other.record(&steps).unwrap();
    let rest: BTreeSet<u64> =
        claim(&*store, &job, "one", 30).iter().map(|leased| leased.token().seq()).collect();
    assert_eq!(rest, (1..=10).chain(21..=30).collect());
}

#[test]
fn claims_that_hold_nothing_are_removed_when_their_worker_says_something_or_is_gone() {
    let store = throwaway();
    let job = job_of(&*store, 600);
    let rows = |worker: &str| -> Vec<i64> {
        let claims = "SELECT seq FROM claims WHERE worker = $1 ORDER BY seq";
        let rows = store.admin().query(claims, &[&worker.as_bytes()]).unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    };
    let record = |leased: Vec<Leased<InProgress>>| {
        let steps: Vec<_> = leased.into_iter().map(completed).collect();
        assert!(store.record(&steps).unwrap().iter().all(|outcome| *outcome == Outcome::Recorded));
    };
    let mut here = claim(&*store, &job, "here", 300);
    let mut gone = claim(&*store, &job, "gone", 200);
    assert_eq!((rows("here"), rows("gone")), (vec![1, 129, 257], vec![301, 385]));
    // All but one item of the second range.
    let left = here.remove(199);
    record(here);
    record(gone.drain(..84).collect());
    store.renew(job.id, "here", Duration::from_mins(1), at(3)).unwrap();
    assert_eq!((rows("here"), rows("gone")), (vec![129], vec![301, 385]));
    store.renew(job.id, "gone", Duration::from_millis(1), at(3)).unwrap();
    assert_eq!(rows("gone"), [385]);
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(recover(&*store, job.id, 10, &|_| true, at(4)).unwrap().interrupted, 116);
    assert_eq!((rows("here"), rows("gone")), (vec![129], vec![]));
    record(vec![left]);
    let mut other = store.admin();
    let mut removing = other.transaction().unwrap();
    removing.execute("SELECT 1 FROM claims FOR UPDATE", &[]).unwrap();
    store.renew(job.id, "here", Duration::from_mins(1), at(5)).unwrap();
    assert_eq!(rows("here"), [129], "somebody else is at it, and is not waited for");
    removing.rollback().unwrap();
    store.renew(job.id, "here", Duration::ZERO, at(5)).unwrap();
    assert_eq!(rows("here"), Vec::<i64>::new());
    assert_sound(&*store, &job);
}

#[test]
fn what_is_just_being_claimed_is_not_begun_by_a_step() {
    let store = throwaway();
    let job = job_of(&*store, 1);
    let leased = claim(&*store, &job, "one", 1).remove(0);
    let pending = store.commit(leased.step(Interrupt, at(2))).unwrap();
    let mut other = store.admin();
    let mut claiming = other.transaction().unwrap();
    let taken = "DELETE FROM due; INSERT INTO claims VALUES (1, 1, 1, 2, 'two', 3, 0)";
    claiming.batch_execute(taken).unwrap();
    let begun = scope(|scope| {
        let start = AgentStart { agent_id: "one".into() };
        let beginning = scope.spawn(|| store.commit(pending.step(start, at(4))).map(drop));
        let mut admin = store.admin();
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'
            AND query LIKE '%FROM due%' AND pid = ANY (SELECT pid FROM pg_locks WHERE relation = $1::text::regclass)";
        let due = format!("{}.due", store.schema());
        while admin.query_one(waiting, &[&due]).unwrap().get::<_, i64>(0) == 0 {
            assert!(!beginning.is_finished(), "it has to wait for who claims");
        }
        claiming.commit().unwrap();
        beginning.join().unwrap()
    });
    assert!(matches!(begun, Err(StoreError::Fenced { .. })), "{begun:?}");
    let row = store.item(&job, &"1".into()).unwrap();
    assert_eq!((row.version, row.record.attempts), (3, 2), "it is the other's");
}
