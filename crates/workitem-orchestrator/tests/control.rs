//! A run does what others want of its job while it goes on: over both stores.
#![cfg(test)]

mod common;

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use common::{all_stores, slots};
use workitem_orchestrator::{
    Event, FnAgent, Observer, Options, Retry, Returned, Rule, StopRules, Stopping, Task, Worth,
};
use workitem_store::{Control, NewItem};

/// Longer than a run takes to see what is wanted of it.
const SEEN: Duration = Duration::from_millis(400);

/// Notes what was wanted, in order.
#[derive(Default)]
struct Told(Vec<Control>);

impl Observer for Told {
    fn event(&mut self, event: &Event<'_>) {
        if let Event::Controlled { control } = event {
            self.0.push(*control);
        }
    }
}

#[test]
fn a_paused_job_starts_nothing_until_it_goes_on() {
    all_stores(|bench| {
        let job = bench.job(20);
        let (store, started, told) = (bench.store(), AtomicUsize::new(0), &mut Told::default());
        let agent = FnAgent::new(|_: &Task<'_>| {
            if started.fetch_add(1, Ordering::SeqCst) == 0 {
                store.set_control(job.id, Control::Pause).unwrap();
                thread::sleep(SEEN);
            }
            Ok::<_, String>(())
        });
        thread::scope(|scope| {
            scope.spawn(|| {
                while store.counts(job.id).unwrap().by_status.completed == 0 {
                    thread::sleep(Duration::from_millis(5));
                }
                thread::sleep(SEEN);
                assert_eq!(started.load(Ordering::SeqCst), 1, "nothing was started while the job was paused");
                assert!(store.running(&job).unwrap().is_some(), "and the run goes on");
                store.set_control(job.id, Control::Run).unwrap();
            });
            let summary = bench.run_watched(&job, &agent, &slots(1), &bench.stop, told).unwrap();
            assert_eq!((summary.completed, summary.cancelled), (20, false));
        });
        assert_eq!(told.0, [Control::Pause, Control::Run]);
        bench.assert_sound(&job);
    });
}

#[test]
fn a_job_that_is_paused_when_its_last_item_ends_is_finished() {
    all_stores(|bench| {
        let job = bench.job(1);
        let agent = FnAgent::new(|_: &Task<'_>| {
            bench.store().set_control(job.id, Control::Pause).unwrap();
            thread::sleep(SEEN);
            Ok::<_, String>(())
        });
        assert!(bench.run(&job, &agent, &slots(1)).counts.is_finished());
    });
}

#[test]
fn cancelling_stops_what_runs_and_starts_nothing_more() {
    all_stores(|bench| {
        let job = bench.job(20);
        let (store, started) = (bench.store(), AtomicUsize::new(0));
        let agent = FnAgent::new(|task: &Task<'_>| {
            started.fetch_add(1, Ordering::SeqCst);
            store.set_control(job.id, Control::Cancel).unwrap();
            let told = task.sleep(Duration::from_secs(10));
            Err::<Returned, _>(if told { "told to stop" } else { "never told" })
        });
        let summary = bench.run(&job, &agent, &slots(2));
        assert_eq!((summary.cancelled, summary.stopping), (true, Stopping::Interrupt));
        let pending = bench.rows(&job).into_iter().filter(|row| row.record.status.needs_processing());
        assert_eq!(pending.count(), 20, "what ran was put back, what waited stays");
        let before = started.load(Ordering::SeqCst);

        let stop = workitem_orchestrator::Stop::new().unwrap();
        let again = bench.run_watched(&job, &agent, &slots(2), &stop, &mut ()).unwrap();
        assert!(again.cancelled, "it stays cancelled");
        assert_eq!(started.load(Ordering::SeqCst), before, "nothing is started any more");
        bench.assert_sound(&job);
    });
}

#[test]
fn items_that_are_added_while_it_runs_are_run() {
    all_stores(|bench| {
        let job = bench.job(1);
        let agent = FnAgent::new(|task: &Task<'_>| {
            let more: Vec<NewItem> =
                (0..3).map(|n| NewItem { id: format!("more {n}").into(), payload: "x".into() }).collect();
            if task.seq == 1 {
                assert_eq!(bench.store().add(job.id, &more).unwrap(), 3);
            }
            Ok::<_, String>(())
        });
        assert_eq!(bench.run(&job, &agent, &slots(2)).completed, 4);
        bench.assert_sound(&job);
    });
}

#[test]
fn a_run_stops_by_itself_when_too_many_items_are_given_up() {
    all_stores(|bench| {
        let job = bench.job(400);
        let agent = FnAgent::new(|task: &Task<'_>| {
            thread::sleep(Duration::from_millis(1));
            if task.seq.is_multiple_of(4) { Err("no") } else { Ok(()) }
        });
        let rules = StopRules { max_failures: NonZeroUsize::new(5), ..StopRules::default() };
        let summary = bench.run(&job, &agent, &Options { rules, ..slots(1) });
        let given_up = summary.counts.by_status.dead_lettered;
        assert!(matches!(summary.rule, Some(Rule::MaxFailures { given_up: told }) if told <= given_up));
        assert!((5..100).contains(&given_up), "{given_up}: what ran was let finish, and no more was started");
        assert!(!summary.counts.is_finished());
        assert_eq!(summary.stopping, Stopping::Drain);
        bench.assert_sound(&job);

        let rules = StopRules { max_failure_rate: Some(0.5), ..StopRules::default() };
        let stop = workitem_orchestrator::Stop::new().unwrap();
        let options = Options { rules, ..slots(1) };
        let again = bench.run_watched(&job, &agent, &options, &stop, &mut ()).unwrap();
        assert_eq!((again.rule, again.counts.is_finished()), (None, true), "a quarter is not a half");
    });
}

#[test]
fn what_is_not_worth_another_attempt_gets_none() {
    all_stores(|bench| {
        let job = bench.job(2);
        let agent = FnAgent::new(|task: &Task<'_>| match task.seq {
            1 => panic!("this one panics"),
            _ => Err::<(), _>("this one fails"),
        });
        let retry = Retry { max_attempts: 3, on: Some(vec![Worth::Panic]), ..Retry::default() };
        bench.run(&job, &agent, &Options { retry, ..slots(1) });
        let attempts: Vec<usize> = bench.rows(&job).iter().map(|row| row.record.attempts).collect();
        assert_eq!(attempts, [3, 1]);
        bench.assert_sound(&job);
    });
}
