//! From outcomes of attempts to steps on disk, and what is told of them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tracing::{debug, trace, warn};
use workitem_store::{AnyStep, Cause, Outcome as Written, SettledLease, StoreError};
use workitem_types::{WorkItemEvent, WorkItemStatus};
use workitem_typestate::{AgentComplete, AgentFailed, Interrupt};

use super::Driver;
use crate::agent::{Fault, How};
use crate::clock;
use crate::observer::{Event, Observer, Outcome};
use crate::world::{Finished, World};

/// How long outcomes may wait for others to be recorded with, while no slot waits.
const GROUP: Duration = Duration::from_millis(5);
/// How long to sleep before the first look for more of them, and each time twice as long as before: items that cost nothing
/// are all over soon, and for others few looks are enough.
const NAP: Duration = Duration::from_micros(150);
/// Most outcomes recorded at a time.
const GROUP_SIZE: usize = 4_096;
/// When an item that is tried again without backoff is due: after what was never tried, and whatever the
/// clock does meanwhile.
const AT_ONCE: DateTime<Utc> = DateTime::<Utc>::from_timestamp_micros(1).expect("it is a time");

/// Steps to be recorded, and of each attempt how long it took, which is told afterwards.
#[derive(Default)]
pub struct Done {
    steps: Vec<AnyStep>,
    took: Vec<Duration>,
}

impl<W: World> Driver<'_, W> {
    /// Waits for the first outcome, and a moment for more as long as every slot has something to do.
    /// An error is that of an attempt that could not be made or kept; its item is put back.
    pub(super) fn collect(&mut self, done: &mut Done, patience: Duration) -> Result<(), Fault> {
        let mut broken = Ok(());
        let Some(first) = self.world.wait(patience) else { return broken };
        let (mut next, mut nap) = (Some(first), NAP);
        let grouped_at = self.world.instant() + GROUP;
        loop {
            let now = self.world.instant();
            while let Some(finished) = next.take().or_else(|| self.world.ready()) {
                self.pace.ended(now, finished.took);
                if let Err(error) = self.take(finished, done) {
                    broken = Err(error);
                }
            }
            let queued = self.outstanding > self.run.options.parallelism.get();
            if !queued || done.steps.len() >= GROUP_SIZE || now >= grouped_at {
                return broken;
            }
            // Asleep and not listening: to be woken for every outcome costs more than to look a few times.
            self.world.sleep(nap.min(grouped_at - now));
            nap *= 2;
        }
    }

    /// What an attempt does to its item: the only place where a run changes one.
    pub(super) fn take(&mut self, finished: Finished, done: &mut Done) -> Result<(), Fault> {
        let Finished { leased, ended, at, took } = finished;
        self.outstanding -= 1;
        let (ended, kept) = match ended {
            Ok(ended) => (Some(ended), Ok(())),
            Err(error) => (None, Err(error)),
        };
        let step = match ended.map(|ended| (ended.how, ended.output)) {
            None => leased.step(Interrupt, at).because(Cause::Stopped).seal(),
            Some((How::Interrupted, output)) => {
                leased.step(Interrupt, at).because(Cause::Stopped).with_output(output).seal()
            }
            Some((How::Completed(result), output)) => {
                leased.step(AgentComplete { result }, at).with_output(output).seal()
            }
            Some((How::Failed { error, cause }, output)) => {
                let failed = leased.step(AgentFailed { error }, at).because(cause).with_output(output);
                let retry = &self.run.options.retry;
                match failed.settle(&|item: &_| retry.should_retry(item, cause), at) {
                    SettledLease::DeadLetter(step) => step.seal(),
                    SettledLease::Retry(step) => {
                        let delay = retry.delay(step.item().failures());
                        let due = clock::after(self.waiting.at(self.world.instant()), delay);
                        let due = if delay.is_zero() { AT_ONCE } else { due };
                        // So it is claimed when it is due, and not with what another clock has put off for longer.
                        self.next_due = Some(self.next_due.map_or(due, |next| next.min(due)));
                        step.run_at(due).seal()
                    }
                }
            }
        };
        done.steps.push(step);
        done.took.push(took);
        kept
    }

    /// Records what is over, and reports it. On an error nothing was recorded and `done` stays full.
    pub(super) fn record(&mut self, done: &mut Done, observer: &mut dyn Observer) -> Result<(), StoreError> {
        if done.steps.is_empty() {
            return Ok(());
        }
        let begun = self.world.instant();
        let written = self.run.store.record(&done.steps)?;
        trace!(steps = done.steps.len(), took = ?self.since(begun), "recorded");
        for ((step, took), written) in done.steps.iter().zip(&done.took).zip(written) {
            match written {
                Written::Recorded => self.report(step, *took, observer),
                Written::Fenced => {
                    warn!(item = %step.record().id, "taken over by somebody else; nothing was recorded");
                    observer.event(&Event::Fenced { item: &step.record().id, seq: step.token().seq() });
                }
            }
        }
        done.steps.clear();
        done.took.clear();
        if self.rule.is_none() {
            self.rule = self.run.options.rules.fired(self.given_up, self.completed);
            if let Some(rule) = self.rule {
                warn!(%rule, "a rule stops the run");
                self.run.stop.drain();
            }
        }
        Ok(())
    }

    fn report(&mut self, step: &AnyStep, took: Duration, observer: &mut dyn Observer) {
        let record = step.record();
        let failure = step.events().iter().find_map(|happened| {
            if let WorkItemEvent::AgentFailed { error } = happened.event() {
                Some(error.as_str())
            } else {
                None
            }
        });
        let cause = step.cause();
        let outcome = match &record.status {
            WorkItemStatus::Completed { .. } => Outcome::Completed,
            WorkItemStatus::DeadLettered { error, .. } => Outcome::DeadLettered { error, cause },
            WorkItemStatus::Pending | WorkItemStatus::InProgress { .. } | WorkItemStatus::Failed { .. } => {
                match failure {
                    Some(error) => {
                        Outcome::Retrying { error, cause, run_at: step.run_at().filter(|due| *due > AT_ONCE) }
                    }
                    None => Outcome::Interrupted,
                }
            }
        };
        match outcome {
            Outcome::Completed => self.completed += 1,
            Outcome::Interrupted => self.interrupted += 1,
            Outcome::Retrying { .. } => self.failures += 1,
            Outcome::DeadLettered { .. } => {
                self.failures += 1;
                self.given_up += 1;
            }
        }
        // Its error is not told: it may quote what the agent printed, and that its input.
        let (word, cause) = (outcome.word(), cause.map(tracing::field::display));
        debug!(item = %record.id, attempt = record.attempts, ?took, outcome = word, cause, "attempt ended");
        self.recorded += 1;
        self.worked += took;
        self.slowest.saw(&record.id, took);
        let (item, seq, attempt, output) = (&record.id, step.token().seq(), record.attempts, step.output());
        observer.event(&Event::Ended { item, seq, attempt, took, output, outcome });
    }
}
