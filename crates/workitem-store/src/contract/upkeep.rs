//! What is old, what belongs to nobody, and what there is to know.

use std::io::Write;
use std::time::Duration;

use workitem_types::AgentResult;
use workitem_typestate::{AgentComplete, Interrupt};

use super::{assert_sound, at, claim_one, completed, counts, job_of, leave, numbered, open_job, record};
use crate::{
    AttemptOutput, BlobName, Captured, INLINE_OUTPUT, Job, Kept, Runner, Severity, Store, StoreError,
    StreamKind, Swept,
};

pub fn a_job_last_changed_when_its_last_event_happened(store: &dyn Store) {
    let job = job_of(store, 2);
    assert_eq!(store.last_change(&job).unwrap(), at(0), "it was made");
    let (first, second) = (claim_one(store, &job, 5), claim_one(store, &job, 6));
    record(store, completed(second, 90));
    record(store, completed(first, 70));
    assert_eq!(store.last_change(&job).unwrap(), at(90));
    let other = open_job(store, "other");
    assert_eq!(store.last_change(&other).unwrap(), at(0));
}

pub fn a_job_weighs_what_it_holds(store: &dyn Store) {
    let job = job_of(store, 3);
    let inputs: usize = numbered(3).iter().map(|item| item.payload.as_json().len()).sum();
    let light = store.weight(job.id).unwrap();
    assert!(light >= inputs as u64, "{light}");
    let said = AttemptOutput { stderr: vec![b'x'; 1_000].into(), ..AttemptOutput::default() };
    let leased = claim_one(store, &job, 1);
    record(store, leased.step(Interrupt, at(2)).with_output(said).seal());
    let heavier = store.weight(job.id).unwrap();
    assert!(heavier >= light + 1_000, "{light} and {heavier}");
    with_long_output(store, &job, 3);
    let heavy = store.weight(job.id).unwrap();
    assert!(heavy >= heavier + LONG as u64, "{heavier} and {heavy}");
    store.delete_job(job.id).unwrap();
    assert_eq!(store.weight(job.id).unwrap(), 0);
}

pub fn a_job_is_deleted_unless_it_has_changed(store: &dyn Store) {
    let (job, other) = (job_of(store, 1), open_job(store, "other"));
    let seen = counts(store, &job);
    store.add(job.id, &numbered(2)).unwrap();
    assert!(!store.delete_unchanged(job.id, &seen).unwrap());
    assert_sound(store, &job);
    let name = with_long_output(store, &job, 1);
    assert!(store.delete_unchanged(job.id, &counts(store, &job)).unwrap());
    assert!(matches!(store.job("job"), Err(StoreError::NoJob { .. })));
    assert!(store.open(name).is_err());
    assert!(store.history(job.id, 1..=2).unwrap_or_default().is_empty());
    assert!(matches!(store.delete_unchanged(job.id, &seen), Err(StoreError::NoJob { .. })));
    assert_eq!(store.jobs().unwrap(), [other]);
}

pub fn output_that_no_attempt_refers_to_is_swept(store: &dyn Store) {
    let (job, other) = (job_of(store, 2), open_job(store, "other"));
    let kept = with_long_output(store, &job, 1);
    // The other stream of that attempt, an attempt that was cut off, and one of a job that is not meant.
    let strays = [
        BlobName { stream: StreamKind::Stderr, ..kept },
        BlobName { attempt: 2, ..kept },
        BlobName { job: other.id, ..kept },
    ];
    for name in strays {
        write_blob(store, name);
    }
    let lock = store.lock_job(&job, &runner()).unwrap();
    let two = Swept { pieces: 2, bytes: 2 * LONG as u64 };
    assert_eq!(store.sweep_job(job.id, false).unwrap(), two, "only counted");
    assert_eq!(store.sweep_job(job.id, true).unwrap(), two);
    assert_eq!(store.sweep_job(job.id, true).unwrap(), Swept::default(), "once");
    drop(lock);
    assert_eq!(strays.map(|name| store.open(name).is_ok()), [false, false, true]);
    assert!(store.open(kept).is_ok());
    assert_eq!(store.sweep_gone(true).unwrap(), Swept::default(), "the other job is there");
    assert_sound(store, &job);
}

