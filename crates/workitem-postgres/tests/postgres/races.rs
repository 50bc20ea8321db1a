//! Two at the same items at the same time, in an order that a test decides: whoever comes first waits at a gate, whoever
//! comes second for the first.

use std::slice::from_ref;
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use workitem_store::{
    Abandoned, AnyStep, BlobName, Blobs, ClaimRequest, Job, Leased, Outcome, Store, StreamKind, Upkeep,
};
use workitem_typestate::{AgentStart, InProgress, Interrupt, Pending};

use super::common::{Throwaway, assert_sound, at, claim, completed, job_of, throwaway};

fn put_back(leased: Leased<InProgress>) -> AnyStep {
    leased.step(Interrupt, at(2)).seal()
}

fn begun(pending: Leased<Pending>, agent: &str) -> AnyStep {
    pending.step(AgentStart { agent_id: agent.into() }, at(4)).seal()
}

/// A job of so many items that were all put back, so that who begins them has to find them.
fn pending(store: &Throwaway, items: usize) -> (Job, Vec<Leased<Pending>>) {
    let job = job_of(&**store, items);
    let steps: Vec<AnyStep> = claim(&**store, &job, "one", items).into_iter().map(put_back).collect();
    assert_eq!(store.record(&steps).unwrap(), vec![Outcome::Recorded; items]);
    (job, steps.into_iter().map(AnyStep::durable).collect())
}

/// Waits until so many sessions wait for a lock in this schema.
fn until_they_wait(store: &Throwaway, sessions: i64) {
    let mut admin = store.admin();
    let waiting = "SELECT count(*) FROM pg_stat_activity a WHERE wait_event_type = 'Lock' AND EXISTS
        (SELECT 1 FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE l.pid = a.pid AND n.nspname = $1)";
    let started = Instant::now();
    while admin.query_one(waiting, &[&store.schema()]).unwrap().get::<_, i64>(0) < sessions {
        assert!(started.elapsed() < Duration::from_mins(1), "nobody waits");
        sleep(Duration::from_millis(5));
    }
}

/// Records one batch, which waits for what `gate` locks, and then the other, which waits for the first.
fn one_after_the_other(store: &Throwaway, gate: &str, one: &[AnyStep], two: &[AnyStep]) -> [Vec<Outcome>; 2] {
    let mut admin = store.admin();
    let mut gatekeeper = admin.transaction().unwrap();
    gatekeeper.query(gate, &[]).unwrap();
    scope(|scope| {
        let first = scope.spawn(|| store.record(one));
        until_they_wait(store, 1);
        let second = scope.spawn(|| store.record(two));
        until_they_wait(store, 2);
        gatekeeper.rollback().unwrap();
        [first, second].map(|batch| batch.join().unwrap().unwrap())
    })
}

/// Where writers wait last.
const COUNTS: &str = "SELECT 1 FROM counts FOR UPDATE";

#[test]
fn of_two_who_record_an_item_that_was_tried_before_the_second_is_fenced() {
    let store = throwaway();
    let job = job_of(&*store, 1);
    store.record(&[put_back(claim(&*store, &job, "one", 1).remove(0))]).unwrap();
    let leased = claim(&*store, &job, "one", 1).remove(0);
    // Its lease runs out; somebody finds it, and it reports at the same moment.
    store.renew(job.id, "one", Duration::ZERO, at(3)).unwrap();
    let abandoned = store.abandoned(job.id, 9, at(3)).unwrap().remove(0);
    let Abandoned::Running { leased: found, .. } = abandoned else { panic!("{abandoned:?}") };
    let (one, two) = ([completed(leased)], [found.step(Interrupt, at(9)).seal()]);
    let outcomes = one_after_the_other(&store, COUNTS, &one, &two);
    assert_eq!(outcomes, [[Outcome::Recorded], [Outcome::Fenced]]);
    assert_sound(&*store, &job);
}

#[test]
fn many_may_begin_neighbours() {
    let store = throwaway();
    let (job, items) = pending(&store, 8);
    let steps: Vec<AnyStep> = items.into_iter().map(|item| begun(item, "one")).collect();
    let mut admin = store.admin();
    let mut gate = admin.transaction().unwrap();
    gate.query("SELECT 1 FROM due FOR UPDATE", &[]).unwrap();
    let outcomes: Vec<_> = scope(|scope| {
        let store = &store;
        let begun: Vec<_> = steps.iter().map(|step| scope.spawn(|| store.record(from_ref(step)))).collect();
        until_they_wait(store, 8);
        gate.rollback().unwrap();
        begun.into_iter().map(|step| step.join().unwrap().unwrap()).collect()
    });
    // What one leaves of the range that they are all in, the others have to find anew.
    assert_eq!(outcomes.concat(), [Outcome::Recorded; 8]);
    assert_sound(&*store, &job);
}

#[test]
fn a_beginning_that_is_sent_again_while_it_is_under_way_is_recorded_once() {
    let store = throwaway();
    let (job, mut items) = pending(&store, 1);
    let steps = [begun(items.remove(0), "one")];
    // Somebody is just claiming, and gives it up.
    let outcomes = one_after_the_other(&store, "SELECT 1 FROM due FOR UPDATE", &steps, &steps);
    assert_eq!(outcomes, [[Outcome::Recorded], [Outcome::Recorded]]);
    assert_sound(&*store, &job);
}

