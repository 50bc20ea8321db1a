//! Jobs, their locks, and how items get in.

use serde_json::json;
use workitem_types::StatusKind;
use workitem_typestate::AgentFailed;

use super::{at, claim, completed, counts, dead, job_of, new_item, numbered, open_job, record, tally};
use crate::{Control, ItemQuery, MAX_ID, NewItem, NewJob, Payload, Runner, Skipped, Store, StoreError};

pub fn a_job_is_found_by_its_name(store: &dyn Store) {
    let spec = json!({ "command": ["wc", "-l"] });
    let made = store.create_job(&NewJob { name: Some("census".into()), spec, now: at(0) }).unwrap();
    assert_eq!(store.job("census").unwrap(), made);
    assert_eq!(made.created_at, at(0));
    assert!(!made.is_sealed());
    let refused = store.job("other");
    assert!(
        matches!(refused, Err(StoreError::NoJob { name, store: at }) if name == "other" && at == store.name())
    );
}

pub fn a_name_is_taken_once(store: &dyn Store) {
    open_job(store, "census");
    let again = store.create_job(&NewJob { name: Some("census".into()), spec: json!(null), now: at(1) });
    assert!(matches!(again, Err(StoreError::JobExists { name }) if name == "census"));
    assert_eq!(store.jobs().unwrap().len(), 1);
}

pub fn a_job_without_a_name_gets_one(store: &dyn Store) {
    let unnamed = NewJob { name: None, spec: json!(null), now: at(0) };
    let first = store.create_job(&unnamed).unwrap();
    let second = store.create_job(&unnamed).unwrap();
    for job in [&first, &second] {
        assert_eq!(job.name, format!("job-{}", job.id));
    }
    assert_eq!(store.jobs().unwrap(), [first, second.clone()]);
    // Whoever still has the name of one that is gone must not meet another.
    store.delete_job(second.id).unwrap();
    assert_ne!(store.create_job(&unnamed).unwrap().name, second.name);
    // The name of the next but one, if the number of the job makes it.
    let named = open_job(store, "job-5");
    let last = store.create_job(&unnamed).unwrap();
    assert_ne!(named.name, last.name);
}

pub fn a_deleted_job_is_gone(store: &dyn Store) {
    let (keep, drop) = (open_job(store, "keep"), open_job(store, "drop"));
    for job in [&keep, &drop] {
        store.submit(job.id, &numbered(3)).unwrap();
    }
    store.delete_job(drop.id).unwrap();
    assert!(matches!(store.job("drop"), Err(StoreError::NoJob { .. })));
    assert!(matches!(store.counts(drop.id), Err(StoreError::NoJob { .. })));
    assert!(matches!(store.submit(drop.id, &numbered(1)), Err(StoreError::NoJob { .. })));
    assert!(matches!(store.seal(drop.id, "digest"), Err(StoreError::NoJob { .. })));
    assert_eq!(tally(store, &keep), (3, 0, 0, 0, 0));
    let anew = open_job(store, "drop");
    assert_eq!(tally(store, &anew), (0, 0, 0, 0, 0));
    assert_eq!(store.submit(anew.id, &numbered(2)).unwrap(), 2);
}

pub fn one_runner_at_a_time(store: &dyn Store) {
    let (job, other) = (open_job(store, "job"), open_job(store, "other"));
    let runner = Runner { process: 4_711, since: at(1), settled_before: 3 };
    assert_eq!(store.running(&job).unwrap(), None);
    let lock = store.lock_job(&job, &runner).unwrap();
    let second = store.lock_job(&job, &Runner { process: 4_712, ..runner.clone() });
    assert!(matches!(second, Err(StoreError::Busy { job, by }) if job == "job" && by == "process 4711"));
    assert_eq!(store.running(&job).unwrap(), Some(runner.clone()));
    assert_eq!(store.running(&other).unwrap(), None);
    drop(store.lock_job(&other, &runner).unwrap());
    drop(lock);
    assert_eq!(store.running(&job).unwrap(), None);
    drop(store.lock_job(&job, &runner).unwrap());
}

pub fn submitting_again_adds_nothing(store: &dyn Store) {
    let job = open_job(store, "job");
    assert_eq!(store.submit(job.id, &numbered(3)).unwrap(), 3);
    assert_eq!(store.submit(job.id, &numbered(5)).unwrap(), 2);
    assert_eq!(tally(store, &job), (5, 0, 0, 0, 0));
    let ids: Vec<String> = listed(store, &job).into_iter().map(|(_, id)| id).collect();
    assert_eq!(ids, ["1", "2", "3", "4", "5"]);
}

