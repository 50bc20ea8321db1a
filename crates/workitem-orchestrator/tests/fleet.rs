//! Several orchestrators at one job, where a store is shared.
#![cfg(test)]

mod common;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

use chrono::{DateTime, Utc};
use common::{Bench, slots};
use workitem_orchestrator::{
    Backoff, Event, FnAgent, Observer, Options, Orchestrator, Retry, Stop, Summary, Task, now,
};
use workitem_store::{ClaimRequest, Control, Job, MemoryStore, Recovered, StoreError};
use workitem_types::StatusKind;

fn shared() -> Bench {
    Bench::over(Arc::new(MemoryStore::shared(now)))
}

/// Claims an item for somebody who will not be heard of again after `lease`.
fn held_by_another(bench: &Bench, job: &Job, lease: Duration) -> u64 {
    let request = ClaimRequest { lease, ..ClaimRequest::new(job.id, "another", 1, now()) };
    let claims = bench.store().claim(&request).unwrap().claims;
    claims[0].leased.token().seq()
}

#[test]
fn several_share_a_job_and_one_of_them_is_told_that_it_is_finished() {
    let bench = shared();
    let job = bench.job(300);
    let (ran, both) = (Mutex::new(Vec::new()), Barrier::new(2));
    let agent = FnAgent::new(|task: &Task<'_>| {
        ran.lock().unwrap().push((task.seq, task.run.to_owned()));
        // Only once both are at it.
        if ran.lock().unwrap().iter().filter(|(_, run)| run == task.run).count() == 1 {
            both.wait();
        }
        Ok::<_, String>(())
    });
    let summaries: Vec<Summary> = thread::scope(|scope| {
        let run = || bench.joined(&job).run(&agent, &slots(1), &Stop::new().unwrap(), &mut ()).unwrap();
        let runs = [scope.spawn(run), scope.spawn(run)];
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    let ran = ran.into_inner().unwrap();
    assert_eq!(ran.iter().map(|(seq, _)| *seq).collect::<BTreeSet<_>>().len(), 300);
    assert_eq!(ran.len(), 300, "each has run once");
    assert_eq!(ran.iter().map(|(_, run)| run).collect::<BTreeSet<_>>().len(), 2);
    assert_eq!(summaries.iter().map(|summary| summary.completed).sum::<usize>(), 300);
    assert_eq!(summaries.iter().filter(|summary| summary.finished).count(), 1);
    bench.assert_sound(&job);
}

#[test]
fn whoever_works_without_the_lock_of_a_job_is_no_obstacle_to_who_has_it() {
    let bench = shared();
    let job = bench.job(1);
    let _first = bench.joined(&job);
    let _front = bench.orchestrator(&job);
    let _last = bench.joined(&job);
    let alone = Bench::over(Arc::new(MemoryStore::new()));
    let job = alone.job(1);
    let _first = alone.joined(&job);
    let refused = Orchestrator::join(alone.shared_store(), job).err();
    assert!(matches!(refused, Some(StoreError::Busy { .. })), "there one is enough");
}

/// Remembers what was found in disorder.
#[derive(Default)]
struct Found(Vec<Recovered>);

impl Observer for Found {
    fn event(&mut self, event: &Event<'_>) {
        if let Event::Recovered { items, .. } = event {
            self.0.push(*items);
        }
    }
}

#[test]
fn what_another_has_left_is_taken_up_in_the_midst_of_a_run() {
    let bench = shared();
    let job = bench.job(3);
    let lost = held_by_another(&bench, &job, Duration::from_millis(200));
    let options = Options { lease: Duration::from_millis(90), ..slots(2) };
    let mut found = Found::default();
    let agent = FnAgent::new(|_: &Task<'_>| Ok::<_, String>(()));
    let summary = bench.joined(&job).run(&agent, &options, &bench.stop, &mut found).unwrap();
    assert_eq!((summary.completed, summary.finished), (3, true));
    let interrupted = Recovered { interrupted: 1, ..Recovered::default() };
    assert_eq!(found.0, [Recovered::default(), interrupted], "first nothing, and nothing twice");
    assert_eq!(bench.rows(&job)[usize::try_from(lost).unwrap() - 1].record.attempts, 2);
    bench.assert_sound(&job);
}

#[test]
fn a_lease_is_renewed_for_as_long_as_an_agent_takes() {
    let bench = shared();
    let job = bench.job(1);
    let options = Options { lease: Duration::from_millis(90), ..slots(1) };
    let agent = FnAgent::new(|_: &Task<'_>| {
        // Longer than the lease, three times over.
        for _ in 0..30 {
            thread::sleep(Duration::from_millis(10));
            assert!(bench.store().abandoned(job.id, 10, now()).unwrap().is_empty());
        }
        Ok::<_, String>(())
    });
    let summary = bench.joined(&job).run(&agent, &options, &bench.stop, &mut ()).unwrap();
    assert_eq!(summary.completed, 1);
}

#[test]
fn what_a_run_has_it_does_not_take_up_from_itself_when_asking_takes_longer_than_its_lease() {
    // A lease is over whenever somebody looks.
    let (lease, looks) = (Duration::from_millis(30), AtomicI64::new(0));
    let clock = move || {
        DateTime::from_timestamp_millis(31 * looks.fetch_add(1, Ordering::Relaxed)).expect("it is a time")
    };
    let bench = Bench::over(Arc::new(MemoryStore::shared(clock)));
    let job = bench.job(1);
    let agent = FnAgent::new(|_: &Task<'_>| {
        thread::sleep(Duration::from_millis(200));
        Ok::<_, String>(())
    });
    let mut found = Found::default();
    let options = Options { lease, ..slots(1) };
    let summary = bench.joined(&job).run(&agent, &options, &bench.stop, &mut found).unwrap();
    assert_eq!((summary.completed, found.0), (1, vec![Recovered::default()]));
    assert_eq!(bench.rows(&job)[0].record.attempts, 1);
    bench.assert_sound(&job);
}

