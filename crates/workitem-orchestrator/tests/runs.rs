//! A run keeps its promises, over both stores: durable before started, durable before told, never more at
//! a time than asked for, and everything put back when it stops.
#![cfg(test)]

mod common;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::TimeDelta;
use common::{Bench, all_stores, slots};
use rusqlite::Connection;
use workitem_orchestrator::{
    Backoff, Event, FnAgent, Observer, Options, Outcome, Rate, Retry, RunError, Stop, Stopping, Summary,
    Task, now,
};
use workitem_sqlite::SqliteStore;
use workitem_store::{Cause, ClaimRequest, Job, SettledLease, Store, StoreError, verify};
use workitem_types::{StatusKind, WorkItemEvent};
use workitem_typestate::{AgentFailed, MaxAttempts};

#[test]
fn every_item_runs_once_and_is_completed() {
    all_stores(|bench| {
        let job = bench.job(500);
        let runs = AtomicUsize::new(0);
        let agent = FnAgent::new(|_: &Task<'_>| {
            runs.fetch_add(1, Ordering::Relaxed);
            Ok::<_, String>(())
        });
        let summary = bench.run(&job, &agent, &slots(4));
        assert_eq!((summary.completed, runs.load(Ordering::Relaxed)), (500, 500));
        assert_eq!(summary.stopping, Stopping::No);
        assert!(summary.counts.is_finished());
        bench.assert_sound(&job);
    });
}

#[test]
fn an_attempt_is_durable_before_its_agent_starts() {
    all_stores(|bench| {
        let job = bench.job(50);
        let store = bench.store();
        let agent = FnAgent::new(|task: &Task<'_>| {
            let row = store.item(&job, task.item).unwrap();
            let started = store.history(job.id, row.seq..=row.seq).unwrap();
            match (row.record.status.kind(), row.record.attempts == task.attempt, started.len()) {
                (StatusKind::InProgress, true, 1) => Ok(()),
                other => Err(format!("the store says {other:?}")),
            }
        });
        assert_eq!(bench.run(&job, &agent, &slots(3)).completed, 50);
    });
}

/// Looks into the store whenever it is told something.
struct Doubter<'a> {
    store: &'a dyn Store,
    told: BTreeMap<u64, StatusKind>,
}

impl Observer for Doubter<'_> {
    fn event(&mut self, event: &Event<'_>) {
        let Event::Ended { seq, outcome, .. } = event else { return };
        let expected = match outcome {
            Outcome::Completed => StatusKind::Completed,
            Outcome::DeadLettered { .. } => StatusKind::DeadLettered,
            Outcome::Retrying { .. } | Outcome::Interrupted => return,
        };
        let job = self.store.jobs().unwrap().pop().unwrap();
        let page = workitem_store::ItemQuery { status: None, after: seq - 1, limit: 1 };
        let found = self.store.items(job.id, &page).unwrap()[0].record.status.kind();
        assert_eq!(found, expected, "item {seq} was told before it was durable");
        assert_eq!(self.told.insert(*seq, expected), None, "item {seq} was told twice");
    }
}

#[test]
fn an_outcome_is_durable_before_it_is_told_and_told_once() {
    all_stores(|bench| {
        let job = bench.job(120);
        let agent =
            FnAgent::new(|task: &Task<'_>| if task.seq.is_multiple_of(3) { Err("no") } else { Ok(()) });
        let mut doubter = Doubter { store: bench.store(), told: BTreeMap::new() };
        bench.run_watched(&job, &agent, &slots(4), &bench.stop, &mut doubter).unwrap();
        let completed = doubter.told.values().filter(|kind| **kind == StatusKind::Completed).count();
        assert_eq!((doubter.told.len(), completed), (120, 80));
    });
}

#[test]
fn slow_items_are_never_claimed_ahead() {
    all_stores(|bench| {
        let job = bench.job(8);
        let most = Mutex::new(0);
        let agent = FnAgent::new(|_: &Task<'_>| {
            std::thread::sleep(Duration::from_millis(120));
            let running = bench.store().counts(job.id).unwrap().by_status.in_progress;
            let mut most = most.lock().unwrap();
            *most = running.max(*most);
            Ok::<_, String>(())
        });
        bench.run(&job, &agent, &slots(2));
        assert_eq!(*most.lock().unwrap(), 2);
    });
}