pub fn a_batch_with_a_conflict_adds_nothing(store: &dyn Store) {
    let job = open_job(store, "job");
    store.submit(job.id, &numbered(1)).unwrap();
    let batch = [new_item("2", "input 2"), new_item("1", "another input")];
    let refused = store.submit(job.id, &batch);
    assert!(matches!(refused, Err(StoreError::Conflict { id }) if id.as_str() == "1"));
    let twice = [new_item("3", "one"), new_item("3", "two")];
    assert!(matches!(store.submit(job.id, &twice), Err(StoreError::Conflict { .. })));
    assert_eq!(tally(store, &job), (1, 0, 0, 0, 0));
    assert_eq!(store.submit(job.id, &numbered(2)).unwrap(), 1);
}

pub fn a_batch_with_a_bad_item_adds_nothing(store: &dyn Store) {
    let job = open_job(store, "job");
    let longest = "x".repeat(MAX_ID);
    for bad in ["", "a\0b", &format!("{longest}x")] {
        let refused = store.submit(job.id, &[new_item("good", ""), new_item(bad, "")]);
        assert!(matches!(refused, Err(StoreError::BadItem { id, .. }) if id.as_str() == bad), "{bad:?}");
    }
    assert_eq!(tally(store, &job), (0, 0, 0, 0, 0));
    let odd = [new_item(&longest, ""), new_item("../../etc/passwd", ""), new_item("'; drop table items", "")];
    assert_eq!(store.submit(job.id, &odd).unwrap(), 3);
}

pub fn any_json_comes_back_as_it_was(store: &dyn Store) {
    let job = open_job(store, "job");
    let inputs = [
        json!(null),
        json!(-1.5),
        json!(""),
        json!("a\0b\n🦀 \"'"),
        json!([1, [2]]),
        json!({ "a": { "b": "c" } }),
    ];
    let items: Vec<NewItem> = (1..)
        .zip(&inputs)
        .map(|(n, input): (usize, _)| NewItem {
            id: n.to_string().into(),
            payload: Payload::try_from(input).unwrap(),
        })
        .collect();
    store.submit(job.id, &items).unwrap();
    for (seq, input) in (1..).zip(&inputs) {
        assert_eq!(&store.payload(job.id, seq).unwrap().to_value(), input);
    }
}

pub fn a_sealed_job_takes_no_items(store: &dyn Store) {
    let job = open_job(store, "job");
    store.submit(job.id, &numbered(1)).unwrap();
    store.seal(job.id, "digest").unwrap();
    store.seal(job.id, "digest").unwrap();
    assert!(matches!(store.seal(job.id, "another"), Err(StoreError::Sealed { .. })));
    assert!(matches!(store.submit(job.id, &numbered(2)), Err(StoreError::Sealed { .. })));
    assert_eq!(store.job("job").unwrap().digest.as_deref(), Some("digest"));
    assert_eq!(tally(store, &job), (1, 0, 0, 0, 0));
}

pub fn a_sealed_job_can_be_added_to(store: &dyn Store) {
    let job = open_job(store, "job");
    store.submit(job.id, &numbered(2)).unwrap();
    let early = store.add(job.id, &numbered(3));
    assert!(matches!(early, Err(StoreError::Submitting { job }) if job == "job"));
    store.seal(job.id, "digest").unwrap();
    assert_eq!(store.job("job").unwrap().input_items, 2);

    assert_eq!(store.add(job.id, &numbered(4)).unwrap(), 2, "two of them are there");
    assert_eq!(store.add(job.id, &numbered(4)).unwrap(), 0, "a batch can be sent again");
    let conflict = store.add(job.id, &[new_item("5", "input 5"), new_item("1", "another input")]);
    assert!(matches!(conflict, Err(StoreError::Conflict { id }) if id.as_str() == "1"));
    assert!(matches!(store.add(job.id, &[new_item("", "")]), Err(StoreError::BadItem { .. })));

    assert_eq!(tally(store, &job), (4, 0, 0, 0, 0));
    let ids: Vec<String> = listed(store, &job).into_iter().map(|(_, id)| id).collect();
    assert_eq!(ids, ["1", "2", "3", "4"]);
    assert_eq!(claim(store, &job, 9, 1).len(), 4);
    assert_eq!(store.job("job").unwrap().input_items, 2, "what the input had stays what it was");
    super::assert_sound(store, &job);
}

