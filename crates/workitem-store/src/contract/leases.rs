//! How long a store believes that an agent is there. Embedded stores have no leases: who recovers holds the job's lock, and
//! finds everything.

use std::collections::BTreeSet;
use std::thread::{scope, sleep};
use std::time::Duration;

use workitem_typestate::AgentFailed;

use super::{assert_sound, at, claim, claim_one, completed, job_of, leave, record, tally};
use crate::{Abandoned, ClaimRequest, Job, Outcome, Recovered, Store, StoreExt, recover, whole_micros};

pub fn the_clock_gives_whole_microseconds(store: &dyn Store) {
    let now = store.now().unwrap();
    assert_eq!(now, whole_micros(now));
    assert!(now > at(0), "{now}");
}

pub fn a_live_lease_keeps_its_items(store: &dyn Store) {
    let job = job_of(store, 3);
    let mine = claim(store, &job, 2, 1);
    let others = ClaimRequest::new(job.id, "agent-2", 1, at(1));
    let _held = store.claim(&others).unwrap();
    store.renew(job.id, "agent-1", Duration::from_mins(1), at(1)).unwrap();
    let found = |embedded: &[u64]| if store.is_shared() { vec![] } else { embedded.to_vec() };
    assert_eq!(abandoned(store, &job), found(&[1, 2, 3]));
    leave(store, &job);
    // Of a shared store, what the other one has stays with it.
    assert_eq!(abandoned(store, &job), [vec![1, 2], found(&[3])].concat());
    store.renew(job.id, "agent-1", Duration::from_mins(1), at(1)).unwrap();
    assert_eq!(abandoned(store, &job), found(&[1, 2, 3]), "nobody was quicker");
    for leased in mine {
        assert_eq!(record(store, completed(leased, 2)), Outcome::Recorded);
    }
    assert_sound(store, &job);
}

pub fn a_lease_that_has_run_out_gives_up_its_items(store: &dyn Store) {
    let job = job_of(store, 2);
    let short =
        ClaimRequest { lease: Duration::from_millis(1), ..ClaimRequest::new(job.id, "agent-1", 2, at(1)) };
    let claims = store.claim(&short).unwrap().claims;
    while abandoned(store, &job).is_empty() {
        sleep(Duration::from_millis(1));
    }
    let recovered = recover(store, job.id, 10, &|_| true, at(2)).unwrap();
    assert_eq!(recovered, Recovered { interrupted: 2, ..Recovered::default() });
    // It was only slow, and wakes up: too late.
    store.renew(job.id, "agent-1", Duration::from_mins(1), at(3)).unwrap();
    for claim in claims {
        assert_eq!(record(store, completed(claim.leased, 3)), Outcome::Fenced);
    }
    assert_eq!(tally(store, &job), (2, 0, 0, 0, 0));
    assert_sound(store, &job);
}

pub fn a_claim_prolongs_the_lease_and_never_shortens_it(store: &dyn Store) {
    let job = job_of(store, 3);
    let all = |found: &[u64]| if store.is_shared() { vec![] } else { found.to_vec() };
    let _long = claim_one(store, &job, 1);
    let nothing = ClaimRequest { lease: Duration::ZERO, ..ClaimRequest::new(job.id, "agent-1", 1, at(1)) };
    let _short = store.claim(&nothing).unwrap();
    assert_eq!(abandoned(store, &job), all(&[1, 2]));
    leave(store, &job);
    assert_eq!(abandoned(store, &job), [1, 2]);
    assert!(claim(store, &job, 0, 1).is_empty());
    assert_eq!(abandoned(store, &job), [1, 2], "who gets nothing is not there for that");
    // Whoever claims is there, with all that it had.
    let _more = claim_one(store, &job, 1);
    assert_eq!(abandoned(store, &job), all(&[1, 2, 3]));
    assert_sound(store, &job);
}

pub fn a_failure_is_stranded_when_its_agent_has_gone(store: &dyn Store) {
    let job = job_of(store, 1);
    let failed = claim_one(store, &job, 1).step(AgentFailed { error: "exit 7".into() }, at(2));
    let _failed = store.commit(failed).unwrap();
    let expected = if store.is_shared() { vec![] } else { vec![1] };
    assert_eq!(abandoned(store, &job), expected, "its agent may be about to settle it");
    leave(store, &job);
    assert_eq!(abandoned(store, &job), [1]);
    assert_eq!(recover(store, job.id, 10, &|_| true, at(3)).unwrap().settled, 1);
    assert_sound(store, &job);
}

pub fn two_recoveries_at_once_count_each_item_once(store: &dyn Store) {
    let job = job_of(store, 300);
    assert_eq!(claim(store, &job, 300, 1).len(), 300);
    leave(store, &job);
    let id = job.id;
    let recovered: Vec<Recovered> = scope(|scope| {
        let rivals =
            [2, 3].map(|now| scope.spawn(move || recover(store, id, 10, &|_| true, at(now)).unwrap()));
        rivals.into_iter().map(|rival| rival.join().unwrap()).collect()
    });
    assert_eq!(recovered.iter().map(|recovered| recovered.interrupted).sum::<usize>(), 300, "{recovered:?}");
    let history = store.history(job.id, 1..=300).unwrap();
    assert_eq!(history.len(), 600);
    assert_eq!(history.iter().map(|row| row.seq).collect::<BTreeSet<_>>().len(), 300);
    assert_eq!(tally(store, &job), (300, 0, 0, 0, 0));
    assert_sound(store, &job);
}

fn abandoned(store: &dyn Store, job: &Job) -> Vec<u64> {
    let found = store.abandoned(job.id, 1_000, at(9)).unwrap();
    found
        .iter()
        .map(|abandoned| match abandoned {
            Abandoned::Running { leased, .. } => leased.token().seq(),
            Abandoned::Stranded(leased) => leased.token().seq(),
        })
        .collect()
}