#[test]
fn who_leaves_says_so_and_need_not_be_waited_for() {
    let bench = shared();
    let job = bench.job(2);
    let run = Mutex::new(String::new());
    let agent = FnAgent::new(|task: &Task<'_>| {
        task.run.clone_into(&mut run.lock().unwrap());
        bench.stop.drain();
        Ok::<_, String>(())
    });
    bench.joined(&job).run(&agent, &slots(1), &bench.stop, &mut ()).unwrap();
    // A lease of nothing shortens none that is there.
    let name = run.into_inner().unwrap();
    let request = ClaimRequest { lease: Duration::ZERO, ..ClaimRequest::new(job.id, &name, 1, now()) };
    assert_eq!(bench.store().claim(&request).unwrap().claims.len(), 1);
    assert_eq!(bench.store().abandoned(job.id, 10, now()).unwrap().len(), 1);
}

#[test]
fn a_run_while_something_is_due_waits_for_nothing_and_nobody() {
    let bench = shared();
    let job = bench.job(3);
    held_by_another(&bench, &job, Duration::from_hours(1));
    let hour = Duration::from_hours(1);
    let retry =
        Retry { max_attempts: 2, backoff: Some(Backoff { base: hour, max: 2 * hour }), ..Retry::default() };
    let options = Options { retry, while_due: true, ..slots(1) };
    let runs = AtomicUsize::new(0);
    let agent = FnAgent::new(|_: &Task<'_>| match runs.fetch_add(1, Ordering::Relaxed) {
        0 => Err("exit 7"),
        _ => Ok(()),
    });
    let run = || bench.joined(&job).run(&agent, &options, &bench.stop, &mut ()).unwrap();
    let summary = run();
    assert_eq!((summary.completed, summary.failures, summary.finished), (1, 1, false));
    let by = summary.counts.by_status;
    assert_eq!((by.pending, by.in_progress, by.completed), (1, 1, 1));
    bench.store().set_control(job.id, Control::Pause).unwrap();
    assert_eq!(run().completed, 0, "nor for a job that is paused");
}

#[test]
fn time_is_the_stores() {
    let long_ago: DateTime<Utc> = "2001-01-01T00:00:00Z".parse().unwrap();
    let began = now();
    let bench = Bench::over(Arc::new(MemoryStore::shared(move || long_ago + (now() - began))));
    let job = bench.job(20);
    let front = bench.orchestrator(&job);
    let since = bench.store().running(&job).unwrap().unwrap().since;
    assert!(since < long_ago + Duration::from_hours(1), "{since}");
    drop(front);
    let options = Options { lease: Duration::from_millis(30), ..slots(2) };
    let agent = FnAgent::new(|_: &Task<'_>| {
        thread::sleep(Duration::from_millis(10));
        Ok::<_, String>(())
    });
    let summary = bench.joined(&job).run(&agent, &options, &bench.stop, &mut ()).unwrap();
    assert_eq!(summary.completed, 20);
    let mut last = long_ago;
    for row in bench.store().history(job.id, 1..=20).unwrap() {
        assert!(row.at >= long_ago && row.at < long_ago + Duration::from_hours(1), "{}", row.at);
        last = last.max(row.at);
    }
    assert!(last - long_ago >= chrono::TimeDelta::milliseconds(90), "it goes on");
    assert!(bench.rows(&job).iter().all(|row| row.record.status.kind() == StatusKind::Completed));
}

#[test]
fn a_run_hears_again_and_again_what_time_it_is() {
    let (ahead, asked) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicUsize::new(0)));
    let (hours, asks) = (Arc::clone(&ahead), Arc::clone(&asked));
    let clock = move || {
        asks.fetch_add(1, Ordering::Relaxed);
        now() + chrono::TimeDelta::hours(hours.load(Ordering::Relaxed))
    };
    let bench = Bench::over(Arc::new(MemoryStore::shared(clock)));
    let job = bench.job(2);
    let options = Options { lease: Duration::from_millis(30), ..slots(1) };
    let agent = FnAgent::new(|_: &Task<'_>| {
        ahead.store(5, Ordering::Relaxed);
        // A sign of life asks a few times, and the run has heard it before the next one.
        let enough = asked.load(Ordering::Relaxed) + 30;
        while asked.load(Ordering::Relaxed) < enough {
            thread::sleep(Duration::from_millis(1));
        }
        Ok::<_, String>(())
    });
    let began = now();
    bench.joined(&job).run(&agent, &options, &bench.stop, &mut ()).unwrap();
    let history = bench.store().history(job.id, 1..=2).unwrap();
    let after: Vec<i64> = history.iter().map(|row| (row.at - began).num_hours()).collect();
    assert_eq!(after, [0, 5, 5, 5]);
}
