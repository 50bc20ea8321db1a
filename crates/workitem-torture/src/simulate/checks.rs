//! What must hold along the way, and is computed here from the plan alone, not by the orchestrator's code.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use workitem_orchestrator::{Event, Outcome as Became, Stopping};
use workitem_store::{AnyStep, Cause, Claim, ClaimRequest, Control, Job, MemoryStore, Outcome, Store};
use workitem_torture::checker::Acknowledged;
use workitem_types::{EventKind, StatusKind};

use super::plan::Plan;

/// By when a run knows what is wanted of its job, however slow its store is.
const KNOWN: Duration = Duration::from_secs(2);
/// By when a failure is recorded, however slow the store is.
const RECORDED: TimeDelta = TimeDelta::seconds(2);

/// What is known of a job from outside.
pub struct Checks {
    pub job: Job,
    pub acknowledged: Acknowledged,
    /// What did not hold.
    pub wrong: Vec<String>,
    /// What this run was told.
    pub told: Told,
    /// Recorded, and not told yet.
    owed: VecDeque<Owed>,
    /// What a predecessor has left is being put in order: of that, only the sum is told.
    recovering: bool,
    /// Ends of attempts that were told, ever.
    ends: BTreeSet<(u64, usize)>,
    due: BTreeMap<u64, DateTime<Utc>>,
    /// When attempts of this run were started, oldest first.
    starts: Vec<Duration>,
    wanted: (Control, Duration),
    /// The run was told that nothing is left to do, when so many items were known. More may be added a moment later.
    finished_with: Option<usize>,
    taken_over: BTreeSet<u64>,
}

/// How often each was told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Told {
    pub completed: usize,
    pub retrying: usize,
    pub given_up: usize,
    pub interrupted: usize,
}

