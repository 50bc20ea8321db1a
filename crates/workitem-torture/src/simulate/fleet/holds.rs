//! What must hold of a fleet, and is computed here from what was claimed, renewed and recorded, not by the store's rules.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use workitem_orchestrator::{Event, Outcome as Became};
use workitem_store::{Abandoned, AnyStep, Claim, Job, MemoryStore, Outcome, Store};
use workitem_torture::checker::Acknowledged;
use workitem_types::StatusKind;

/// The position of an item, and an attempt at it.
pub type Key = (u64, usize);

/// What is known of a fleet's job from outside.
pub struct Holds {
    pub job: Job,
    pub acknowledged: Acknowledged,
    /// What did not hold.
    pub wrong: Vec<String>,
    /// How often items were added, and how often a run has said that it found the job finished.
    pub additions: usize,
    pub finished: usize,
    /// Until when the others leave alone what a run has, by the store's clock.
    leases: BTreeMap<String, DateTime<Utc>>,
    /// Which run claimed an attempt.
    owners: BTreeMap<Key, String>,
    /// Attempts whose run somebody has found to be silent for longer than its lease. It may be back by the time that they
    /// are taken from it.
    given_up: BTreeSet<Key>,
    /// Attempts that were taken from their run.
    lost: BTreeSet<Key>,
    /// Agents that live.
    live: BTreeSet<Key>,
    /// Attempts whose end was told.
    told: BTreeSet<Key>,
    /// What each member's run was told: completed, failed, interrupted.
    counts: BTreeMap<usize, [usize; 3]>,
}

impl Holds {
    pub fn new(job: Job, items: usize) -> Self {
        Self {
            job,
            acknowledged: Acknowledged { items: Some(items), ..Acknowledged::default() },
            wrong: Vec::new(),
            additions: 0,
            finished: 0,
            leases: BTreeMap::new(),
            owners: BTreeMap::new(),
            given_up: BTreeSet::new(),
            lost: BTreeSet::new(),
            live: BTreeSet::new(),
            told: BTreeSet::new(),
            counts: BTreeMap::new(),
        }
    }

    /// How many attempts others took up.
    pub fn taken_over(&self) -> usize {
        self.lost.len()
    }

    /// A member begins a run.
    pub fn begin(&mut self, member: usize) {
        self.counts.insert(member, [0; 3]);
    }

    /// A member says how much its run has done.
    pub fn counted(&self, member: usize, said: [usize; 3]) -> Result<(), String> {
        let told = self.counts.get(&member).copied().unwrap_or_default();
        (said == told).then_some(()).ok_or_else(|| {
            format!("completed, failures and interrupted are {said:?} in a summary, and {told:?} were told")
        })
    }

    /// A run is there for so long from now on, or not any more.
    pub fn renewed(&mut self, run: &str, lease: Duration, now: DateTime<Utc>) {
        self.leases.insert(run.to_owned(), now + TimeDelta::from_std(lease).unwrap_or_default());
    }

    /// Items were handed out, each attempt once.
    pub fn claimed(
        &mut self,
        run: &str,
        claims: &[Claim],
        lease: Duration,
        now: DateTime<Utc>,
    ) -> Result<(), String> {
        if !claims.is_empty() {
            let until = now + TimeDelta::from_std(lease).unwrap_or_default();
            let kept = self.leases.entry(run.to_owned()).or_insert(until);
            *kept = until.max(*kept);
        }
        for claim in claims {
            let key = (claim.leased.token().seq(), claim.leased.item().attempts());
            if self.owners.insert(key, run.to_owned()).is_some() {
                return Err(format!("attempt {key:?} is handed out twice"));
            }
        }
        Ok(())
    }

