//! Agents that are closures.

use std::any::Any;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};

use workitem_store::{AttemptOutput, BlobName, Captured, Cause, StoreError, StreamKind};
use workitem_types::AgentResult;

use crate::agent::{Agent, Ended, Fault, How, Task};
use crate::process::Capture;

/// An agent that calls a closure for each item.
///
/// The closure gets the [`Task`] and returns anything that is [`Returned`], or an error that can be shown.
/// It is called from several threads at once and cannot be stopped from outside: one that takes long
/// asks [`Task::should_stop`] or waits with [`Task::sleep`], and returns an error when it is to end. What
/// becomes of its item:
///
/// | the closure | the attempt |
/// |---|---|
/// | returns `Ok` | completed, however late |
/// | returns `Err` after the orchestrator wanted to stop | interrupted |
/// | returns `Err` after its time was up | failed, [`Cause::TimedOut`] |
/// | returns `Err` | failed, [`Cause::Error`] |
/// | returns an [`AgentResult`] that is no success | failed, [`Cause::Error`] |
/// | panics | failed, [`Cause::Panic`] |
///
/// ```
/// use workitem_orchestrator::FnAgent;
///
/// let lengths = FnAgent::new(|task| match task.payload.to_value().as_str() {
///     Some(text) => Ok(text.len().to_string()),
///     None => Err("expected a string"),
/// });
/// # let _: &dyn workitem_orchestrator::Agent = &lengths;
/// ```
#[derive(Debug, Clone, Copy)]
pub struct FnAgent<F> {
    f: F,
}