#[test]
fn a_failed_item_is_tried_as_often_as_it_may_and_no_more() {
    all_stores(|bench| {
        let job = bench.job(20);
        let agent = FnAgent::new(|task: &Task<'_>| match (task.seq % 10, task.attempt) {
            (0, _) => Err("always"),
            (5, 1) => Err("once"),
            _ => Ok(()),
        });
        let retry = Retry { max_attempts: 3, ..Retry::default() };
        let summary = bench.run(&job, &agent, &Options { retry, ..slots(4) });
        let by = &summary.counts.by_status;
        assert_eq!((by.completed, by.dead_lettered, summary.failures), (18, 2, 8));
        let dead = bench.store().item(&job, &"10".into()).unwrap().record;
        assert_eq!((dead.attempts, dead.failures), (3, 3));
        bench.assert_sound(&job);
    });
}

#[test]
fn backoff_puts_the_next_attempt_off() {
    all_stores(|bench| {
        let job = bench.job(3);
        let backoff = Backoff { base: Duration::from_millis(300), max: Duration::from_millis(300) };
        let retry = Retry { max_attempts: 2, backoff: Some(backoff), on: None };
        let agent = FnAgent::new(|task: &Task<'_>| if task.attempt == 1 { Err("once") } else { Ok(()) });
        assert_eq!(bench.run(&job, &agent, &Options { retry, ..slots(2) }).completed, 3);
        let rows = bench.store().history(job.id, 1..=3).unwrap();
        let waits = rows.windows(2).filter_map(|pair| match (&pair[0].event, &pair[1].event) {
            (WorkItemEvent::Retry, WorkItemEvent::AgentStart { .. }) => Some(pair[1].at - pair[0].at),
            _ => None,
        });
        let longest = waits.max().unwrap().to_std().unwrap();
        assert!(longest > Duration::from_millis(20), "three draws from 0..300 ms gave {longest:?} at most");
    });
}

#[test]
fn what_a_run_by_another_clock_has_put_off_is_not_waited_for() {
    all_stores(|bench| {
        let job = bench.job(2);
        let claims = bench.store().claim(&ClaimRequest::new(job.id, "agent", 2, now())).unwrap().claims;
        let failed =
            claims.into_iter().map(|claim| claim.leased.step(AgentFailed { error: "x".into() }, now()));
        let a_year = TimeDelta::days(365);
        for (n, failed) in (1..).zip(failed) {
            let SettledLease::Retry(step) = failed.settle(&MaxAttempts(9), now()) else { panic!() };
            assert_eq!(bench.store().record(&[step.run_at(now() + a_year * n).seal()]).unwrap().len(), 1);
        }
        let backoff = Backoff { base: Duration::from_millis(1), max: Duration::from_millis(1) };
        let retry = Retry { max_attempts: 9, backoff: Some(backoff), on: None };
        let agent = FnAgent::new(|_: &Task<'_>| Ok::<_, String>(()));
        assert_eq!(bench.run(&job, &agent, &Options { retry, ..slots(2) }).completed, 2);
        bench.assert_sound(&job);
    });
}

#[test]
fn an_interrupted_run_puts_everything_back_and_another_finishes() {
    all_stores(|bench| {
        let job = bench.job(60);
        let started = AtomicUsize::new(0);
        let agent = FnAgent::new(|task: &Task<'_>| {
            if started.fetch_add(1, Ordering::Relaxed) == 20 {
                bench.stop.interrupt();
            }
            task.cancel.wait_timeout(Duration::from_millis(2));
            if task.is_cancelled() { Err("stopped") } else { Ok(()) }
        });
        let first = bench.run(&job, &agent, &slots(3));
        let by = &first.counts.by_status;
        assert_eq!(
            (first.stopping, by.in_progress, by.failed, by.dead_lettered),
            (Stopping::Interrupt, 0, 0, 0)
        );
        assert!(first.interrupted > 0 && by.pending > 0, "{first:?}");
        let finisher = FnAgent::new(|_: &Task<'_>| Ok::<_, String>(()));
        let second = bench.run_watched(&job, &finisher, &slots(3), &Stop::new().unwrap(), &mut ()).unwrap();
        assert_eq!(first.completed + second.completed, 60);
        let crashes: usize = bench.rows(&job).iter().map(|row| row.crashes).sum();
        assert_eq!(crashes, 0, "to be stopped is no crash");
        bench.assert_sound(&job);
    });
}

#[test]
fn a_drained_run_lets_agents_finish() {
    all_stores(|bench| {
        let job = bench.job(10);
        let cancelled = AtomicUsize::new(0);
        let agent = FnAgent::new(|task: &Task<'_>| {
            bench.stop.drain();
            cancelled.fetch_add(
                usize::from(task.cancel.wait_timeout(Duration::from_millis(50))),
                Ordering::Relaxed,
            );
            Ok::<_, String>(())
        });
        let summary = bench.run(&job, &agent, &slots(2));
        assert_eq!((summary.stopping, cancelled.load(Ordering::Relaxed)), (Stopping::Drain, 0));
        assert!((1..=2).contains(&summary.completed), "{summary:?}");
        assert_eq!(summary.counts.by_status.pending, 10 - summary.completed);
    });
}

#[test]
fn a_drain_that_takes_too_long_interrupts() {
    all_stores(|bench| {
        let job = bench.job(2);
        let agent = FnAgent::new(|task: &Task<'_>| {
            bench.stop.drain();
            if task.cancel.wait_timeout(Duration::from_mins(1)) { Err("cancelled") } else { Ok(()) }
        });
        let options = Options { drain: Duration::from_millis(50), ..slots(1) };
        let summary = bench.run(&job, &agent, &options);
        assert_eq!((summary.stopping, summary.completed), (Stopping::Interrupt, 0));
        assert_eq!(summary.counts.by_status.pending, 2);
    });
}