pub fn what_is_wanted_of_a_job_is_kept(store: &dyn Store) {
    let (job, other) = (job_of(store, 1), open_job(store, "other"));
    assert_eq!(store.control(job.id).unwrap(), Control::Run);
    for control in [Control::Pause, Control::Cancel, Control::Run] {
        store.set_control(job.id, control).unwrap();
        assert_eq!(store.control(job.id).unwrap(), control);
        assert_eq!(store.control(other.id).unwrap(), Control::Run);
    }
    store.delete_job(other.id).unwrap();
    assert!(matches!(store.control(other.id), Err(StoreError::NoJob { .. })));
    let late = store.set_control(other.id, Control::Pause);
    assert!(matches!(late, Err(StoreError::NoJob { .. })));
}

pub fn skipped_lines_are_kept_and_counted(store: &dyn Store) {
    let job = open_job(store, "job");
    let line = |position: u64| Skipped {
        position,
        place: format!("line {position}"),
        reason: "is not UTF-8".into(),
    };
    store.skip(job.id, &[line(7), line(2)]).unwrap();
    store.skip(job.id, &[line(7), line(9)]).unwrap();
    assert_eq!(store.skipped(job.id).unwrap(), [line(2), line(7), line(9)]);
    assert_eq!(counts(store, &job).skipped, 3);
    assert_eq!(store.recount(job.id).unwrap(), counts(store, &job));
    // However far they are apart, they are soon deleted.
    store.skip(job.id, &[line(1 << 60)]).unwrap();
    store.delete_job(job.id).unwrap();
    assert_eq!(store.skipped(job.id).unwrap_or_default(), []);
}

pub fn items_are_listed_in_pages(store: &dyn Store) {
    let job = job_of(store, 7);
    let leased = super::claim_one(store, &job, 1);
    record(store, completed(leased, 2));
    let pages: Vec<Vec<u64>> = [0, 3, 6, 7]
        .map(|after| {
            let page = store.items(job.id, &ItemQuery { status: None, after, limit: 3 }).unwrap();
            page.into_iter().map(|row| row.seq).collect()
        })
        .to_vec();
    assert_eq!(pages, [vec![1, 2, 3], vec![4, 5, 6], vec![7], vec![]]);
    for (kind, expected) in [(StatusKind::Completed, 1), (StatusKind::Pending, 6), (StatusKind::Failed, 0)] {
        let query = ItemQuery { status: Some(kind), after: 0, limit: 100 };
        assert_eq!(store.items(job.id, &query).unwrap().len(), expected, "{kind}");
    }
    assert_eq!(store.item(&job, &"5".into()).unwrap().seq, 5);
    assert!(
        matches!(store.item(&job, &"8".into()), Err(StoreError::NoItem { id, .. }) if id.as_str() == "8")
    );
}

pub fn items_are_listed_by_their_state(store: &dyn Store) {
    let job = job_of(store, 300);
    let mut claims = claim(store, &job, 290, 1).into_iter();
    let dead_ones = claims.by_ref().take(2).map(|leased| dead(leased, 2));
    store.record(&dead_ones.collect::<Vec<_>>()).unwrap();
    let completed = claims.by_ref().take(280).map(|leased| completed(leased, 2));
    store.record(&completed.collect::<Vec<_>>()).unwrap();
    let failed = claims.next().unwrap().step(AgentFailed { error: "exit 7".into() }, at(2)).seal();
    record(store, failed);
    let expected = [
        (StatusKind::Pending, 291..=300),
        (StatusKind::InProgress, 284..=290),
        (StatusKind::Completed, 3..=282),
        (StatusKind::Failed, 283..=283),
        (StatusKind::DeadLettered, 1..=2),
    ];
    for (kind, seqs) in expected {
        let (mut seen, mut after) = (Vec::new(), 0);
        loop {
            let query = ItemQuery { status: Some(kind), after, limit: 7 };
            let page = store.items(job.id, &query).unwrap();
            assert!(page.iter().all(|row| row.record.status.kind() == kind));
            let Some(last) = page.last() else { break };
            after = last.seq;
            seen.extend(page.iter().map(|row| row.seq));
        }
        assert_eq!(seen, seqs.collect::<Vec<_>>(), "{kind}");
    }
}

fn listed(store: &dyn Store, job: &crate::Job) -> Vec<(u64, String)> {
    let rows = store.items(job.id, &ItemQuery { status: None, after: 0, limit: 100 }).unwrap();
    rows.into_iter().map(|row| (row.seq, row.record.id.into_string())).collect()
}