/// A position, an attempt, and what is to be told of it.
#[derive(Debug, PartialEq, Eq)]
struct Owed(u64, Option<usize>, &'static str);

impl Checks {
    pub fn new(job: Job, items: usize) -> Self {
        Self {
            job,
            acknowledged: Acknowledged { items: Some(items), ..Acknowledged::default() },
            wrong: Vec::new(),
            told: Told::default(),
            owed: VecDeque::new(),
            recovering: true,
            ends: BTreeSet::new(),
            due: BTreeMap::new(),
            starts: Vec::new(),
            wanted: (Control::Run, Duration::ZERO),
            finished_with: None,
            taken_over: BTreeSet::new(),
        }
    }

    /// A run begins.
    pub fn begin(&mut self) {
        (self.told, self.recovering) = (Told::default(), true);
        self.finished_with = None;
        self.owed.clear();
        self.starts.clear();
        self.taken_over.clear();
    }

    pub const fn wanted(&mut self, control: Control, at: Duration) {
        self.wanted = (control, at);
    }

    /// The run is told how far the job is.
    pub fn counted(&mut self, is_finished: bool) {
        if is_finished && self.finished_with.is_none() {
            self.finished_with = self.acknowledged.items;
        }
    }

    /// Whether an item was added after the run was told that nothing is left to do.
    pub fn is_late(&self) -> bool {
        self.finished_with.is_some() && self.finished_with != self.acknowledged.items
    }

    /// Its agent lives on and will be fenced; another may be started meanwhile.
    pub fn taken_over(&mut self, seq: u64) {
        self.taken_over.insert(seq);
        self.due.remove(&seq);
    }

    /// Whether the job is to wait until somebody says otherwise.
    pub fn is_paused(&self) -> bool {
        self.wanted.0 == Control::Pause
    }

    pub fn is_taken_over(&self, seq: u64) -> bool {
        self.taken_over.contains(&seq)
    }

    /// An agent starts: its attempt must be on disk, and no other agent work on its item.
    pub fn started(
        &mut self,
        memory: &MemoryStore,
        id: &str,
        seq: u64,
        attempt: usize,
        twin: bool,
    ) -> Result<(), String> {
        self.acknowledged.started.insert(id.to_owned(), attempt);
        if self.is_taken_over(seq) {
            return Ok(());
        }
        if twin {
            return Err(format!("item {id} has two live agents"));
        }
        let record = memory.item(&self.job, &id.into()).map_err(|error| error.to_string())?.record;
        let is_durable = record.attempts == attempt && record.status.kind() == StatusKind::InProgress;
        is_durable
            .then_some(())
            .ok_or_else(|| format!("attempt {attempt} of item {id} starts undurably: {record:?}"))
    }

    /// Items are asked for: `outstanding` of those before have not come back.
    pub fn asked(
        &self,
        plan: &Plan,
        request: &ClaimRequest<'_>,
        at: Duration,
        outstanding: usize,
        stopping: Stopping,
    ) -> Result<(), String> {
        let free = plan.options.parallelism.get().saturating_sub(outstanding);
        if stopping > Stopping::No {
            return Err(format!("items are claimed, though the run stops: {stopping:?}"));
        }
        if self.wanted.0 != Control::Run && at > self.wanted.1 + KNOWN {
            return Err(format!(
                "items are claimed, and the job is to {:?} since {:?}",
                self.wanted.0, self.wanted.1
            ));
        }
        if request.spawning > free {
            return Err(format!("{} claims are to be spawned, {free} slots are free", request.spawning));
        }
        if plan.options.rules.max_failures.is_some_and(|most| self.told.given_up >= most.get()) {
            return Err(format!("items are claimed after {} were given up", self.told.given_up));
        }
        Ok(())
    }

    /// Items were handed out.
    pub fn claimed(
        &mut self,
        plan: &Plan,
        memory: &MemoryStore,
        claims: &[Claim],
        now: DateTime<Utc>,
        at: Duration,
    ) -> Result<(), String> {
        self.finished_with = None;
        for claim in claims {
            let seq = claim.leased.token().seq();
            // What a run before has put off by another clock, for longer than this one ever does, has waited enough.
            let longest = now + longest_delay(plan, usize::MAX).unwrap_or_default();
            if let Some(due) = self.due.remove(&seq).filter(|due| now < *due && *due <= longest) {
                return Err(format!("item {seq} is due at {due}, and is claimed at {now}"));
            }
            self.starts.push(at);
        }
        self.rate_is_kept(plan)?;
        let (running, slots) = (self.in_progress(memory)?, plan.options.parallelism.get());
        if plan.is_exact() && running > slots {
            return Err(format!("{running} items are in progress, there are {slots} slots"));
        }
        Ok(())
    }

    fn in_progress(&self, memory: &MemoryStore) -> Result<usize, String> {
        Ok(memory.counts(self.job.id).map_err(|error| error.to_string())?.by_status.in_progress)
    }

    /// In no time were there more starts than the rate allows in it, and a tenth of a second's that were made up for.
    fn rate_is_kept(&self, plan: &Plan) -> Result<(), String> {
        let Some((items, per)) = plan.rate else { return Ok(()) };
        let interval = (per / items).as_nanos();
        let made_up = (Duration::from_millis(100).as_nanos() / interval).max(1);
        let Some(last) = self.starts.last() else { return Ok(()) };
        for (nth, first) in self.starts.iter().enumerate() {
            let (starts, time) = ((self.starts.len() - nth) as u128, last.saturating_sub(*first));
            if 2 * starts * interval > (2 * made_up + 1) * interval + 2 * time.as_nanos() {
                return Err(format!("{starts} starts in {time:?}, at {items} per {per:?}"));
            }
        }
        Ok(())
    }

    /// Steps are on disk now.
    pub fn recorded(
        &mut self,
        plan: &Plan,
        steps: &[AnyStep],
        outcomes: &[Outcome],
        now: DateTime<Utc>,
    ) -> Result<(), String> {
        let mut held = Ok(());
        for (step, _) in steps.iter().zip(outcomes).filter(|(_, outcome)| **outcome == Outcome::Recorded) {
            let seq = step.token().seq();
            match step.run_at() {
                Some(due) => self.due.insert(seq, due),
                None => self.due.remove(&seq),
            };
            held = held.and(settled(plan, step, now));
        }
        held
    }

    /// The caller knows that they are, and is to tell of them.
    pub fn owe(&mut self, steps: &[AnyStep], outcomes: &[Outcome]) {
        if self.recovering {
            return;
        }
        self.owed.extend(steps.iter().zip(outcomes).map(|(step, outcome)| {
            let seq = step.token().seq();
            if *outcome == Outcome::Fenced {
                return Owed(seq, None, "fenced");
            }
            let fails = step.events().iter().any(|event| event.event().kind() == EventKind::AgentFailed);
            let became = match step.record().status.kind() {
                StatusKind::Completed => "completed",
                StatusKind::DeadLettered => "dead-lettered",
                StatusKind::Pending if fails => "retrying",
                StatusKind::Pending => "interrupted",
                StatusKind::InProgress | StatusKind::Failed => "left",
            };
            Owed(seq, Some(step.record().attempts), became)
        }));
    }

    /// The run is about something else: all that it owes must have been told.
    pub fn all_told(&mut self) -> Result<(), String> {
        match self.owed.drain(..).next() {
            Some(owed) => Err(format!("{owed:?} was recorded, and is not told")),
            None => Ok(()),
        }
    }

    /// Something is told: it must be on disk, and what was recorded next.
    pub fn heard(&mut self, event: &Event<'_>) -> Result<(), String> {
        let (told, id) = match event {
            Event::Recovered { .. } => {
                self.recovering = false;
                return Ok(());
            }
            Event::Ended { item, seq, attempt, outcome, .. } => {
                let became = match outcome {
                    Became::Completed => "completed",
                    Became::Retrying { .. } => "retrying",
                    Became::DeadLettered { .. } => "dead-lettered",
                    Became::Interrupted => "interrupted",
                };
                (Owed(*seq, Some(*attempt), became), Some(item.to_string()))
            }
            Event::Fenced { seq, .. } => (Owed(*seq, None, "fenced"), None),
            _ => return Ok(()),
        };
        match told.2 {
            "completed" => self.told.completed += 1,
            "retrying" => self.told.retrying += 1,
            "dead-lettered" => self.told.given_up += 1,
            "interrupted" => self.told.interrupted += 1,
            _ => {}
        }
        match (id, told.2) {
            (Some(id), "completed") => self.acknowledged.completed.insert(id),
            (Some(id), "dead-lettered") => self.acknowledged.given_up.insert(id),
            _ => true,
        };
        if let Some(attempt) = told.1
            && !self.ends.insert((told.0, attempt))
        {
            return Err(format!("{told:?} is told twice"));
        }
        match self.owed.pop_front() {
            Some(owed) if owed == told => Ok(()),
            Some(owed) => Err(format!("{told:?} is told, and {owed:?} was recorded")),
            None => Err(format!("{told:?} is told before it is recorded")),
        }
    }
}

/// A failure is followed by what the options say: another attempt, when it is due, or none.
fn settled(plan: &Plan, step: &AnyStep, now: DateTime<Utc>) -> Result<(), String> {
    let mut events = step.events().iter();
    if events.all(|event| event.event().kind() != EventKind::AgentFailed) {
        return Ok(());
    }
    let (id, failures) = (&step.record().id, step.record().failures);
    let Some(cause) = step.cause() else { return Err(format!("item {id} has failed without a cause")) };
    if let Cause::CrashLimit { crashes } = cause
        && crashes <= plan.options.max_crashes
    {
        return Err(format!("item {id} is given up after {crashes} crashes"));
    }
    let again = plan.tries_again(failures, cause);
    let expected = if again { EventKind::Retry } else { EventKind::MoveToDeadLetter };
    let followed = events.next().map(|event| event.event().kind());
    if followed != Some(expected) {
        return Err(format!(
            "item {id}: {expected:?} is to follow failure {failures}, {cause}; found {followed:?}"
        ));
    }
    if !again {
        return Ok(());
    }
    let due = step.run_at().unwrap_or_default();
    let longest = longest_delay(plan, failures);
    let is_kept = match longest {
        // It is recorded a moment after it has failed.
        Some(longest) => now - RECORDED <= due && due <= now + longest,
        // Whatever the clock does, it is due.
        None => due == DateTime::<Utc>::UNIX_EPOCH + TimeDelta::microseconds(1),
    };
    is_kept.then_some(()).ok_or_else(|| {
        format!("at {now} item {id} has failed, is to back off {longest:?} at most, and is due at {due}")
    })
}

/// The longest wait after so many failures; none without backoff.
fn longest_delay(plan: &Plan, failures: usize) -> Option<TimeDelta> {
    plan.options.retry.backoff.map(|backoff| {
        let doubled = backoff.base * 2_u32.pow(u32::try_from(failures - 1).unwrap_or(20).min(20));
        TimeDelta::from_std(doubled.min(backoff.max)).unwrap_or(TimeDelta::MAX)
    })
}
