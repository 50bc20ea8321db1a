//! A job whose agent is a closure that does nothing: what is left is the orchestrator, the store and the server.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use workitem_orchestrator::{
    Event, FnAgent, Observer, Options, Orchestrator, Outcome, Progress, Stop, Task, now,
};
use workitem_postgres::PostgresStore;
use workitem_store::{NewItem, NewJob, Store, verify};

use crate::clock;

/// Items submitted in one transaction.
const BATCH: usize = 5_000;
/// How often a worker looks how many are completed, where that is the end.
const LOOK: Duration = Duration::from_millis(20);
/// Items that run at a time in each worker.
pub const PARALLELISM: NonZeroUsize = NonZeroUsize::new(2).expect("it is not zero");

/// A sealed job of so many items.
pub fn submit(url: &str, name: &str, items: usize) -> Result<Value> {
    let store = PostgresStore::create(url)?;
    let job = store.create_job(&NewJob { name: Some(name.to_owned()), spec: Value::Null, now: now() })?;
    let started = Instant::now();
    for first in (1..=items).step_by(BATCH) {
        let batch: Vec<NewItem> = (first..(first + BATCH).min(items + 1)).map(item).collect();
        store.submit(job.id, &batch)?;
    }
    store.seal(job.id, "numbers from 1")?;
    Ok(json!({ "items": items, "seconds": started.elapsed().as_secs_f64() }))
}

fn item(number: usize) -> NewItem {
    let text = number.to_string();
    NewItem { id: text.as_str().into(), payload: text.as_str().into() }
}

