//! `workitem-torture schedules`: the orchestrator's own threads, in every order in which they may take turns that a
//! scheduler thinks of.
//!
//! `workitem-schedules` is the orchestrator with shuttle's locks, atomics, threads and time: its slots, its driver and its
//! stop are the real ones. A schedule is a small job with a few slots, agents that complete, fail and panic, and others that
//! stop, pause and unpause at any moment; then a run that nobody disturbs. One seed is one schedule. A deadlock is found
//! by the scheduler, what a store must hold by the checker.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use chrono::DateTime;
use clap::Args;
use shuttle::rand::{Rng, thread_rng};
use shuttle::scheduler::RandomScheduler;
use shuttle::thread::{spawn, yield_now};
use shuttle::{Config, Runner};
use workitem_schedules::{
    Event, FnAgent, Observer, Options, Orchestrator, Outcome, Retry, Stop, Stopping, Summary, Task,
};
use workitem_store::{Control, Job, MemoryStore, NewItem, NewJob, Store};
use workitem_torture::Report;
use workitem_torture::checker::{Acknowledged, Moment, check_job};
use workitem_types::StatusKind;

#[derive(Args)]
pub struct Schedules {
    /// The first schedule's seed; the others follow.
    #[arg(long)]
    seed: Option<u64>,
    /// How many schedules.
    #[arg(long, default_value_t = 20_000)]
    schedules: u64,
}

pub fn run(arguments: &Schedules) -> Report {
    let first = arguments.seed.unwrap_or_else(|| fastrand::u64(..1 << 40));
    let started = Instant::now();
    let mut found = 0;
    for seed in first..first + arguments.schedules {
        for wrong in schedule(seed) {
            eprintln!("seed {seed}: {wrong}");
            eprintln!("  again: cargo xtask torture schedules --seed {seed} --schedules 1");
            found += 1;
        }
        if (seed - first + 1).is_multiple_of(1_000) {
            eprintln!("{} schedules, {found} found", seed - first + 1);
        }
    }
    let text = "The orchestrator's own threads, compiled once more with the locks, atomics, channels and time of \
                [shuttle](https://docs.rs/shuttle), which decides at each of them who goes on: slots, driver and stop, \
                with others that stop, pause and unpause the job at any moment. A deadlock would be found by the scheduler."
        .to_owned();
    let seconds = started.elapsed().as_secs_f64();
    Report { torture: "schedules".to_owned(), ran: arguments.schedules, found, seed: first, seconds, text }
}

/// What was wrong under one schedule.
fn schedule(seed: u64) -> Vec<String> {
    let wrong = Arc::new(Mutex::new(Vec::new()));
    let mut config = Config::new();
    // The driver's frames are large where nothing is optimized.
    config.stack_size = 0x10_0000;
    // Nothing here is ordered by atomics of several places: see `sync` of the orchestrator.
    config.silence_warnings = true;
    let scheduler = RandomScheduler::new_from_seed(seed, 1);
    let told = Arc::clone(&wrong);
    let ran = catch_unwind(AssertUnwindSafe(|| {
        Runner::new(scheduler, config).run(move || Arc::new(Case::new(Arc::clone(&told))).run());
    }));
    let mut wrong = std::mem::take(&mut *wrong.lock().unwrap_or_else(PoisonError::into_inner));
    if let Err(panic) = ran {
        let text =
            panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        wrong.push(text.unwrap_or("it panicked").to_owned());
    }
    wrong
}

/// A small job, and what is seen of it.
struct Case {
    store: MemoryStore,
    job: Job,
    slots: usize,
    items: usize,
    attempts: usize,
    seen: Mutex<Seen>,
    wrong: Arc<Mutex<Vec<String>>>,
}

#[derive(Default)]
struct Seen {
    /// Items at which an agent works.
    live: BTreeSet<String>,
    /// The last attempt of each item that has started, and those that were told.
    started: BTreeMap<String, usize>,
    told: BTreeSet<(String, usize)>,
    completed: BTreeSet<String>,
    given_up: BTreeSet<String>,
}

impl Case {
    fn new(wrong: Arc<Mutex<Vec<String>>>) -> Self {
        let (slots, items, attempts) = (drawn(1, 3), drawn(1, 5), drawn(1, 2));
        let store = MemoryStore::new();
        let new =
            NewJob { name: Some("job".into()), spec: serde_json::Value::Null, now: DateTime::UNIX_EPOCH };
        let job = store.create_job(&new).expect("it is the first");
        let new = (1..=items).map(|n| NewItem { id: n.to_string().into(), payload: "x".into() });
        store.submit(job.id, &new.collect::<Vec<_>>()).expect("they are new");
        store.seal(job.id, "so many").expect("it is not sealed yet");
        Self { store, job, slots, items, attempts, seen: Mutex::default(), wrong }
    }

    fn run(self: &Arc<Self>) {
        let stop = Stop::new().expect("there are files left");
        let (stopped, pauser) = (stop.clone(), Arc::clone(self));
        // No scope: shuttle takes the end of one's last thread for that of a scope within it, and lets that go on.
        let others = [spawn(move || Self::disturb(&stopped)), spawn(move || pauser.pause())];
        let disturbed = self.orchestrate(&stop);
        for other in others {
            other.join().expect("it does not panic");
        }
        let is_finished = disturbed.is_some_and(|run| run.stopping == Stopping::No && !run.cancelled);
        self.check(if is_finished { Moment::Finished } else { Moment::AtRest });
        let undisturbed = self.orchestrate(&Stop::new().expect("there are files left"));
        if undisturbed.is_some_and(|run| run.stopping != Stopping::No) {
            self.wrong("a run that nobody stops has stopped".to_owned());
        }
        self.check(Moment::Finished);
    }

