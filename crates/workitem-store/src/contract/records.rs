//! Writing what happened.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::slice::from_ref;
use std::time::Duration;

use chrono::TimeDelta;
use workitem_types::{AgentResult, WorkItemRecord, WorkItemStatus};
use workitem_typestate::{AgentComplete, AgentFailed, AgentStart, Failed, Interrupt, Retry};

use super::{
    assert_sound, at, claim, claim_one, completed, counts, dead, job_of, leave, record, retried, tally,
};
use crate::{
    Abandoned, AttemptOutput, BlobName, Captured, Cause, ItemQuery, Kept, Outcome, Store, StoreError,
    StoreExt, StreamKind,
};

pub fn every_state_comes_back_as_it_was(store: &dyn Store) {
    let job = job_of(store, 5);
    let mut claims = claim(store, &job, 4, 1).into_iter();
    let mut written: Vec<WorkItemRecord> = Vec::new();
    for step in [completed, dead] {
        let step = step(claims.next().unwrap(), 2);
        written.push(step.record().clone());
        record(store, step);
    }
    let failed = claims.next().unwrap().step(AgentFailed { error: "a\0b\n🦀".into() }, at(3)).seal();
    written.push(failed.record().clone());
    record(store, failed);
    let started_at = at(1);
    let status = WorkItemStatus::InProgress { agent_id: "agent-1".into(), started_at };
    written.push(WorkItemRecord { id: "4".into(), attempts: 1, failures: 0, status });
    written.push(WorkItemRecord::new("5"));
    let rows = store.items(job.id, &ItemQuery { status: None, after: 0, limit: 10 }).unwrap();
    let read: Vec<WorkItemRecord> = rows.into_iter().map(|row| row.record).collect();
    assert_eq!(read, written);
    assert_sound(store, &job);
}

pub fn a_commit_gives_the_next_state(store: &dyn Store) {
    let job = job_of(store, 1);
    let running = claim_one(store, &job, 1);
    let failed = store.commit(running.step(AgentFailed { error: "exit 7".into() }, at(2))).unwrap();
    assert_eq!(failed.token().version(), 2);
    let pending = store.commit(failed.step(Retry, at(3))).unwrap();
    assert_eq!((pending.item().failures(), pending.token().version()), (1, 3));
    assert_eq!(tally(store, &job), (1, 0, 0, 0, 0));
    assert_sound(store, &job);
}

pub fn an_item_is_begun_by_a_step_too(store: &dyn Store) {
    let job = job_of(store, 3);
    let second = claim(store, &job, 2, 1).pop().unwrap();
    let pending = store.commit(second.step(Interrupt, at(2))).unwrap();
    let start = AgentStart { agent_id: "agent-2".into() };
    let running = store.commit(pending.step(start, at(3))).unwrap();
    assert_eq!((running.token().version(), running.item().attempts()), (3, 2));
    store.renew(job.id, "agent-2", Duration::from_mins(1), at(3)).unwrap();
    let row = store.item(&job, &"2".into()).unwrap();
    let status = WorkItemStatus::InProgress { agent_id: "agent-2".into(), started_at: at(3) };
    assert_eq!((row.version, row.record.attempts, row.record.status), (3, 2, status));
    assert_eq!(tally(store, &job), (1, 2, 0, 0, 0));
    let rest: Vec<u64> = claim(store, &job, 3, 4).iter().map(|leased| leased.token().seq()).collect();
    assert_eq!(rest, [3], "it is not handed out as well");
    assert_sound(store, &job);
    leave(store, &job);
    let abandoned = store.abandoned(job.id, 9, at(5)).unwrap();
    assert_eq!(
        abandoned.len(),
        if store.is_shared() { 2 } else { 3 },
        "it is its agent's, and that is there"
    );
    store.renew(job.id, "agent-2", Duration::ZERO, at(5)).unwrap();
    let recovered = crate::recover(store, job.id, 10, &|_| true, at(6)).unwrap();
    assert_eq!(recovered.interrupted, 3);
    assert_eq!(store.item(&job, &"2".into()).unwrap().crashes, 0, "nobody was told that it was spawned");
    assert_eq!(record(store, completed(running, 7)), Outcome::Fenced);
    // Both at once: it is put back and begun again.
    let again = claim_one(store, &job, 8).step(Interrupt, at(8));
    let again = store.commit(again.then(AgentStart { agent_id: "agent-1".into() }, at(8))).unwrap();
    assert_eq!(record(store, completed(again, 9)), Outcome::Recorded);
    assert_eq!(tally(store, &job), (2, 0, 1, 0, 0));
    assert_sound(store, &job);
}

