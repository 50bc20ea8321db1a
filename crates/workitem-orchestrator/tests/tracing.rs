//! Who listens with `tracing` hears what a run does, and never what an item holds.
//!
//! A listener hears every thread of its process, so this is a program of its own with one test.
#![cfg(test)]

use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};

use tracing_subscriber::filter::LevelFilter;
use workitem_orchestrator::{FnAgent, Options, Orchestrator, Retry, Stop, StopRules, Task, now};
use workitem_store::{ClaimRequest, MemoryStore, NewItem, NewJob, Store};

/// What was said, by all threads.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<u8>>>);

impl Write for Heard {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn who_listens_hears_of_runs_and_attempts_and_no_secrets() {
    let heard = Heard::default();
    let ear = heard.clone();
    let listener =
        tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_writer(move || ear.clone());
    listener.init();

    let store = Arc::new(MemoryStore::new());
    let new = NewJob { name: Some("job".into()), spec: serde_json::Value::Null, now: now() };
    let job = store.create_job(&new).unwrap();
    let items: Vec<NewItem> =
        (1..=6).map(|n| NewItem { id: n.to_string().into(), payload: "secret input".into() }).collect();
    store.submit(job.id, &items).unwrap();
    store.seal(job.id, "digest").unwrap();
    // What a run that went away has left.
    store.claim(&ClaimRequest::new(job.id, "gone", 1, now())).unwrap();

    let agent = FnAgent::new(|task: &Task<'_>| match (task.item.as_str(), task.attempt) {
        ("2", _) | ("3", 1) => Err("a secret error"),
        _ => Ok("a secret output"),
    });
    let options = Options {
        parallelism: NonZeroUsize::new(2).unwrap(),
        retry: Retry { max_attempts: 2, ..Retry::default() },
        rules: StopRules { max_failures: NonZeroUsize::new(1), ..StopRules::default() },
        ..Options::default()
    };
    let mut orchestrator = Orchestrator::new(store, job).unwrap();
    orchestrator.run(&agent, &options, &Stop::new().unwrap(), &mut ()).unwrap();
    orchestrator.run(&agent, &options, &Stop::new().unwrap(), &mut ()).unwrap();

    let heard = String::from_utf8(heard.0.lock().unwrap().clone()).unwrap();
    let run = "run{job=job}: ";
    for words in [
        &["WARN", run, "put in order", "interrupted=1"][..],
        &["INFO", run, "run started", "slots=2"],
        &["TRACE", run, "claimed", "claims="],
        &["DEBUG", run, "attempt started", "item=4 attempt=1"],
        &["DEBUG", run, "attempt ended", "item=4 attempt=1", "outcome=\"completed\""],
        &["DEBUG", run, "item=3 attempt=1", "outcome=\"retrying\" cause=error"],
        &["DEBUG", run, "item=2 attempt=2", "outcome=\"dead-lettered\" cause=error"],
        &["TRACE", run, "recorded", "steps="],
        &["WARN", run, "a rule stops the run"],
        &["INFO", run, "run ended", "completed="],
    ] {
        let said = heard.lines().any(|line| words.iter().all(|word| line.contains(word)));
        assert!(said, "no line has {words:?}:\n{heard}");
    }
    assert!(!heard.contains("secret"), "{heard}");
    let count = |words| heard.matches(words).count();
    assert_eq!(
        (count("run started"), count("put in order")),
        (2, 1),
        "the second run found nothing:\n{heard}"
    );
}