    /// An agent starts: no other works on its item, but those whose run had been silent for too long.
    pub fn started(&mut self, memory: &MemoryStore, id: &str, key: Key) -> Result<(), String> {
        let (seq, attempt) = key;
        let twin = self.live.range((seq, 0)..=(seq, usize::MAX)).find(|twin| !self.lost.contains(*twin));
        let twin = twin.copied();
        self.live.insert(key);
        let last = self.acknowledged.started.entry(id.to_owned()).or_default();
        *last = attempt.max(*last);
        // One that stood still may start late what it has lost meanwhile.
        if let Some(twin) = twin.filter(|_| !self.lost.contains(&key)) {
            return Err(format!("attempt {key:?} starts beside {twin:?}, which nobody had given up"));
        }
        let record = memory.item(&self.job, &id.into()).map_err(|error| error.to_string())?.record;
        let is_durable = record.attempts == attempt && record.status.kind() == StatusKind::InProgress;
        if !is_durable && !self.lost.contains(&key) {
            return Err(format!("attempt {key:?} starts undurably: {record:?}"));
        }
        Ok(())
    }

    /// An agent is gone.
    pub fn ended(&mut self, key: Key) {
        self.live.remove(&key);
    }

    /// Items were found that nobody works on any more.
    pub fn looked(&mut self, abandoned: &[Abandoned], now: DateTime<Utc>) -> Result<(), String> {
        for abandoned in abandoned {
            let Abandoned::Running { leased, .. } = abandoned else {
                return Err("an item has failed, and nothing followed".to_owned());
            };
            let key = (leased.token().seq(), leased.item().attempts());
            let lease = self.owners.get(&key).and_then(|owner| self.leases.get(owner));
            if lease.is_none_or(|until| *until > now) {
                return Err(format!("attempt {key:?} is given up, and its run is there: {lease:?}"));
            }
            self.given_up.insert(key);
        }
        Ok(())
    }

    /// Steps are in the store, written by this run.
    pub fn recorded(
        &mut self,
        run: Option<&str>,
        steps: &[AnyStep],
        outcomes: &[Outcome],
    ) -> Result<(), String> {
        for (step, _) in steps.iter().zip(outcomes).filter(|(_, outcome)| **outcome == Outcome::Recorded) {
            let key = (step.token().seq(), step.record().attempts);
            let Some(owner) = self.owners.get(&key) else {
                return Err(format!("attempt {key:?} has an end, and nobody claimed it"));
            };
            if run == Some(owner) {
                if self.lost.contains(&key) {
                    return Err(format!(
                        "attempt {key:?} was taken from its run, which has recorded its end"
                    ));
                }
                continue;
            }
            if !self.given_up.contains(&key) {
                return Err(format!("attempt {key:?} is taken from a run that nobody had given up"));
            }
            self.lost.insert(key);
        }
        Ok(())
    }

    /// An end is told: it is in the store, and was not told before, by nobody.
    pub fn heard(&mut self, memory: &MemoryStore, member: usize, event: &Event<'_>) -> Result<(), String> {
        let Event::Ended { item, seq, attempt, outcome, .. } = event else { return Ok(()) };
        let counts = self.counts.entry(member).or_default();
        counts[match outcome {
            Became::Completed => 0,
            Became::Retrying { .. } | Became::DeadLettered { .. } => 1,
            Became::Interrupted => 2,
        }] += 1;
        let (key, id) = ((*seq, *attempt), item.to_string());
        if !self.told.insert(key) {
            return Err(format!("the end of attempt {key:?} is told twice"));
        }
        if self.lost.contains(&key) {
            return Err(format!("the end of attempt {key:?} is told by a run that had lost it"));
        }
        let record = memory.item(&self.job, item).map_err(|error| error.to_string())?.record;
        let is_settled = match outcome {
            Became::Completed => {
                self.acknowledged.completed.insert(id);
                record.status.kind() == StatusKind::Completed
            }
            Became::DeadLettered { .. } => {
                self.acknowledged.given_up.insert(id);
                record.status.kind() == StatusKind::DeadLettered
            }
            // By now it may be at work again.
            Became::Retrying { .. } | Became::Interrupted => true,
        };
        is_settled.then_some(()).ok_or_else(|| format!("{outcome:?} is told of {record:?}"))
    }

    /// Of several runs one says that it found the job finished, and another only if items were added since.
    pub fn found_finished(&mut self) -> Result<(), String> {
        self.finished += 1;
        if self.finished > 1 + self.additions {
            return Err(format!("{} runs found the job finished", self.finished));
        }
        Ok(())
    }
}