/// Counts how often the run looks up.
#[derive(Default)]
struct Looks(Cell<usize>);

impl Observer for Looks {
    fn event(&mut self, _: &Event<'_>) {}

    fn every(&self) -> Option<Duration> {
        self.0.set(self.0.get() + 1);
        None
    }
}

#[test]
fn a_run_whose_drain_took_too_long_waits_for_its_agents_and_does_not_spin() {
    all_stores(|bench| {
        let job = bench.job(1);
        let agent = FnAgent::new(|task: &Task<'_>| {
            bench.stop.drain();
            task.cancel.wait_timeout(Duration::from_mins(1));
            std::thread::sleep(Duration::from_millis(300));
            Err::<(), _>("took its time to stop")
        });
        let options = Options { drain: Duration::from_millis(20), ..slots(1) };
        let mut looks = Looks::default();
        bench.run_watched(&job, &agent, &options, &bench.stop, &mut looks).unwrap();
        assert!(looks.0.get() < 100, "it looked up {} times", looks.0.get());
    });
}

#[test]
fn a_run_with_a_rate_does_not_end_before_what_is_to_be_tried_again() {
    all_stores(|bench| {
        let job = bench.job(1);
        let agent = FnAgent::new(|task: &Task<'_>| if task.attempt < 3 { Err("not yet") } else { Ok(()) });
        let retry = Retry { max_attempts: 3, ..Retry::default() };
        let rate = Some(Rate::new(NonZeroU32::MIN, Duration::from_millis(150)));
        let summary = bench.run(&job, &agent, &Options { retry, rate, ..slots(2) });
        assert_eq!((summary.completed, summary.failures), (1, 2));
        assert!(summary.counts.is_finished(), "{:?}", summary.counts);
    });
}

/// A claim of somebody who is not heard of again; where a store is shared, that is known at once.
fn vanishing(job: &Job, limit: usize) -> ClaimRequest<'static> {
    ClaimRequest { lease: Duration::ZERO, ..ClaimRequest::new(job.id, "gone", limit, now()) }
}

