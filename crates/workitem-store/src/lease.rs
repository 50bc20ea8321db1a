//! A claimed item and its fencing token, in one value.

use chrono::{DateTime, Utc};
use workitem_types::{StatusKind, WorkItemEvent, WorkItemRecord};
use workitem_typestate::{
    AnyWorkItem, DeadLettered, Failed, LegalIn, MoveToDeadLetter, Pending, Retry, RetryPolicy, SealedStep,
    SettledStep, State, Step, StepEvent, WorkItem, WrongState,
};

use crate::{AttemptOutput, Cause, JobId, whole_micros};

/// Names one version of one item. A write under a token whose version is no longer the item's is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token {
    job: JobId,
    seq: u64,
    version: u64,
}

impl Token {
    /// The job.
    pub const fn job(self) -> JobId {
        self.job
    }

    /// The item's position in the job, from 1.
    pub const fn seq(self) -> u64 {
        self.seq
    }

    /// Number of events the item had seen when the token was given out.
    pub const fn version(self) -> u64 {
        self.version
    }
}

/// A work item as it is on disk, and the right to change it.
///
/// A store gives it out with a claim, and gives out the next one only when the step between is durable:
/// code that holds a `Leased<S>` acts on a state that is on disk.
#[derive(Debug)]
#[must_use = "a lease that is dropped leaves its item in progress until it is recovered"]
pub struct Leased<S: State> {
    item: WorkItem<S>,
    token: Token,
}

impl<S: State> Leased<S> {
    /// The door for engines: says that `item` is on disk at `version`. Nobody else may call it.
    pub const fn grant(item: WorkItem<S>, job: JobId, seq: u64, version: u64) -> Self {
        Self { item, token: Token { job, seq, version } }
    }

    /// The item.
    pub const fn item(&self) -> &WorkItem<S> {
        &self.item
    }

    /// Its fencing token.
    pub const fn token(&self) -> Token {
        self.token
    }

    /// The event happens to the item at `now`, cut to whole microseconds. Nothing is durable yet.
    pub fn step<E>(self, event: E, now: DateTime<Utc>) -> LeasedStep<E::Next>
    where
        E: LegalIn<S> + Clone + Into<WorkItemEvent>,
    {
        let step = self.item.step(event, whole_micros(now));
        LeasedStep { step, token: self.token, notes: Notes::default() }
    }
}

impl Leased<Failed> {
    /// Retries the item if `policy` says so, and gives it up otherwise. Nothing is durable yet.
    pub fn settle(self, policy: &impl RetryPolicy, now: DateTime<Utc>) -> SettledLease {
        if policy.should_retry(&self.item) {
            SettledLease::Retry(self.step(Retry, now))
        } else {
            SettledLease::DeadLetter(self.step(MoveToDeadLetter, now))
        }
    }
}

/// A step of a leased item, not yet durable.
#[derive(Debug)]
#[must_use = "a step that is not recorded never happened"]
pub struct LeasedStep<S: State> {
    step: Step<S>,
    token: Token,
    notes: Notes,
}

/// What a store keeps beside a step.
#[derive(Debug, Default)]
struct Notes {
    cause: Option<Cause>,
    output: AttemptOutput,
    run_at: Option<DateTime<Utc>>,
    crashed: bool,
}

impl<S: State> LeasedStep<S> {
    /// A further event happens to the item, within the same step.
    pub fn then<E>(self, event: E, now: DateTime<Utc>) -> LeasedStep<E::Next>
    where
        E: LegalIn<S> + Clone + Into<WorkItemEvent>,
    {
        let Self { step, token, notes } = self;
        LeasedStep { step: step.then(event, whole_micros(now)), token, notes }
    }

    /// Says why the step's first event happened.
    pub const fn because(mut self, cause: Cause) -> Self {
        self.notes.cause = Some(cause);
        self
    }

    /// Keeps what the attempt printed. Of an attempt that is said to have printed something by several steps, the first
    /// counts.
    pub fn with_output(mut self, output: AttemptOutput) -> Self {
        self.notes.output = output;
        self
    }

    /// Raises the item's number of crashes.
    pub const fn crashed(mut self) -> Self {
        self.notes.crashed = true;
        self
    }

    /// The item as the step leaves it.
    pub const fn item(&self) -> &WorkItem<S> {
        self.step.item()
    }

    /// The step without its type, so that steps into different states fit into one batch.
    pub fn seal(self) -> AnyStep
    where
        WorkItemRecord: From<WorkItem<S>>,
    {
        AnyStep { sealed: self.step.seal(), token: self.token, notes: self.notes }
    }
}

impl LeasedStep<Pending> {
    /// Makes the item due no earlier than `time`. Without it the item is due at once, before all others.
    pub fn run_at(mut self, time: DateTime<Utc>) -> Self {
        self.notes.run_at = Some(whole_micros(time));
        self
    }
}

/// Where [`LeasedStep::settle`] led.
#[derive(Debug)]
#[must_use = "it holds the work item"]
pub enum SettledLease {
    /// The item gets another attempt.
    Retry(LeasedStep<Pending>),
    /// The item is given up.
    DeadLetter(LeasedStep<DeadLettered>),
}

impl LeasedStep<Failed> {
    /// Retries the item within the same step if `policy` says so, and gives it up otherwise.
    pub fn settle(self, policy: &impl RetryPolicy, now: DateTime<Utc>) -> SettledLease {
        let Self { step, token, notes } = self;
        match step.settle(policy, whole_micros(now)) {
            SettledStep::Retry(step) => SettledLease::Retry(LeasedStep { step, token, notes }),
            SettledStep::DeadLetter(step) => SettledLease::DeadLetter(LeasedStep { step, token, notes }),
        }
    }
}

/// A [`LeasedStep`] whose state is known only at run time. The only thing that a store writes.
#[derive(Debug)]
#[must_use = "a step that is not recorded never happened"]
pub struct AnyStep {
    sealed: SealedStep,
    token: Token,
    notes: Notes,
}

impl AnyStep {
    /// The token under which it is to be written.
    pub const fn token(&self) -> Token {
        self.token
    }

    /// The item as the step leaves it.
    pub const fn record(&self) -> &WorkItemRecord {
        self.sealed.record()
    }

    /// The state the step started from.
    pub const fn from(&self) -> StatusKind {
        self.sealed.from()
    }

    /// The transitions, in order; never empty.
    pub fn events(&self) -> &[StepEvent] {
        self.sealed.events()
    }

    /// The item's version once the step is durable.
    pub fn version_after(&self) -> u64 {
        self.token.version + self.events().len() as u64
    }

    /// Why the first event happened.
    pub const fn cause(&self) -> Option<Cause> {
        self.notes.cause
    }

    /// What the attempt printed.
    pub const fn output(&self) -> &AttemptOutput {
        &self.notes.output
    }

    /// When a pending item is due; `None` is at once, before all others.
    pub const fn run_at(&self) -> Option<DateTime<Utc>> {
        self.notes.run_at
    }

    /// Whether the item was there at a crash.
    pub const fn is_crash(&self) -> bool {
        self.notes.crashed
    }

    /// The door for engines and the layer above them: says that the step is on disk now.
    ///
    /// # Panics
    ///
    /// If the step does not lead to state `S`.
    pub fn durable<S: State>(self) -> Leased<S>
    where
        WorkItem<S>: TryFrom<AnyWorkItem, Error = WrongState>,
    {
        let Token { job, seq, version: _ } = self.token;
        let version = self.version_after();
        let item =
            WorkItem::try_from(self.sealed.into_item()).expect("the step leads to the state asked for");
        Leased::grant(item, job, seq, version)
    }
}
