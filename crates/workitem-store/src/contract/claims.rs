//! Handing items out, and taking them back when their orchestrator is gone.

use std::collections::{BTreeMap, BTreeSet};

use workitem_types::{StatusKind, WorkItemEvent, WorkItemStatus};
use workitem_typestate::{AgentFailed, Failed, Interrupt, WorkItem};

use super::{
    assert_sound, at, claim, claim_one, completed, counts, job_of, leave, numbered, open_job, record,
    retried, tally,
};
use crate::{Cause, ClaimRequest, ItemQuery, Outcome, Recovered, Store, StoreExt, recover};

pub fn nothing_is_claimed_before_the_seal(store: &dyn Store) {
    let job = open_job(store, "job");
    store.submit(job.id, &numbered(2)).unwrap();
    let request = ClaimRequest::new(job.id, "agent-1", 10, at(1));
    assert_eq!(store.claim(&request).unwrap().claims.len(), 0);
    store.seal(job.id, "digest").unwrap();
    assert_eq!(store.claim(&request).unwrap().claims.len(), 2);
}

pub fn claims_come_in_input_order(store: &dyn Store) {
    let job = job_of(store, 12);
    let claims = store.claim(&ClaimRequest::new(job.id, "agent-1", 5, at(1))).unwrap().claims;
    let inputs: Vec<_> = claims.iter().map(|claim| claim.payload.to_value()).collect();
    assert_eq!(inputs, ["input 1", "input 2", "input 3", "input 4", "input 5"]);
    let ids: Vec<_> = claims.iter().map(|claim| claim.leased.item().id().as_str()).collect();
    assert_eq!(ids, ["1", "2", "3", "4", "5"]);
    assert_eq!(tally(store, &job), (7, 5, 0, 0, 0));
}

pub fn an_item_is_claimed_once(store: &dyn Store) {
    let job = job_of(store, 3);
    assert_eq!(claim(store, &job, 2, 1).len(), 2);
    let rest = store.claim(&ClaimRequest::new(job.id, "agent-2", 10, at(1))).unwrap();
    assert_eq!(rest.claims.len(), 1);
    assert_eq!(rest.next_due, None);
    assert_eq!(claim(store, &job, 10, 2).len(), 0);
}

pub fn a_claim_is_in_the_history(store: &dyn Store) {
    let job = job_of(store, 1);
    let leased = claim_one(store, &job, 5);
    assert_eq!((leased.item().attempts(), leased.item().agent_id()), (1, "agent-1"));
    let history = store.history(job.id, 1..=1).unwrap();
    assert_eq!(history.len(), 1);
    assert_eq!((history[0].version, history[0].at), (1, at(5)));
    assert_eq!(history[0].event, WorkItemEvent::AgentStart { agent_id: "agent-1".into() });
    assert_sound(store, &job);
}

pub fn what_is_put_off_is_claimed_when_due(store: &dyn Store) {
    let job = job_of(store, 1);
    assert_eq!(store.item(&job, &"1".into()).unwrap().run_at, None);
    let leased = claim_one(store, &job, 1);
    record(store, retried(leased, 2, 10));
    assert_eq!(store.waiting(job.id, at(9)).unwrap(), 1);
    assert_eq!(store.item(&job, &"1".into()).unwrap().run_at, Some(at(10)));
    let early = store.claim(&ClaimRequest::new(job.id, "agent-1", 1, at(9))).unwrap();
    assert_eq!((early.claims.len(), early.next_due), (0, Some(at(10))));
    assert_eq!(store.waiting(job.id, at(10)).unwrap(), 0);
    assert_eq!(claim_one(store, &job, 10).item().attempts(), 2);
    assert_sound(store, &job);
}

/// A clock that is not set says 1970.
pub fn what_is_put_off_until_before_all_clocks_comes_behind_what_never_was(store: &dyn Store) {
    const TO_1970: i64 = -20_000 * 24 * 3_600;
    let job = job_of(store, 3);
    for (leased, run_at) in claim(store, &job, 2, 1).into_iter().zip([TO_1970, TO_1970 - 5]) {
        record(store, retried(leased, 2, run_at));
    }
    let mut order: Vec<u64> = claim(store, &job, 3, 3).iter().map(|leased| leased.token().seq()).collect();
    assert_eq!(order.remove(0), 3);
    order.sort_unstable();
    assert_eq!(order, [1, 2]);
    assert_sound(store, &job);
}

pub fn what_is_due_by_another_clock_is_handed_out_at_the_time_of_day(store: &dyn Store) {
    let job = job_of(store, 1);
    record(store, retried(claim_one(store, &job, 1), 2, 3_600));
    let request = ClaimRequest { due: at(3_599), ..ClaimRequest::new(job.id, "agent-2", 1, at(3)) };
    assert_eq!(store.claim(&request).unwrap().claims.len(), 0);
    let claims = store.claim(&ClaimRequest { due: at(3_600), ..request }).unwrap().claims;
    assert_eq!(claims[0].leased.item().started_at(), at(3));
    assert_sound(store, &job);
}

pub fn what_was_interrupted_comes_first(store: &dyn Store) {
    let job = job_of(store, 3);
    let mut claims = claim(store, &job, 2, 1);
    let (second, first) = (claims.pop().unwrap(), claims.pop().unwrap());
    record(store, retried(first, 2, 2));
    record(store, second.step(Interrupt, at(2)).because(Cause::Stopped).seal());
    let order: Vec<u64> = claim(store, &job, 3, 3).iter().map(|leased| leased.token().seq()).collect();
    assert_eq!(order, [2, 3, 1]);
}