#[test]
fn what_a_vanished_run_left_behind_is_run_again() {
    all_stores(|bench| {
        let job = bench.job(10);
        for claim in bench.store().claim(&vanishing(&job, 4)).unwrap().claims {
            drop(claim);
        }
        let agent = FnAgent::new(|_: &Task<'_>| Ok::<_, String>(()));
        assert_eq!(bench.run(&job, &agent, &slots(2)).completed, 10);
        let attempts: Vec<usize> = bench.rows(&job).iter().map(|row| row.record.attempts).collect();
        assert_eq!(attempts, [2, 2, 2, 2, 1, 1, 1, 1, 1, 1]);
        bench.assert_sound(&job);
    });
}

#[test]
fn what_a_vanished_run_left_behind_is_put_in_order_without_running_it() {
    all_stores(|bench| {
        let job = bench.job(3);
        assert_eq!(bench.store().claim(&vanishing(&job, 2)).unwrap().claims.len(), 2);
        bench.orchestrator(&job).clean_up(&slots(1), &mut ()).unwrap();
        let counts = bench.store().counts(job.id).unwrap().by_status;
        assert_eq!((counts.pending, counts.in_progress), (3, 0));
        bench.assert_sound(&job);
    });
}

#[test]
fn counts_that_promise_what_is_not_there_are_an_error_and_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("workitem.db");
    let bench = Bench::over(Arc::new(SqliteStore::create(&path).unwrap()));
    let job = bench.job(2);
    Connection::open(&path).unwrap().execute("UPDATE jobs SET in_progress = 3", []).unwrap();
    let agent = FnAgent::new(|_: &Task<'_>| Ok::<_, String>(()));
    let refused = bench.run_watched(&job, &agent, &slots(1), &bench.stop, &mut ()).unwrap_err();
    assert!(matches!(&refused, RunError::Store(StoreError::Damaged { .. })), "{refused}");
    assert!(refused.to_string().contains("3 items of this job are left"), "{refused}");
}

#[test]
#[cfg(target_os = "linux")]
fn agents_of_a_vanished_run_are_ended_before_their_items_are_run_again() {
    all_stores(|bench| {
        let job = bench.job(1);
        assert_eq!(bench.store().claim(&vanishing(&job, 1)).unwrap().claims.len(), 1);
        // As a run of this job marks its agents.
        let run = format!("{}-{}-4711-1", bench.store().identity(), job.id);
        let mut orphan = Command::new("sleep");
        orphan.arg("100").env("WORKITEM_RUN", run).env("WORKITEM_ID", "1").env("WORKITEM_ATTEMPT", "1");
        let orphan = orphan.spawn().unwrap();
        // A program is started a moment before its environment can be seen.
        while std::fs::read(format!("/proc/{}/environ", orphan.id())).unwrap().is_empty() {}
        let orphan = Mutex::new(orphan);
        let agent = FnAgent::new(|task: &Task<'_>| {
            let ours = format!("{}-{}-{}-", bench.store().identity(), job.id, std::process::id());
            assert!(task.run.starts_with(&ours), "{} does not begin with {ours}", task.run);
            assert!(orphan.lock().unwrap().try_wait().unwrap().is_some(), "it has not ended");
            Ok::<_, String>(())
        });
        let mut orphans = Orphans(0);
        let ran = bench.run_watched(&job, &agent, &slots(1), &bench.stop, &mut orphans).unwrap();
        let _ = orphan.lock().unwrap().kill();
        assert_eq!((ran.completed, orphans.0), (1, 1));
    });
}

