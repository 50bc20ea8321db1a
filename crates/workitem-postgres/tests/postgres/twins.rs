//! The server and a list in memory, told the same: whatever happens to a job, both say the same of it.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use workitem_store::{
    AnyStep, Cause, ClaimRequest, HistoryRow, ItemQuery, ItemRow, Job, JobCounts, Leased, MemoryStore,
    NewItem, Outcome, Store, StoreExt, recover,
};
use workitem_typestate::{AgentFailed, AgentStart, InProgress, Interrupt, MoveToDeadLetter, Pending, Retry};

use super::common::{assert_sound, at, completed, job_of, throwaway};

const SEEDS: u64 = 4;
const TURNS: i64 = 60;
const WORKERS: [&str; 3] = ["ann", "bob", "cleo"];

/// A store, and what was handed out of its job.
struct Twin<'s> {
    store: &'s dyn Store,
    job: Job,
    running: BTreeMap<u64, Leased<InProgress>>,
    /// Put back, and not begun again by whoever did it.
    pending: Vec<Leased<Pending>>,
}

/// What happens next, to both.
#[derive(Clone, Copy, Debug)]
enum Move {
    Claim { worker: usize, limit: usize, late: bool },
    Record { items: usize, dice: u64 },
    Begin { items: usize, dice: u64 },
    Leave { worker: usize },
    Recover,
    Add { items: usize },
    Letters { retry: bool },
}

fn chosen(rng: &mut Rng) -> Move {
    match rng.u32(0..24) {
        0..=6 => Move::Claim { worker: rng.usize(0..3), limit: rng.usize(1..400), late: rng.bool() },
        7..=13 => Move::Record { items: rng.usize(1..300), dice: rng.u64(..) },
        14..=18 => Move::Begin { items: rng.usize(1..9), dice: rng.u64(..) },
        19 => Move::Leave { worker: rng.usize(0..3) },
        20 | 21 => Move::Recover,
        22 => Move::Add { items: rng.usize(1..200) },
        _ => Move::Letters { retry: rng.bool() },
    }
}

impl Twin<'_> {
    /// Does it, and says what came of it.
    fn play(&mut self, turn: i64, chosen: Move) -> String {
        let (store, job, now) = (self.store, self.job.id, at(turn));
        match chosen {
            Move::Claim { worker, limit, late } => {
                let due = if late { at(turn + 60) } else { now };
                let request = ClaimRequest {
                    due,
                    spawning: limit / 2,
                    ..ClaimRequest::new(job, WORKERS[worker], limit, now)
                };
                let claims = store.claim(&request).unwrap();
                // What is due already is due whenever that was.
                let said = format!("{:?} {:#?}", claims.next_due.map(|next| next.max(due)), claims.claims);
                let claimed = claims.claims.into_iter();
                self.running.extend(claimed.map(|claim| (claim.leased.token().seq(), claim.leased)));
                said
            }
            Move::Record { items, dice } => {
                let mut rng = Rng::with_seed(dice);
                let mut seqs: Vec<u64> = self.running.keys().copied().collect();
                rng.shuffle(&mut seqs);
                let taken = seqs.iter().take(items).filter_map(|seq| self.running.remove(seq));
                let steps: Vec<AnyStep> = taken.map(|leased| ended(leased, &mut rng, turn)).collect();
                let outcomes = store.record(&steps).unwrap();
                assert_eq!(store.record(&steps).unwrap(), outcomes, "sent again");
                self.pending.extend(steps.into_iter().zip(&outcomes).filter_map(put_back));
                format!("{outcomes:?}")
            }
            Move::Begin { items, dice } => {
                let mut rng = Rng::with_seed(dice);
                rng.shuffle(&mut self.pending);
                let mut said = Vec::new();
                for pending in self.pending.drain(..items.min(self.pending.len())) {
                    let (seq, start) = (pending.token().seq(), AgentStart { agent_id: WORKERS[0].into() });
                    let begun = store.commit(pending.step(start, now));
                    said.push(begun.as_ref().map(drop).map_err(ToString::to_string));
                    self.running.extend(begun.ok().map(|leased| (seq, leased)));
                }
                format!("{said:#?}")
            }
            Move::Leave { worker } => {
                store.renew(job, WORKERS[worker], Duration::ZERO, now).unwrap();
                String::new()
            }
            Move::Recover => {
                format!("{:?}", recover(store, job, 2, &|item| item.attempts() % 2 == 0, now).unwrap())
            }
            Move::Add { items } => {
                let new = |n| NewItem {
                    id: format!("{turn}-{n}").into(),
                    payload: turn.to_string().as_str().into(),
                };
                store.add(job, &(0..items).map(new).collect::<Vec<_>>()).unwrap().to_string()
            }
            Move::Letters { retry } => {
                let letters = store.letters(job, 0, 10).unwrap();
                let seqs: Vec<u64> = letters.iter().map(|letter| letter.item.seq).collect();
                let done = if retry {
                    format!("{:?}", store.retry_letters(job, &seqs).unwrap())
                } else {
                    store.drop_letters(job, &seqs).unwrap().to_string()
                };
                format!("{letters:?} {done}")
            }
        }
    }

    /// All there is to be known.
    fn state(&self) -> State {
        let (store, job) = (self.store, self.job.id);
        let counts = store.counts(job).unwrap();
        assert_eq!(counts, store.recount(job).unwrap());
        State {
            counts,
            waiting: store.waiting(job, at(0)).unwrap(),
            items: store.items(job, &ItemQuery { status: None, after: 0, limit: 100_000 }).unwrap(),
            history: store.history(job, 1..=100_000).unwrap(),
        }
    }
}

