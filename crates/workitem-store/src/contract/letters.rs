//! Dead letters and their successors; and a job with some of everything.

use workitem_typestate::{Interrupt, MoveToDeadLetter};

use super::{
    assert_sound, at, claim, claim_one, completed, counts, dead, job_of, new_item, numbered, open_job,
    record, retried, tally,
};
use crate::{Job, LetterRow, Store, StoreExt};

pub fn a_letter_is_listed_until_a_successor_completes(store: &dyn Store) {
    let job = job_with_letters(store, 3);
    assert_eq!(letters(store, &job).len(), 3);
    assert_eq!(counts(store, &job).open_letters, 3);
    let made = store.retry_letters(job.id, &[1, 3]).unwrap();
    assert_eq!(made, ["1~1".into(), "3~1".into()]);
    let successor = store.item(&job, &"1~1".into()).unwrap();
    assert_eq!(successor.origin, Some("1".into()));
    assert_eq!((successor.record.attempts, successor.record.failures), (0, 0));
    assert_eq!(store.payload(job.id, successor.seq).unwrap(), store.payload(job.id, 1).unwrap());
    assert_eq!(tally(store, &job), (2, 0, 0, 0, 3));
    record(store, completed(claim_one(store, &job, 5), 6));
    assert_eq!(counts(store, &job).open_letters, 2);
    let open: Vec<u64> = letters(store, &job).iter().map(|letter| letter.item.seq).collect();
    assert_eq!(open, [2, 3]);
    assert_eq!(store.letters(job.id, 2, 1).unwrap()[0].item.seq, 3);
    assert_eq!(store.retry_letters(job.id, &[1]).unwrap(), [], "a letter is dealt with once");
    assert_sound(store, &job);
}

pub fn a_letter_has_one_living_successor(store: &dyn Store) {
    let job = job_with_letters(store, 1);
    assert_eq!(store.retry_letters(job.id, &[1, 1]).unwrap().len(), 1);
    assert_eq!(store.retry_letters(job.id, &[1]).unwrap(), []);
    let _held = claim_one(store, &job, 5);
    assert_eq!(store.retry_letters(job.id, &[1]).unwrap(), []);
    assert!(letters(store, &job)[0].is_alive());
    assert_sound(store, &job);
}

pub fn a_dead_successor_leaves_its_letter_open(store: &dyn Store) {
    let job = job_with_letters(store, 1);
    store.retry_letters(job.id, &[1]).unwrap();
    record(store, dead(claim_one(store, &job, 5), 6));
    assert_eq!(counts(store, &job).open_letters, 1);
    let open = letters(store, &job);
    assert_eq!((open.len(), open[0].successors.len()), (1, 1));
    assert!(!open[0].is_alive());
    assert_eq!(store.retry_letters(job.id, &[2]).unwrap(), [], "the letter is retried, not its successor");
    assert_eq!(store.retry_letters(job.id, &[1]).unwrap(), ["1~2".into()]);
    record(store, completed(claim_one(store, &job, 7), 8));
    assert_eq!(counts(store, &job).open_letters, 0);
    assert_eq!(tally(store, &job), (0, 0, 1, 0, 2));
    assert_sound(store, &job);
}

pub fn a_taken_successor_id_is_passed_over(store: &dyn Store) {
    let job = open_job(store, "job");
    store.submit(job.id, &[new_item("a", "1"), new_item("a~1", "2")]).unwrap();
    store.seal(job.id, "digest").unwrap();
    record(store, dead(claim_one(store, &job, 1), 2));
    assert_eq!(store.retry_letters(job.id, &[1]).unwrap(), ["a~2".into()]);
    assert_sound(store, &job);
}

pub fn a_dropped_letter_is_dealt_with_and_stays_what_it_is(store: &dyn Store) {
    let job = job_with_letters(store, 4);
    assert_eq!(store.drop_letters(job.id, &[2, 2, 9]).unwrap(), 1);
    assert_eq!(store.drop_letters(job.id, &[2]).unwrap(), 0, "it is dropped once");
    assert_eq!((counts(store, &job).open_letters, tally(store, &job)), (3, (0, 0, 0, 0, 4)));
    let open: Vec<u64> = letters(store, &job).iter().map(|letter| letter.item.seq).collect();
    assert_eq!(open, [1, 3, 4]);
    assert_eq!(store.retry_letters(job.id, &[2]).unwrap(), [], "it is not run again");

    store.retry_letters(job.id, &[1, 3]).unwrap();
    assert_eq!(store.drop_letters(job.id, &[1]).unwrap(), 0, "it is being retried");
    record(store, completed(claim_one(store, &job, 5), 6));
    record(store, dead(claim_one(store, &job, 7), 8));
    assert_eq!(store.drop_letters(job.id, &[1, 3, 5, 6]).unwrap(), 1, "one was mended, two are no letters");
    assert_eq!(counts(store, &job).open_letters, 1);
    assert_sound(store, &job);
}

pub fn verify_replays_a_mixed_job(store: &dyn Store) {
    let job = job_of(store, 30);
    for round in 1..=4_i64 {
        for (nth, leased) in claim(store, &job, 12, round * 10).into_iter().enumerate() {
            let now = round * 10 + 1;
            let step = match nth % 4 {
                0 => completed(leased, now),
                1 => dead(leased, now),
                2 => retried(leased, now, now + 2),
                _ => leased.step(Interrupt, at(now)).seal(),
            };
            record(store, step);
        }
    }
    assert_sound(store, &job);
    let audit = crate::verify(store, &job).unwrap();
    assert_eq!(audit.items, 30);
    assert_eq!(audit.events, store.history(job.id, 1..=30).unwrap().len());
    assert_eq!(counts(store, &job).by_status.total(), 30);
}

/// A job whose items have all died.
fn job_with_letters(store: &dyn Store, letters: usize) -> Job {
    let job = open_job(store, "job");
    store.submit(job.id, &numbered(letters)).unwrap();
    store.seal(job.id, "digest").unwrap();
    for leased in claim(store, &job, letters, 1) {
        let failed = leased.step(workitem_typestate::AgentFailed { error: "exit 7".into() }, at(2));
        let failed = store.commit(failed).unwrap();
        let _dead = store.commit(failed.step(MoveToDeadLetter, at(3))).unwrap();
    }
    job
}

fn letters(store: &dyn Store, job: &Job) -> Vec<LetterRow> {
    store.letters(job.id, 0, 100).unwrap()
}