#[test]
fn batches_that_begin_items_in_any_order_wait_for_each_other_in_one() {
    let store = throwaway();
    let (job, mut items) = pending(&store, 400);
    fastrand::seed(7);
    fastrand::shuffle(&mut items);
    let mut batches: Vec<Vec<AnyStep>> = Vec::new();
    while !items.is_empty() {
        batches.push(items.drain(..50).map(|item| begun(item, "one")).collect());
    }
    let outcomes: Vec<_> = scope(|scope| {
        let store = &store;
        let batches: Vec<_> = batches.iter().map(|batch| scope.spawn(|| store.record(batch))).collect();
        batches.into_iter().map(|batch| batch.join().unwrap().unwrap()).collect()
    });
    assert_eq!(outcomes.concat(), [Outcome::Recorded; 400]);
    assert_sound(&*store, &job);
}

#[test]
fn who_is_chosen_to_end_a_deadlock_tries_again() {
    let store = throwaway();
    let (job, items) = pending(&store, 2);
    let steps: Vec<AnyStep> = items.into_iter().map(|item| begun(item, "one")).collect();
    let mut admin = store.admin();
    let mut other = admin.transaction().unwrap();
    // Whoever has waited for this long looks whether it is for ever.
    other.batch_execute("SET LOCAL deadlock_timeout = '1h'").unwrap();
    other.query("SELECT 1 FROM states WHERE seq = 2 FOR UPDATE", &[]).unwrap();
    let outcomes = scope(|scope| {
        let recording = scope.spawn(|| store.record(&steps));
        until_they_wait(&store, 1);
        other.query("SELECT 1 FROM states WHERE seq = 1 FOR UPDATE", &[]).unwrap();
        other.rollback().unwrap();
        recording.join().unwrap()
    });
    assert_eq!(outcomes.unwrap(), [Outcome::Recorded; 2]);
    assert_sound(&*store, &job);
}

#[test]
fn a_job_that_goes_on_meanwhile_is_not_noted_as_finished() {
    let store = throwaway();
    let job = job_of(&*store, 1);
    let finished = |leased| {
        store.record(&[completed(leased)]).unwrap();
        assert!(store.counts(job.id).unwrap().is_finished());
    };
    finished(claim(&*store, &job, "one", 1).remove(0));
    // Somebody adds to it, and has not committed yet.
    let mut admin = store.admin();
    let mut adding = admin.transaction().unwrap();
    adding.query("SELECT 1 FROM jobs FOR NO KEY UPDATE", &[]).unwrap();
    let is_first = scope(|scope| {
        let finishing = scope.spawn(|| store.finish(job.id, at(3)).unwrap());
        until_they_wait(&store, 1);
        adding.execute("UPDATE counts SET pending = pending + 1 WHERE shard = 0", &[]).unwrap();
        adding.commit().unwrap();
        finishing.join().unwrap()
    });
    assert!(!is_first, "an item is pending");
}

#[test]
fn when_something_is_due_next_is_known_though_others_are_just_claiming_it() {
    let store = throwaway();
    let job = job_of(&*store, 300);
    let mut admin = store.admin();
    let mut other = admin.transaction().unwrap();
    other.query("SELECT 1 FROM due WHERE seq = 1 FOR UPDATE", &[]).unwrap();
    let claims = store.claim(&ClaimRequest::new(job.id, "one", 1_000, at(1))).unwrap();
    other.rollback().unwrap();
    assert_eq!((claims.claims.len(), claims.next_due.is_some()), (172, true));
}

#[test]
fn who_finds_a_single_item_first_keeps_others_from_little_more_than_a_claim() {
    let store = throwaway();
    let job = job_of(&*store, 12_000);
    let mut claims = claim(&*store, &job, "one", 128);
    store.record(&[put_back(claims.remove(50))]).unwrap();
    let mut admin = store.admin();
    let mut gate = admin.transaction().unwrap();
    gate.execute("INSERT INTO workers VALUES ($1, 'two', now())", &[&job.id.0]).unwrap();
    let claimed = scope(|scope| {
        let two = scope.spawn(|| claim(&*store, &job, "two", 100).len());
        until_they_wait(&store, 1);
        let three = claim(&*store, &job, "three", 100).len();
        gate.rollback().unwrap();
        [two.join().unwrap(), three]
    });
    assert_eq!(claimed, [100; 2], "of 11,873 items that are pending");
}

#[test]
fn output_of_an_item_that_nobody_has_put_back_yet_is_not_left_over() {
    let store = throwaway();
    let job = job_of(&*store, 1);
    let leased = claim(&*store, &job, "one", 1).remove(0);
    let name = BlobName { job: job.id, seq: 1, attempt: 1, stream: StreamKind::Stdout };
    let mut blob = store.create(name).unwrap();
    blob.write_all(b"output").unwrap();
    blob.finish().unwrap();
    store.renew(job.id, "one", Duration::ZERO, at(2)).unwrap();
    assert_eq!(store.abandoned(job.id, 10, at(2)).unwrap().len(), 1);
    // Who has found that may be fenced, or killed: its own word still counts.
    assert_eq!(store.sweep_job(job.id, true).unwrap().pieces, 0);
    store.record(&[put_back(leased)]).unwrap();
    assert_eq!(store.sweep_job(job.id, true).unwrap().pieces, 1);
}
