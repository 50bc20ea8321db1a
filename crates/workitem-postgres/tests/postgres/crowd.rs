//! A crowd at one job: each does at random what a worker, a person or who recovers may do, all at the same time. What was
//! acknowledged is there once, nobody is told an error, and what is left makes sense.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::thread::scope;
use std::time::{Duration, Instant};

use fastrand::Rng;
use workitem_postgres::PostgresStore;
use workitem_store::{AnyStep, ClaimRequest, Job, Leased, NewItem, Outcome, Store, recover};
use workitem_types::StatusKind;
use workitem_typestate::{AgentFailed, AgentStart, InProgress, Interrupt, MoveToDeadLetter, Pending, Retry};

use super::common::{assert_sound, at, completed, job_of, throwaway};

const MEMBERS: u64 = 6;
const LIFE: Duration = Duration::from_secs(4);

/// Who has written a version of an item: for each, how often that was acknowledged.
type Acknowledged = Mutex<BTreeMap<(u64, u64), usize>>;

struct Member<'a> {
    store: PostgresStore,
    job: &'a Job,
    name: String,
    rng: Rng,
    acknowledged: &'a Acknowledged,
    running: Vec<Leased<InProgress>>,
    pending: Vec<Leased<Pending>>,
}

impl Member<'_> {
    fn live(&mut self) {
        let started = Instant::now();
        while started.elapsed() < LIFE {
            match self.rng.u32(..12) {
                0..=2 => self.claim(),
                3..=5 => self.end_some(),
                6 => self.begin_some(),
                7 => {
                    let lease = Duration::from_millis(self.rng.u64(..60));
                    self.store.renew(self.job.id, &self.name, lease, at(1)).unwrap();
                }
                8 => {
                    recover(&self.store, self.job.id, 3, &|item| item.attempts() < 4, at(1)).unwrap();
                }
                9 => self.add(),
                10 => self.deal_with_letters(),
                _ => {
                    self.store.recount(self.job.id).unwrap();
                    assert_eq!(self.store.check_files(self.job.id).unwrap(), [""; 0]);
                }
            }
        }
    }

    fn claim(&mut self) {
        let mut request = ClaimRequest::new(self.job.id, &self.name, self.rng.usize(1..200), at(20));
        request.lease = Duration::from_millis(self.rng.u64(1..40));
        request.spawning = self.rng.usize(..50);
        let claims = self.store.claim(&request).unwrap().claims;
        self.running.extend(claims.into_iter().map(|claim| claim.leased));
    }

    /// Of what runs some ends, however it may; sometimes it is sent twice, at the same time.
    fn end_some(&mut self) {
        self.rng.shuffle(&mut self.running);
        let some = self.rng.usize(..=self.running.len());
        let ended: Vec<_> = self.running.drain(..some).collect();
        let steps: Vec<AnyStep> = ended.into_iter().map(|leased| self.end(leased)).collect();
        let twice = self.rng.bool();
        let (first, second) = scope(|scope| {
            let second = twice.then(|| scope.spawn(|| self.store.record(&steps).unwrap()));
            (self.store.record(&steps).unwrap(), second.map(|second| second.join().unwrap()))
        });
        assert!(second.is_none_or(|second| second == first), "the same was said differently");
        self.take_in(steps, &first);
    }

    fn end(&mut self, leased: Leased<InProgress>) -> AnyStep {
        let until = at(self.rng.i64(0..30));
        let failed = AgentFailed { error: self.name.clone() };
        match self.rng.u32(..8) {
            0 | 1 => leased.step(Interrupt, at(2)).seal(),
            2 | 3 => leased.step(failed, at(2)).then(Retry, at(2)).run_at(until).seal(),
            4 => leased.step(failed, at(2)).then(MoveToDeadLetter, at(2)).seal(),
            5 => leased.step(failed, at(2)).seal(),
            6 => leased.step(Interrupt, at(2)).then(self.start(), at(3)).seal(),
            _ => completed(leased),
        }
    }

    fn start(&self) -> AgentStart {
        AgentStart { agent_id: self.name.as_str().into() }
    }

    fn begin_some(&mut self) {
        self.rng.shuffle(&mut self.pending);
        let some = self.rng.usize(..=self.pending.len().min(20));
        let pending: Vec<_> = self.pending.drain(..some).collect();
        let steps: Vec<AnyStep> =
            pending.into_iter().map(|item| item.step(self.start(), at(4)).seal()).collect();
        let outcomes = self.store.record(&steps).unwrap();
        self.take_in(steps, &outcomes);
    }

    /// What counts goes on here.
    fn take_in(&mut self, steps: Vec<AnyStep>, outcomes: &[Outcome]) {
        let counting = steps.into_iter().zip(outcomes).filter(|(_, outcome)| **outcome == Outcome::Recorded);
        for (step, _) in counting {
            let place = (step.token().seq(), step.token().version());
            *self.acknowledged.lock().unwrap().entry(place).or_default() += 1;
            match step.record().status.kind() {
                StatusKind::Pending => self.pending.push(step.durable()),
                StatusKind::InProgress => self.running.push(step.durable()),
                StatusKind::Completed | StatusKind::Failed | StatusKind::DeadLettered => {}
            }
        }
    }

    fn add(&mut self) {
        let items: Vec<NewItem> = (0..self.rng.usize(1..40))
            .map(|_| NewItem {
                id: format!("{}-{}", self.name, self.rng.u64(..)).into(),
                payload: "x".into(),
            })
            .collect();
        assert_eq!(self.store.add(self.job.id, &items).unwrap(), items.len());
    }

    fn deal_with_letters(&mut self) {
        let letters = self.store.letters(self.job.id, 0, 20).unwrap();
        let seqs: Vec<u64> = letters.iter().map(|letter| letter.item.seq).collect();
        if self.rng.bool() {
            self.store.retry_letters(self.job.id, &seqs).unwrap();
        } else {
            self.store.drop_letters(self.job.id, &seqs).unwrap();
        }
    }
}

#[test]
fn a_crowd_at_one_job_loses_nothing_and_writes_nothing_twice() {
    let seed = std::env::var("WORKITEM_CROWD_SEED").map_or(7, |seed| seed.parse().unwrap());
    let store = throwaway();
    let job = job_of(&*store, 600);
    let acknowledged = Acknowledged::default();
    scope(|scope| {
        for nth in 0..MEMBERS {
            let mut member = Member {
                store: PostgresStore::open(&store.url).unwrap(),
                job: &job,
                name: format!("member-{nth}"),
                rng: Rng::with_seed(seed + nth),
                acknowledged: &acknowledged,
                running: Vec::new(),
                pending: Vec::new(),
            };
            scope.spawn(move || member.live());
        }
    });
    let acknowledged = acknowledged.into_inner().unwrap();
    let twice: Vec<_> = acknowledged.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    assert!(acknowledged.len() > 1_000, "only {} steps counted", acknowledged.len());
    assert_sound(&*store, &job);
    assert_eq!(store.counts(job.id).unwrap(), store.recount(job.id).unwrap());
    // And whatever is pending can be claimed.
    let pending = store.counts(job.id).unwrap().by_status.pending;
    let all = ClaimRequest::new(job.id, "last", usize::MAX, at(100));
    assert_eq!(store.claim(&all).unwrap().claims.len(), pending);
}