    /// Somebody stops the run at some moment, perhaps, and perhaps harder a moment later.
    fn disturb(stop: &Stop) {
        for _ in 0..drawn(0, 2) {
            turns(30);
            match drawn(0, 3) {
                0 => {}
                1 => stop.drain(),
                2 => stop.interrupt(),
                _ => stop.kill(),
            }
        }
    }

    fn pause(&self) {
        if drawn(0, 1) == 1 {
            turns(20);
            self.store.set_control(self.job.id, Control::Pause).expect("the job is there");
            turns(20);
            self.store.set_control(self.job.id, Control::Run).expect("the job is there");
        }
    }

    fn orchestrate(&self, stop: &Stop) -> Option<Summary> {
        let agent = FnAgent::new(|task: &Task<'_>| self.attempt(task));
        let options = Options {
            parallelism: NonZeroUsize::new(self.slots).unwrap_or(NonZeroUsize::MIN),
            retry: Retry { max_attempts: self.attempts, ..Retry::default() },
            ..Options::default()
        };
        let job = self.store.job(&self.job.name).expect("the job is there");
        let run = Orchestrator::new(Arc::new(self.store.clone()), job)
            .map_err(Into::into)
            .and_then(|mut orchestrator| orchestrator.run(&agent, &options, stop, &mut Watcher(self)));
        run.map_err(|error| self.wrong(format!("a run has failed: {error}"))).ok()
    }

    fn attempt(&self, task: &Task<'_>) -> Result<(), String> {
        let item = task.item.to_string();
        let record = self.store.item(&self.job, task.item).map(|row| row.record);
        if !record.is_ok_and(|record| {
            record.status.kind() == StatusKind::InProgress && record.attempts == task.attempt
        }) {
            self.wrong(format!("attempt {} of item {item} is not on disk when it starts", task.attempt));
        }
        let (is_alone, live) = {
            let mut seen = self.seen();
            seen.started.insert(item.clone(), task.attempt);
            (seen.live.insert(item.clone()), seen.live.len())
        };
        if !is_alone || live > self.slots {
            self.wrong(format!(
                "item {item} starts, {live} agents are live, alone at their items: {is_alone}"
            ));
        }
        turns(6);
        self.seen().live.remove(&item);
        match drawn(0, 5) {
            0 => Err("no".to_owned()),
            // Unlike a panic that is made, it is not printed.
            1 => resume_unwind(Box::new("no")),
            _ if task.is_cancelled() => Err("stopped".to_owned()),
            _ => Ok(()),
        }
    }

    fn check(&self, moment: Moment) {
        let seen = self.seen();
        let acknowledged = Acknowledged {
            items: Some(self.items),
            completed: seen.completed.clone(),
            given_up: seen.given_up.clone(),
            started: seen.started.clone(),
            ..Acknowledged::default()
        };
        if !seen.live.is_empty() {
            self.wrong(format!("agents live on when the run is over: {:?}", seen.live));
        }
        match check_job(&self.store, &self.job.name, &acknowledged, moment) {
            Ok(found) => found.iter().for_each(|violation| self.wrong(violation.to_string())),
            Err(error) => self.wrong(error.to_string()),
        }
    }

    /// Held for no longer than a look: no thread may be made to wait for it.
    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wrong(&self, what: String) {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }
}

/// Hears what is told, which must be on disk.
struct Watcher<'a>(&'a Case);

impl Observer for Watcher<'_> {
    fn event(&mut self, event: &Event<'_>) {
        turns(2);
        let Event::Ended { item, attempt, outcome, .. } = event else { return };
        let (expected, id) = match outcome {
            Outcome::Completed => (StatusKind::Completed, item.to_string()),
            Outcome::DeadLettered { .. } => (StatusKind::DeadLettered, item.to_string()),
            Outcome::Retrying { .. } | Outcome::Interrupted => (StatusKind::Pending, item.to_string()),
        };
        let found = self.0.store.item(&self.0.job, item).map(|row| row.record.status.kind());
        if !found.as_ref().is_ok_and(|found| *found == expected) {
            self.0.wrong(format!("item {id} is told to be {expected}, on disk it is {found:?}"));
        }
        let mut seen = self.0.seen();
        if !seen.told.insert((id.clone(), *attempt)) {
            self.0.wrong(format!("attempt {attempt} of item {id} is told twice"));
        }
        match expected {
            StatusKind::Completed => seen.completed.insert(id),
            StatusKind::DeadLettered => seen.given_up.insert(id),
            StatusKind::Pending | StatusKind::InProgress | StatusKind::Failed => true,
        };
    }
}

/// Lets others go on, some times.
fn turns(most: usize) {
    for _ in 0..drawn(0, most) {
        yield_now();
    }
}

/// A number that the schedule has drawn.
fn drawn(least: usize, most: usize) -> usize {
    thread_rng().gen_range(least..=most)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Set to the seed that a failure names, to see it again.
    const SEED: u64 = 1;

    #[test]
    fn a_thousand_schedules_hold() {
        for seed in (0..1_000).map(|nth| SEED + nth) {
            let wrong = schedule(seed);
            assert!(wrong.is_empty(), "seed {seed}: {wrong:#?}");
        }
    }
}