pub fn what_was_claimed_meanwhile_is_not_begun_by_a_step(store: &dyn Store) {
    let job = job_of(store, 2);
    let pending = store.commit(claim_one(store, &job, 1).step(Interrupt, at(2))).unwrap();
    let claimed = claim(store, &job, 2, 3);
    let start = AgentStart { agent_id: "late".into() };
    let refused = store.commit(pending.step(start, at(4)));
    assert!(matches!(refused, Err(StoreError::Fenced { id }) if id.as_str() == "1"));
    let steps: Vec<_> = claimed.into_iter().map(|leased| completed(leased, 5)).collect();
    assert_eq!(store.record(&steps).unwrap(), [Outcome::Recorded; 2]);
    assert_eq!(tally(store, &job), (0, 0, 2, 0, 0));
    assert_sound(store, &job);
}

pub fn a_stale_token_changes_nothing(store: &dyn Store) {
    let job = job_of(store, 1);
    let late = claim_one(store, &job, 1);
    leave(store, &job);
    crate::recover(store, job.id, 10, &|_| true, at(2)).unwrap();
    let current = claim_one(store, &job, 3);
    let before = store.history(job.id, 1..=1).unwrap();
    let refused = store.commit(late.step(AgentFailed { error: "late".into() }, at(4)));
    assert!(matches!(refused, Err(StoreError::Fenced { id }) if id.as_str() == "1"));
    assert_eq!(store.history(job.id, 1..=1).unwrap(), before);
    assert_eq!(tally(store, &job), (0, 1, 0, 0, 0));
    assert_eq!(record(store, completed(current, 5)), Outcome::Recorded);
    assert_sound(store, &job);
}

pub fn a_step_sent_again_is_recorded_once(store: &dyn Store) {
    let job = job_of(store, 2);
    let mut claims = claim(store, &job, 2, 1);
    let output = AttemptOutput { stdout: b"hello".to_vec().into(), ..AttemptOutput::default() };
    let failed = claims.remove(0).step(AgentFailed { error: "exit 7".into() }, at(2)).with_output(output);
    let steps = [failed.then(Retry, at(2)).run_at(at(2)).seal(), completed(claims.remove(0), 2)];
    for _ in 0..3 {
        assert_eq!(store.record(&steps).unwrap(), [Outcome::Recorded; 2]);
        assert_eq!(tally(store, &job), (1, 0, 1, 0, 0));
        assert_eq!(store.history(job.id, 1..=2).unwrap().len(), 5);
        assert_eq!(store.attempts(job.id, 1..=2).unwrap().len(), 1);
    }
    let _ = claim_one(store, &job, 3);
    assert_eq!(store.record(&steps).unwrap(), [Outcome::Recorded; 2], "also when more has happened since");
    assert_eq!(tally(store, &job), (0, 1, 1, 0, 0));
    assert_sound(store, &job);
}

pub fn a_batch_keeps_the_good_beside_the_stale(store: &dyn Store) {
    let job = job_of(store, 3);
    let stale = claim_one(store, &job, 1);
    leave(store, &job);
    crate::recover(store, job.id, 10, &|_| true, at(2)).unwrap();
    let mut claims = claim(store, &job, 3, 3).into_iter();
    let _held = claims.next().unwrap();
    let steps: Vec<_> = std::iter::once(stale).chain(claims).map(|leased| completed(leased, 4)).collect();
    let outcomes = store.record(&steps).unwrap();
    assert_eq!(outcomes, [Outcome::Fenced, Outcome::Recorded, Outcome::Recorded]);
    assert_eq!(tally(store, &job), (0, 1, 2, 0, 0));
    assert_sound(store, &job);
}

pub fn of_two_steps_of_one_attempt_the_first_counts(store: &dyn Store) {
    let job = job_of(store, 2);
    let mut claims = claim(store, &job, 2, 1);
    leave(store, &job);
    let abandoned = store.abandoned(job.id, 1, at(2)).unwrap().remove(0);
    let Abandoned::Running { leased, .. } = abandoned else { panic!("{abandoned:?}") };
    let steps = [
        completed(claims.remove(0), 3),
        leased.step(Interrupt, at(3)).because(Cause::Crash).seal(),
        completed(claims.remove(0), 3),
    ];
    let outcomes = [Outcome::Recorded, Outcome::Fenced, Outcome::Recorded];
    assert_eq!(store.record(&steps).unwrap(), outcomes);
    assert_eq!(tally(store, &job), (0, 0, 2, 0, 0));
    assert_sound(store, &job);
}

pub fn counts_follow_every_step(store: &dyn Store) {
    let job = job_of(store, 6);
    let mut claims = claim(store, &job, 5, 1).into_iter();
    let steps = [
        completed(claims.next().unwrap(), 2),
        dead(claims.next().unwrap(), 2),
        retried(claims.next().unwrap(), 2, 50),
        claims.next().unwrap().step(AgentFailed { error: "exit 1".into() }, at(2)).seal(),
    ];
    store.record(&steps).unwrap();
    assert_eq!(tally(store, &job), (2, 1, 1, 1, 1));
    let counted = counts(store, &job);
    assert_eq!((counted.by_status.total(), counted.open_letters), (6, 1));
    assert_eq!(counted, store.recount(job.id).unwrap());
    assert!(!counted.is_finished());
}

