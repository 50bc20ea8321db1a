//! What runs, what was claimed and does not run yet, and what becomes of both when a run ends early.
#![cfg(test)]

mod common;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::Duration;

use common::{all_stores, slots};
use workitem_orchestrator::{
    Agent, Ended, Event, Fault, FnAgent, Observer, Progress, RunError, Stopping, Task,
};
use workitem_types::StatusKind;

const MOMENT: Duration = Duration::from_millis(1);

#[test]
fn what_was_claimed_ahead_is_not_started_any_more_once_a_run_drains() {
    all_stores(|bench| {
        let job = bench.job(3_000);
        let (started, held) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let agent = FnAgent::new(|_: &Task<'_>| {
            let started = started.fetch_add(1, Ordering::Relaxed) + 1;
            // By now so much is claimed ahead that there is something to be put back. What is over need not be recorded yet.
            let counts = bench.store().counts(job.id).unwrap().by_status;
            let ahead = counts.in_progress + counts.completed - started;
            if ahead > 5 && held.swap(ahead, Ordering::Relaxed) == 0 {
                bench.stop.drain();
            }
            sleep(MOMENT);
            Ok::<_, String>(())
        });
        let summary = bench.run(&job, &agent, &slots(1));
        assert_eq!(summary.stopping, Stopping::Drain);
        assert_eq!(summary.completed, started.into_inner(), "what is put back was not started");
        assert!(summary.interrupted >= held.into_inner(), "{summary:?}");
        bench.assert_sound(&job);
    });
}

/// Waits until it is told that an item runs.
struct Sees<'a>(&'a AtomicBool);

impl Observer for Sees<'_> {
    fn event(&mut self, _: &Event<'_>) {}

    fn every(&self) -> Option<Duration> {
        Some(MOMENT)
    }

    fn progress(&mut self, progress: &Progress<'_>) {
        if let [running] = progress.running {
            assert_eq!(running.item.as_str(), "1");
            assert!(running.since >= progress.since);
            self.0.store(true, Ordering::Release);
        }
    }
}

#[test]
fn what_runs_is_told() {
    all_stores(|bench| {
        let job = bench.job(1);
        let seen = AtomicBool::new(false);
        let agent = FnAgent::new(|_: &Task<'_>| {
            while !seen.load(Ordering::Acquire) {
                sleep(MOMENT);
            }
            Ok::<_, String>(())
        });
        bench.run_watched(&job, &agent, &slots(1), &bench.stop, &mut Sees(&seen)).unwrap();
    });
}

/// The first item cannot be tried, once the second one is at work; the second one is in no hurry.
struct NoRoom<F> {
    second: F,
    is_at_work: AtomicBool,
    ran: Mutex<Vec<u64>>,
}

impl<F: Agent> Agent for NoRoom<F> {
    fn run(&self, task: &Task<'_>) -> Result<Ended, Fault> {
        self.ran.lock().unwrap().push(task.seq);
        if task.seq == 1 {
            while !self.is_at_work.load(Ordering::Acquire) {
                sleep(MOMENT);
            }
            return Err(Fault::System("no room".to_owned()));
        }
        self.is_at_work.store(true, Ordering::Release);
        sleep(100 * MOMENT);
        self.second.run(task)
    }
}

#[test]
fn what_others_have_done_is_recorded_when_an_attempt_cannot_be_made() {
    all_stores(|bench| {
        let job = bench.job(2);
        let second = FnAgent::new(|_: &Task<'_>| Ok::<_, String>(()));
        let agent = NoRoom { second, is_at_work: AtomicBool::new(false), ran: Mutex::default() };
        let failed = bench.run_watched(&job, &agent, &slots(2), &bench.stop, &mut ());
        assert!(matches!(failed, Err(RunError::System(what)) if what == "no room"));
        let states: Vec<StatusKind> = bench.rows(&job).iter().map(|row| row.record.status.kind()).collect();
        assert_eq!(states, [StatusKind::Pending, StatusKind::Completed]);
        assert_eq!(agent.ran.into_inner().unwrap().len(), 2);
        bench.assert_sound(&job);
    });
}
