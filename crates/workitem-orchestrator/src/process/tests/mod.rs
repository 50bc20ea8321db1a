//! Real commands.

mod arguments;
mod ending;
mod orphans;
mod output;
mod stopping;

use std::time::{Duration, Instant};

use workitem_store::{AttemptOutput, Captured, Cause, Kept};

use super::family::{Family, Process};
use super::{ProcessAgent, Template, end_orphans};
use crate::agent::{Agent, Ended, How};
use crate::testing::Bench;

fn agent(argv: &[&str]) -> ProcessAgent {
    let argv = argv.iter().map(Into::into).collect();
    ProcessAgent::new(Template::parse(argv).unwrap(), "/").grace(Duration::from_secs(20))
}

fn sh(script: &str) -> ProcessAgent {
    agent(&["sh", "-c", script])
}

fn run(bench: &Bench, agent: &ProcessAgent) -> (How, AttemptOutput) {
    let Ended { how, output } = agent.run(&bench.task()).unwrap();
    (how, output)
}

/// Runs an agent that is to complete, and gives its standard output.
fn stdout(bench: &Bench, agent: &ProcessAgent) -> Vec<u8> {
    let (how, output) = run(bench, agent);
    assert!(matches!(how, How::Completed(_)), "{how:?}");
    inline(output.stdout)
}

fn inline(captured: Captured) -> Vec<u8> {
    match captured.kept {
        Kept::Inline(bytes) => bytes,
        Kept::Blob { len } => panic!("expected inline output, found a blob of {len} bytes"),
    }
}

/// Runs an agent that is to fail, and gives the cause and the error.
fn failure(bench: &Bench, agent: &ProcessAgent) -> (Cause, String) {
    match run(bench, agent).0 {
        How::Failed { error, cause } => (cause, error),
        other => panic!("expected a failure, found {other:?}"),
    }
}

/// How many processes of the bench's run are alive, whatever they work on.
fn alive(bench: &Bench) -> usize {
    let mark = format!("WORKITEM_RUN={}", bench.run);
    let is_of_run = |process: &Process| {
        let path = format!("/proc/{}/environ", process.pid.as_raw_nonzero());
        let environment = std::fs::read(path).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable.starts_with(mark.as_bytes()))
    };
    Family::new(is_of_run).living().len()
}

/// Ends what is left of the bench's attempt, and says how many processes that were.
fn end_attempt(bench: &Bench) -> usize {
    let task = bench.task();
    end_orphans(&bench.run, &[(task.item.to_string(), task.attempt)].into()).unwrap()
}

/// Waits for something that another process does.
fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "never came true: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