pub fn concurrent_claims_share_the_items(store: &dyn Store) {
    let job = job_of(store, 200);
    let seen: Vec<u64> = std::thread::scope(|scope| {
        let claimers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut seen = Vec::new();
                    loop {
                        let claims = claim(store, &job, 7, 1);
                        if claims.is_empty() {
                            return seen;
                        }
                        for leased in claims {
                            seen.push(leased.token().seq());
                            assert_eq!(record(store, completed(leased, 2)), Outcome::Recorded);
                        }
                    }
                })
            })
            .collect();
        claimers.into_iter().flat_map(|claimer| claimer.join().unwrap()).collect()
    });
    assert_eq!(seen.len(), 200);
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), (1..=200).collect());
    assert_eq!(tally(store, &job), (0, 0, 200, 0, 0));
    assert_sound(store, &job);
}

pub fn what_was_put_back_here_and_there_is_claimed_with_the_rest(store: &dyn Store) {
    let job = job_of(store, 1_000);
    let mut versions: BTreeMap<u64, u64> = (1..=1_000).map(|seq| (seq, 0)).collect();
    for limit in [300, 1, 250, 128, 129, 77, 1_000, 513] {
        for (limit, due) in [(limit, 1), (1_000, 3)] {
            let mut steps = Vec::new();
            for leased in claim(store, &job, limit, due) {
                let (seq, version) = (leased.token().seq(), leased.token().version());
                assert_eq!(version, versions[&seq] + 1, "item {seq} is handed out as it was put back");
                let step = match seq * version % 5 {
                    0 | 1 => retried(leased, 2, 3),
                    _ => leased.step(Interrupt, at(2)).because(Cause::Stopped).seal(),
                };
                versions.insert(seq, step.version_after());
                steps.push(step);
            }
            assert!(due == 1 && steps.len() <= limit || steps.len() == 1_000);
            assert_eq!(store.record(&steps).unwrap(), vec![Outcome::Recorded; steps.len()]);
            assert_eq!(tally(store, &job), (1_000, 0, 0, 0, 0));
        }
    }
    assert_sound(store, &job);
}

pub fn recovery_interrupts_what_ran(store: &dyn Store) {
    let job = job_of(store, 4);
    let request = ClaimRequest { spawning: 1, ..ClaimRequest::new(job.id, "agent-1", 3, at(1)) };
    let claims = store.claim(&request).unwrap().claims;
    leave(store, &job);
    let recovered = recover_all(store, job.id, 10, false);
    assert_eq!(recovered, Recovered { interrupted: 3, ..Recovered::default() });
    assert_eq!(tally(store, &job), (4, 0, 0, 0, 0));
    let crashes: Vec<usize> = rows(store, &job).iter().map(|row| row.crashes).collect();
    assert_eq!(crashes, [1, 0, 0, 0], "only an agent that was spawned can be blamed");
    for claim in claims {
        assert_eq!(record(store, completed(claim.leased, 2)), Outcome::Fenced);
    }
    let history = store.history(job.id, 1..=1).unwrap();
    assert_eq!((&history[1].event, history[1].cause), (&WorkItemEvent::Interrupt, Some(Cause::Crash)));
    assert_eq!(counts(store, &job).by_status.completed, 0);
    assert_sound(store, &job);
}

pub fn recovery_gives_up_what_crashes_again_and_again(store: &dyn Store) {
    let job = job_of(store, 1);
    for _ in 0..2 {
        let _ = claim_one(store, &job, 1);
        leave(store, &job);
        assert_eq!(recover_all(store, job.id, 2, true).interrupted, 1);
    }
    let _ = claim_one(store, &job, 1);
    leave(store, &job);
    assert_eq!(recover_all(store, job.id, 2, true), Recovered { given_up: 1, ..Recovered::default() });
    let row = &rows(store, &job)[0];
    assert_eq!((row.record.status.kind(), row.crashes), (StatusKind::DeadLettered, 3));
    assert_eq!((row.record.attempts, row.record.failures), (3, 1));
    let history = store.history(job.id, 1..=1).unwrap();
    assert_eq!(history[history.len() - 2].cause, Some(Cause::CrashLimit { crashes: 3 }));
    assert_eq!(counts(store, &job).open_letters, 1);
    assert_sound(store, &job);
}

pub fn recovery_settles_stranded_failures(store: &dyn Store) {
    let job = job_of(store, 2);
    for leased in claim(store, &job, 2, 1) {
        let step = leased.step(AgentFailed { error: "exit 7".into() }, at(2)).because(Cause::Exit(7));
        let failed = store.commit(step).unwrap();
        assert_eq!(failed.item().retry_count(), 1);
    }
    assert_eq!(tally(store, &job), (0, 0, 0, 2, 0));
    leave(store, &job);
    let first_only = |item: &WorkItem<Failed>| item.id().as_str() == "1";
    let recovered = recover(store, job.id, 10, &first_only, at(9)).unwrap();
    assert_eq!(recovered, Recovered { settled: 2, ..Recovered::default() });
    let rows = rows(store, &job);
    assert_eq!(rows[0].record.status, WorkItemStatus::Pending);
    let dead = WorkItemStatus::DeadLettered { error: "exit 7".into(), retry_count: 1, dlq_at: at(9) };
    assert_eq!(rows[1].record.status, dead);
    assert_sound(store, &job);
}

fn recover_all(store: &dyn Store, job: crate::JobId, max_crashes: usize, retry: bool) -> Recovered {
    recover(store, job, max_crashes, &|_| retry, at(9)).unwrap()
}

fn rows(store: &dyn Store, job: &crate::Job) -> Vec<crate::ItemRow> {
    store.items(job.id, &ItemQuery { status: None, after: 0, limit: 100 }).unwrap()
}