impl<F> FnAgent<F> {
    /// An agent that calls `f`.
    pub const fn new<O, E>(f: F) -> Self
    where
        F: Fn(&Task<'_>) -> Result<O, E> + Send + Sync,
        O: Into<Returned>,
        E: Display,
    {
        Self { f }
    }
}

impl<F, O, E> Agent for FnAgent<F>
where
    F: Fn(&Task<'_>) -> Result<O, E> + Send + Sync,
    O: Into<Returned>,
    E: Display,
{
    fn run(&self, task: &Task<'_>) -> Result<Ended, Fault> {
        // What the closure shares with its other calls is its own affair, as with a thread that panics.
        let (how, output) = match catch_unwind(AssertUnwindSafe(|| (self.f)(task).map(Into::into))) {
            Ok(Ok(returned)) => completed(task, returned)?,
            Ok(Err(error)) => (stopped_or_failed(task, &error), AttemptOutput::default()),
            Err(panic) => (failed(Cause::Panic, panic_text(&*panic)), AttemptOutput::default()),
        };
        Ok(Ended { how, output })
    }
}

/// What a closure hands back when it succeeds.
///
/// Text and bytes become the attempt's standard output; an [`AgentResult`] is recorded as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Returned {
    /// Nothing but success.
    Nothing,
    /// Output.
    Output(Vec<u8>),
    /// A whole result.
    Result(Box<AgentResult>),
}

impl From<()> for Returned {
    fn from((): ()) -> Self {
        Self::Nothing
    }
}

impl From<Vec<u8>> for Returned {
    fn from(output: Vec<u8>) -> Self {
        Self::Output(output)
    }
}

impl From<String> for Returned {
    fn from(output: String) -> Self {
        Self::Output(output.into_bytes())
    }
}

impl From<&str> for Returned {
    fn from(output: &str) -> Self {
        output.to_owned().into()
    }
}

impl From<AgentResult> for Returned {
    fn from(result: AgentResult) -> Self {
        Self::Result(Box::new(result))
    }
}

impl From<Box<AgentResult>> for Returned {
    fn from(result: Box<AgentResult>) -> Self {
        Self::Result(result)
    }
}

fn completed(task: &Task<'_>, returned: Returned) -> Result<(How, AttemptOutput), StoreError> {
    let success = || Box::new(AgentResult::success(task.item.as_str().into(), None, task.started.elapsed()));
    Ok(match returned {
        Returned::Nothing => (How::Completed(success()), AttemptOutput::default()),
        Returned::Output(bytes) => {
            let output = AttemptOutput { stdout: keep(task, &bytes)?, ..AttemptOutput::default() };
            (How::Completed(success()), output)
        }
        Returned::Result(result) if result.is_success() => (How::Completed(result), AttemptOutput::default()),
        Returned::Result(result) => {
            let error = result.error.unwrap_or_else(|| format!("agent handed back {:?}", result.status));
            (failed(Cause::Error, error), AttemptOutput::default())
        }
    })
}

fn keep(task: &Task<'_>, bytes: &[u8]) -> Result<Captured, StoreError> {
    let Task { job_id, seq, attempt, .. } = *task;
    let name = BlobName { job: job_id, seq, attempt, stream: StreamKind::Stdout };
    let mut capture = Capture::new(task.blobs, name, u64::MAX);
    capture.push(bytes)?;
    capture.finish()
}

fn stopped_or_failed(task: &Task<'_>, error: &impl Display) -> How {
    match task.timeout {
        _ if task.is_cancelled() => How::Interrupted,
        Some(limit) if task.should_stop() => {
            failed(Cause::timed_out(limit), format!("timed out after {limit:?}: {error:#}"))
        }
        Some(_) | None => failed(Cause::Error, format!("{error:#}")),
    }
}

fn failed(cause: Cause, error: String) -> How {
    How::Failed { error, cause }
}

pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    format!("panicked: {message}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use workitem_store::{INLINE_OUTPUT, Kept};
    use workitem_types::AgentStatus;

    use super::*;
    use crate::testing::Bench;

    fn run(bench: &Bench, agent: &dyn Agent) -> (How, AttemptOutput) {
        let Ended { how, output } = agent.run(&bench.task()).unwrap();
        (how, output)
    }

    fn failure(how: How) -> (Cause, String) {
        match how {
            How::Failed { error, cause } => (cause, error),
            other => panic!("expected a failure, found {other:?}"),
        }
    }

    #[test]
    fn whatever_it_returns_is_kept() {
        let bench = Bench::new("x");
        let nothing = run(&bench, &FnAgent::new(|_| Ok::<_, String>(())));
        assert!(matches!(nothing.0, How::Completed(result) if result.item_id == "item-7"));
        assert!(nothing.1.is_empty());

        let text = run(&bench, &FnAgent::new(|task| Ok::<_, String>(task.payload.as_json().to_owned())));
        assert_eq!(text.1.stdout, b"\"x\"".to_vec().into());

        let bytes = run(&bench, &FnAgent::new(|_| Ok::<_, String>(vec![7; INLINE_OUTPUT + 1])));
        assert_eq!(bytes.1.stdout.kept, Kept::Blob { len: INLINE_OUTPUT as u64 + 1 });
        assert_eq!(bench.blob(StreamKind::Stdout).unwrap(), vec![7; INLINE_OUTPUT + 1]);
    }

    #[test]
    fn a_result_that_is_no_success_is_a_failure() {
        let bench = Bench::new("x");
        let result = AgentResult::success("item-7".into(), Some("out".into()), Duration::from_secs(3));
        let (how, _) = run(&bench, &FnAgent::new(|_| Ok::<_, String>(result.clone())));
        assert!(matches!(how, How::Completed(kept) if *kept == result));

        let (how, _) = run(
            &bench,
            &FnAgent::new(|_| {
                Ok::<_, String>(AgentResult::failed("item-7".into(), "bad".into(), Duration::ZERO))
            }),
        );
        assert_eq!(failure(how), (Cause::Error, "bad".to_owned()));

        let running = AgentResult { status: AgentStatus::Running, ..result };
        let (how, _) = run(&bench, &FnAgent::new(|_| Ok::<_, String>(Box::new(running.clone()))));
        assert_eq!(failure(how), (Cause::Error, "agent handed back Running".to_owned()));
    }

    #[test]
    fn errors_and_panics_are_told_apart() {
        let bench = Bench::new("x");
        let (how, _) = run(&bench, &FnAgent::new(|_| Err::<(), _>("no luck")));
        assert_eq!(failure(how), (Cause::Error, "no luck".to_owned()));

        let number = 7;
        let panics: [&dyn Agent; 2] = [
            &FnAgent::new(|_| -> Result<(), String> { panic!("seven") }),
            &FnAgent::new(move |_| -> Result<(), String> {
                panic!("seve{}", if number == 7 { "n" } else { "" })
            }),
        ];
        for agent in panics {
            assert_eq!(failure(run(&bench, agent).0), (Cause::Panic, "panicked: seven".to_owned()));
        }
    }

    #[test]
    fn a_cancelled_closure_is_interrupted_unless_it_succeeds() {
        let bench = Bench::new("x");
        bench.cancel.terminate();
        let (how, _) =
            run(&bench, &FnAgent::new(|task| if task.should_stop() { Err("stop") } else { Ok(()) }));
        assert!(matches!(how, How::Interrupted));
        let (how, _) = run(&bench, &FnAgent::new(|_| Ok::<_, String>(())));
        assert!(matches!(how, How::Completed(_)));
    }

    #[test]
    fn a_late_error_is_a_time_out() {
        let limit = Duration::from_millis(20);
        let bench = Bench { timeout: Some(limit), ..Bench::new("x") };
        let late =
            FnAgent::new(|task| if task.sleep(Duration::from_mins(1)) { Err("gave up") } else { Ok(()) });
        let (cause, error) = failure(run(&bench, &late).0);
        assert_eq!((cause, error.as_str()), (Cause::timed_out(limit), "timed out after 20ms: gave up"));

        let early = Bench { timeout: Some(Duration::from_mins(1)), ..Bench::new("x") };
        let (how, _) = run(&early, &FnAgent::new(|_| Err::<(), _>("at once")));
        assert_eq!(failure(how), (Cause::Error, "at once".to_owned()));
    }
}