pub fn what_a_job_that_is_gone_has_left_is_swept(store: &dyn Store) {
    let (job, gone) = (job_of(store, 2), open_job(store, "gone"));
    let kept = with_long_output(store, &job, 1);
    store.delete_job(gone.id).unwrap();
    let left = BlobName { job: gone.id, ..kept };
    write_blob(store, left);
    let one = Swept { pieces: 1, bytes: LONG as u64 };
    assert_eq!(store.sweep_gone(false).unwrap(), one, "only counted");
    assert!(store.open(left).is_ok());
    assert_eq!(store.sweep_gone(true).unwrap(), one);
    assert!(store.open(left).is_err());
    assert_eq!(store.sweep_gone(true).unwrap(), Swept::default(), "once");
    assert!(store.open(kept).is_ok());
    assert_sound(store, &job);
}

pub fn a_compacted_store_holds_what_it_held(store: &dyn Store) {
    let (job, gone) = (job_of(store, 200), open_job(store, "gone"));
    store.submit(gone.id, &numbered(2_000)).unwrap();
    let kept = with_long_output(store, &job, 1);
    store.delete_job(gone.id).unwrap();
    assert!(store.compact().unwrap());
    assert!(store.open(kept).is_ok());
    assert_eq!(store.jobs().unwrap(), std::slice::from_ref(&job));
    assert_sound(store, &job);
    let again = open_job(store, "again");
    assert!(again.id > gone.id, "a number is not given out twice");
}

pub fn what_nobody_goes_on_with_is_told(store: &dyn Store) {
    let told = || {
        let findings = store.examine().unwrap().into_iter();
        let jobs =
            findings.filter(|finding| finding.severity > Severity::Note && finding.what.starts_with("job `"));
        jobs.map(|finding| (finding.what, finding.next.unwrap())).collect::<Vec<_>>()
    };
    let job = job_of(store, 3);
    assert_eq!(told(), [], "a job may wait");

    let open = open_job(store, "open");
    store.submit(open.id, &numbered(2)).unwrap();
    let [(what, next)] = &told()[..] else { panic!("{:?}", told()) };
    assert!(what.contains("`open` was being submitted") && what.contains("2 items stored"), "{what}");
    assert!(next.contains("`workitem map`"), "{next}");
    let lock = store.lock_job(&open, &runner()).unwrap();
    assert_eq!(told(), [], "somebody is submitting it");
    store.seal(open.id, "digest").unwrap();
    drop(lock);

    let lock = store.lock_job(&job, &runner()).unwrap();
    let claimed = claim_one(store, &job, 1);
    assert_eq!(told(), [], "somebody runs it");
    drop(lock);
    assert_eq!(told().is_empty(), store.is_shared(), "where there are leases, that of its worker lasts");
    leave(store, &job);
    let [(what, next)] = &told()[..] else { panic!("{:?}", told()) };
    assert!(what.contains("`job` has 1 item in progress"), "{what}");
    assert!(next.contains("`workitem resume`"), "{next}");
    record(store, completed(claimed, 2));
    assert_eq!(told(), []);
}

const LONG: usize = INLINE_OUTPUT + 1;

/// Completes an item that has printed so much that its output is a blob.
fn with_long_output(store: &dyn Store, job: &Job, now: i64) -> BlobName {
    let leased = claim_one(store, job, now);
    let (seq, attempt) = (leased.token().seq(), leased.item().attempts());
    let name = BlobName { job: job.id, seq, attempt, stream: StreamKind::Stdout };
    write_blob(store, name);
    let long = Captured { kept: Kept::Blob { len: LONG as u64 }, total: LONG as u64 };
    let output = AttemptOutput { stdout: long, stderr: Captured::default() };
    let result = Box::new(AgentResult::success("1".into(), None, Duration::ZERO));
    record(store, leased.step(AgentComplete { result }, at(now)).with_output(output).seal());
    name
}

fn write_blob(store: &dyn Store, name: BlobName) {
    let mut blob = store.create(name).unwrap();
    blob.write_all(&vec![b'x'; LONG]).unwrap();
    blob.finish().unwrap();
}

fn runner() -> Runner {
    Runner { process: 4_711, since: at(1), settled_before: 0 }
}