/// Works on the job until nothing is left, or `until` of its items are completed. Says when it began and when its last item
/// was on the disk.
pub fn work(
    url: &str,
    name: &str,
    until: Option<usize>,
    barrier: impl FnOnce() -> Result<()>,
) -> Result<Value> {
    let store = Arc::new(PostgresStore::open(url)?);
    let job = store.job(name)?;
    let mut orchestrator = Orchestrator::join(store, job)?;
    let agent = FnAgent::new(|_: &Task<'_>| Ok::<_, String>(()));
    let options = Options { parallelism: PARALLELISM, ..Options::default() };
    let stop = Stop::new()?;
    barrier()?;
    let began = clock();
    let mut watch = Watch { stop: stop.clone(), until, completed: 0, ended: began };
    orchestrator.run(&agent, &options, &stop, &mut watch)?;
    Ok(json!({ "completed": watch.completed, "began": began, "ended": watch.ended }))
}

struct Watch {
    stop: Stop,
    until: Option<usize>,
    completed: usize,
    ended: f64,
}

impl Observer for Watch {
    fn event(&mut self, event: &Event<'_>) {
        if let Event::Ended { outcome: Outcome::Completed, .. } = event {
            self.completed += 1;
            self.ended = clock();
        }
    }

    fn every(&self) -> Option<Duration> {
        self.until.map(|_| LOOK)
    }

    fn progress(&mut self, progress: &Progress<'_>) {
        if self.until.is_some_and(|until| progress.counts.by_status.completed >= until) {
            self.stop.drain();
        }
    }
}

/// So many items must be completed and all others pending, by counts that are exact and a history that replays.
pub fn audit(url: &str, name: &str, completed: usize) -> Result<Value> {
    let store = PostgresStore::open(url)?;
    let job = store.job(name)?;
    let counts = store.counts(job.id)?.by_status;
    let total = counts.total();
    ensure!(
        counts.completed == completed && counts.pending == total - completed,
        "expected {completed} items completed and {} pending, found {counts:?}",
        total - completed
    );
    let audit = verify(&store, &job)?;
    ensure!(audit.passed() && audit.items == total, "the store does not verify: {audit:?}");
    ensure!(audit.events >= 2 * completed, "{} events of {completed} completed items", audit.events);
    Ok(json!({ "items": total, "completed": completed, "events": audit.events }))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use workitem_pgtest::Server;

    use super::*;
    use crate::{bare, plan};

    /// What was sent to a server that logs it, each without its line breaks.
    fn sent(server: &Server) -> Vec<String> {
        let log = std::fs::read_to_string(server.folder().unwrap().join("log")).unwrap();
        let mut sent: Vec<String> = Vec::new();
        for line in log.lines() {
            match (line.split_once("LOG:  execute "), sent.last_mut()) {
                (Some((_, execute)), _) => sent.push(execute.split_once(": ").unwrap().1.to_owned()),
                (None, Some(statement)) if line.starts_with('\t') => statement.push_str(line),
                (None, _) => {}
            }
        }
        sent.iter().map(|statement| statement.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }

    #[test]
    fn bare_statements_are_those_that_a_worker_sends() {
        let server = Server::start(&["log_statement=all"]).unwrap();
        let url = server.url();
        submit(url, "ours", 1_000).unwrap();
        work(url, "ours", None, || Ok(())).unwrap();
        let ours: BTreeSet<String> = sent(&server).into_iter().collect();
        submit(url, "bare", 1_000).unwrap();
        let (plan, mut begun) = (plan::plan(url, "ours").unwrap().to_string(), 0);
        let barrier = || {
            begun = sent(&server).len();
            Ok(())
        };
        bare::bare(url, "bare", &plan, 0, barrier).unwrap();
        let bare: BTreeSet<String> = sent(&server).drain(begun..).collect();
        assert!(bare.len() > 9, "{bare:#?}");
        let others: Vec<_> = bare.difference(&ours).collect();
        assert!(others.is_empty(), "{others:#?} is not what a worker sends: {ours:#?}");
    }

    #[test]
    fn a_job_is_done_twice_by_workers_and_by_bare_statements_and_both_verify() {
        let server = Server::start(&[]).unwrap();
        let url = server.url();
        submit(url, "ours", 1_000).unwrap();
        let worked = std::thread::scope(|scope| {
            let workers = [0; 2].map(|_| scope.spawn(|| work(url, "ours", None, || Ok(())).unwrap()));
            workers.map(|worker| worker.join().unwrap()["completed"].as_u64().unwrap())
        });
        assert_eq!(worked.iter().sum::<u64>(), 1_000);
        audit(url, "ours", 1_000).unwrap();

        submit(url, "bare", 1_000).unwrap();
        let plan = plan::plan(url, "ours").unwrap();
        let sent = (0..plan["workers"].as_array().unwrap().len()).map(|worker| {
            let said = bare::bare(url, "bare", &plan.to_string(), worker, || Ok(())).unwrap();
            said["completed"].as_u64().unwrap()
        });
        assert_eq!(sent.sum::<u64>(), 1_000);
        audit(url, "bare", 1_000).unwrap();
    }

    #[test]
    fn what_somebody_is_just_claiming_is_waited_for() {
        let server = Server::start(&["log_statement=all"]).unwrap();
        submit(server.url(), "job", 10).unwrap();
        let mut other = plan::connect(server.url()).unwrap();
        let mut claiming = other.transaction().unwrap();
        claiming.execute("SELECT 1 FROM due FOR UPDATE", &[]).unwrap();
        std::thread::scope(|scope| {
            let worker = scope.spawn(|| {
                let store = Arc::new(PostgresStore::open(server.url()).unwrap());
                let job = store.job("job").unwrap();
                let options = Options { while_due: true, ..Options::default() };
                let agent = FnAgent::new(|_: &Task<'_>| Ok::<_, String>(String::new()));
                let mut orchestrator = Orchestrator::join(store, job).unwrap();
                orchestrator.run(&agent, &options, &Stop::new().unwrap(), &mut ()).unwrap()
            });
            let looks = || sent(&server).iter().filter(|statement| statement.contains("SKIP LOCKED")).count();
            while looks() == 0 {
                assert!(!worker.is_finished(), "there is something to do for it");
            }
            let begun = Instant::now();
            std::thread::sleep(Duration::from_millis(300));
            assert!(!worker.is_finished(), "there is something to do for it");
            let (looked, most) = (looks(), usize::try_from(begun.elapsed().as_millis()).unwrap() / 2 + 10);
            assert!(looked <= most, "{looked} looks, at most {most} if it sleeps in between");
            claiming.rollback().unwrap();
            assert_eq!(worker.join().unwrap().completed, 10);
        });
    }

    #[test]
    fn a_worker_that_is_to_do_some_puts_the_rest_back_and_an_audit_sees_what_is_missing() {
        let server = Server::start(&[]).unwrap();
        submit(server.url(), "job", 50_000).unwrap();
        let completed = work(server.url(), "job", Some(300), || Ok(())).unwrap()["completed"].clone();
        let completed = usize::try_from(completed.as_u64().unwrap()).unwrap();
        assert!((300..50_000).contains(&completed), "{completed}");
        audit(server.url(), "job", completed).unwrap();
        let refused = audit(server.url(), "job", completed + 1).unwrap_err().to_string();
        assert!(refused.starts_with(&format!("expected {} items", completed + 1)), "{refused}");
    }
}