pub fn a_step_of_a_job_that_is_gone_is_an_error(store: &dyn Store) {
    let job = job_of(store, 1);
    let interrupted = claim_one(store, &job, 1).step(Interrupt, at(2)).seal();
    assert_eq!(store.record(from_ref(&interrupted)).unwrap(), [Outcome::Recorded]);
    let next = completed(claim_one(store, &job, 3), 4);
    store.delete_job(job.id).unwrap();
    for step in [interrupted, next] {
        assert!(matches!(store.record(&[step]), Err(StoreError::NoJob { .. })));
    }
}

/// What cannot be kept as it was is still known when it is sent again.
pub fn a_path_that_is_no_text_is_recorded_once(store: &dyn Store) {
    let job = job_of(store, 1);
    let path = OsString::from_vec(vec![b'/', 0xff]);
    let mut result = AgentResult::success("1".into(), None, Duration::ZERO);
    result.worktree_path = Some(path.into());
    let step = claim_one(store, &job, 1).step(AgentComplete { result: Box::new(result) }, at(2)).seal();
    for _ in 0..2 {
        assert_eq!(store.record(from_ref(&step)).unwrap(), [Outcome::Recorded]);
    }
    assert_eq!(tally(store, &job), (0, 0, 1, 0, 0));
    assert_sound(store, &job);
}

pub fn output_is_kept_for_each_attempt(store: &dyn Store) {
    let job = job_of(store, 2);
    let said = |text: &[u8]| AttemptOutput { stdout: text.to_vec().into(), stderr: vec![0, 255].into() };
    let first = claim_one(store, &job, 1);
    let step = first.step(Interrupt, at(2)).because(Cause::Stopped).with_output(said(b"half"));
    record(store, step.seal());
    let second = claim_one(store, &job, 3);
    let failed = second.step(AgentFailed { error: "exit 7".into() }, at(4)).with_output(said(b"whole"));
    let failed = failed.seal();
    assert_eq!(store.record(from_ref(&failed)).unwrap(), [Outcome::Recorded]);
    let attempts = store.attempts(job.id, 1..=2).unwrap();
    let seen: Vec<_> = attempts.iter().map(|row| (row.seq, row.attempt, &row.output)).collect();
    assert_eq!(seen, [(1, 1, &said(b"half")), (1, 2, &said(b"whole"))]);
    // What an attempt has printed is known by then.
    record(store, failed.durable::<Failed>().step(Retry, at(5)).with_output(said(b"late")).seal());
    assert_eq!(store.attempts(job.id, 1..=2).unwrap(), attempts);
    assert_sound(store, &job);
}

pub fn long_output_goes_to_blobs(store: &dyn Store) {
    let job = job_of(store, 1);
    let leased = claim_one(store, &job, 1);
    let name = BlobName { job: job.id, seq: 1, attempt: 1, stream: StreamKind::Stdout };
    for text in ["left over from a crash, and longer than what follows", "long output"] {
        let mut blob = store.create(name).unwrap();
        blob.write_all(text.as_bytes()).unwrap();
        blob.finish().unwrap();
    }
    let stdout = Captured { kept: Kept::Blob { len: 11 }, total: 99 };
    assert!(stdout.is_cut());
    let output = AttemptOutput { stdout, ..AttemptOutput::default() };
    record(store, leased.step(Interrupt, at(2)).with_output(output.clone()).seal());
    assert_eq!(store.attempts(job.id, 1..=1).unwrap()[0].output, output);
    let mut text = String::new();
    store.open(name).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "long output");
    let unfinished = BlobName { attempt: 2, ..name };
    assert!(store.open(unfinished).is_err());
    store.create(unfinished).unwrap().write_all(b"half").unwrap();
    assert!(store.open(unfinished).is_err(), "a blob that is dropped is gone");
    assert_sound(store, &job);
    store.delete_job(job.id).unwrap();
    assert!(store.open(name).is_err(), "a deleted job leaves no blobs");
}

pub fn times_are_kept_to_the_microsecond(store: &dyn Store) {
    let job = job_of(store, 1);
    let fine = at(1) + TimeDelta::nanoseconds(123_456_789);
    let request = crate::ClaimRequest::new(job.id, "agent-1", 1, fine);
    let claim = store.claim(&request).unwrap().claims.remove(0);
    assert_eq!(claim.leased.item().started_at(), at(1) + TimeDelta::microseconds(123_456));
    let failed = claim.leased.step(AgentFailed { error: "exit 7".into() }, fine);
    record(store, failed.then(Retry, fine).run_at(fine).seal());
    let history = store.history(job.id, 1..=1).unwrap();
    assert!(history.iter().all(|row| row.at == crate::whole_micros(fine)));
    assert_sound(store, &job);
}