/// How many processes had outlived their orchestrator.
struct Orphans(usize);

impl Observer for Orphans {
    fn event(&mut self, event: &Event<'_>) {
        if let Event::Recovered { orphans, .. } = event {
            self.0 += orphans;
        }
    }
}

#[test]
fn an_item_that_takes_its_host_down_is_given_up() {
    all_stores(|bench| {
        let job = bench.job(2);
        let agent = FnAgent::new(|_: &Task<'_>| Ok::<_, String>(()));
        let request = vanishing(&job, 1);
        assert_eq!(bench.store().claim(&request).unwrap().claims.len(), 1);
        let summary = bench.run(&job, &agent, &Options { max_crashes: 0, ..slots(2) });
        assert_eq!((summary.counts.by_status.dead_lettered, summary.completed), (1, 1));
        let history = bench.store().history(job.id, 1..=1).unwrap();
        assert_eq!(history[1].cause, Some(Cause::CrashLimit { crashes: 1 }));
    });
}

#[test]
fn a_panic_is_a_failure_of_the_item() {
    all_stores(|bench| {
        let job = bench.job(4);
        let agent = FnAgent::new(|task: &Task<'_>| {
            assert!(task.seq != 2, "two is not to be had");
            Ok::<_, String>(())
        });
        let summary = bench.run(&job, &agent, &slots(2));
        assert_eq!((summary.completed, summary.failures), (3, 1));
        let history = bench.store().history(job.id, 2..=2).unwrap();
        assert_eq!(history[1].cause, Some(Cause::Panic));
        assert!(matches!(&history[1].event, WorkItemEvent::AgentFailed { error } if error.contains("two")));
    });
}

#[test]
fn items_that_are_added_meanwhile_are_taken_up() {
    all_stores(|bench| {
        let job = bench.job(2);
        let agent = FnAgent::new(|task: &Task<'_>| match task.item.as_str() {
            "1" => Err("dies"),
            "2" => {
                let deadline = std::time::Instant::now() + Duration::from_secs(20);
                while std::time::Instant::now() < deadline {
                    bench.store().retry_letters(job.id, &[1]).unwrap();
                    if bench.store().counts(job.id).unwrap().by_status.completed == 1 {
                        return Ok(());
                    }
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err("the successor did not run")
            }
            _ => Ok(()),
        });
        let summary = bench.run(&job, &agent, &slots(2));
        assert_eq!((summary.completed, summary.counts.open_letters), (2, 0));
    });
}

#[test]
fn a_job_that_was_made_anew_is_not_run_under_the_old_ones_lock() {
    all_stores(|bench| {
        let mut orchestrator = bench.orchestrator(&bench.job(3));
        bench.store().delete_job(orchestrator.job().id).unwrap();
        let anew = bench.job(3);
        let agent = FnAgent::new(|_: &Task<'_>| Ok::<_, String>(()));
        let ran = orchestrator.run(&agent, &slots(1), &bench.stop, &mut ());
        assert!(matches!(ran, Err(RunError::Store(StoreError::NoJob { .. }))), "{ran:?}");
        assert_eq!(bench.store().counts(anew.id).unwrap().by_status.pending, 3);
    });
}

#[test]
fn ten_thousand_quick_items_hold_and_count() {
    all_stores(|bench| {
        let job = bench.job(10_000);
        let agent = FnAgent::new(|_: &Task<'_>| Ok::<_, String>(()));
        let summary: Summary = bench.run(&job, &agent, &slots(2));
        assert_eq!(summary.completed, 10_000);
        let audit = verify(bench.store(), &job).unwrap();
        assert_eq!((audit.items, audit.events, audit.found), (10_000, 20_000, 0));
    });
}