#[derive(Debug, PartialEq)]
struct State {
    counts: JobCounts,
    waiting: usize,
    items: Vec<ItemRow>,
    history: Vec<HistoryRow>,
}

fn ended(leased: Leased<InProgress>, rng: &mut Rng, turn: i64) -> AnyStep {
    let now = at(turn);
    let failed = AgentFailed { error: "exit 7".into() };
    match rng.u32(0..8) {
        0 | 1 => leased.step(Interrupt, now).because(Cause::Stopped).seal(),
        2 => leased.step(failed, now).then(Retry, now).run_at(at(turn + rng.i64(0..90))).seal(),
        3 => leased.step(failed, now).then(MoveToDeadLetter, now).seal(),
        4 => leased.step(failed, now).seal(),
        _ => completed(leased),
    }
}

fn put_back((step, outcome): (AnyStep, &Outcome)) -> Option<Leased<Pending>> {
    let is_back = step.record().status.needs_processing() && step.events().len() == 1;
    (is_back && *outcome == Outcome::Recorded).then(|| step.durable())
}

#[test]
fn the_server_says_what_a_list_would_say() {
    for seed in 0..SEEDS {
        let mut rng = Rng::with_seed(seed);
        let (server, memory) = (throwaway(), MemoryStore::shared(|| at(0)));
        let mut twins = [&*server as &dyn Store, &memory].map(|store| {
            let job = job_of(store, 500);
            Twin { store, job, running: BTreeMap::new(), pending: Vec::new() }
        });
        for turn in 1..=TURNS {
            let chosen = chosen(&mut rng);
            let said = twins.each_mut().map(|twin| twin.play(turn, chosen));
            assert_same(&said, &format!("seed {seed}, turn {turn}, {chosen:?}"));
            let states = twins.each_ref().map(Twin::state);
            if states[0] != states[1] {
                let said = states.map(|state| format!("{state:#?}"));
                assert_same(&said, &format!("after seed {seed}, turn {turn}, {chosen:?}"));
            }
        }
        for twin in &twins {
            assert_sound(twin.store, &twin.job);
        }
    }
}

fn assert_same([server, memory]: &[String; 2], when: &str) {
    let mut lines = server.lines().zip(memory.lines()).enumerate();
    let different = lines.find(|(_, (server, memory))| server != memory);
    assert!(server == memory, "{when}: {different:?}");
}
