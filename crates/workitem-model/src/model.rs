//! What comes of what happens: here the code that is delivered is called.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use stateright::{Model, Property};
use workitem_dynamic::{WorkItemEvent, WorkItemStatus, transition};
use workitem_store::{AnyStep, Cause, Outcome, SettledLease, recover};
use workitem_types::{AgentResult, StatusKind};
use workitem_typestate::{AgentComplete, AgentFailed, Failed, Interrupt, MaxAttempts, RetryPolicy, WorkItem};

use crate::disk::{Disk, JOB, NOW};
use crate::moves::{Move, possible};
use crate::promises::PROMISES;
use crate::state::{Answer, Request, State, Transaction, Verdict, Worker};
use crate::view::{View, Written};
use crate::{Fault, Protocol};

impl Model for Protocol {
    type State = State;
    type Action = Move;

    fn init_states(&self) -> Vec<State> {
        vec![State::new(&self.bounds)]
    }

    fn actions(&self, state: &State, moves: &mut Vec<Move>) {
        possible(state, moves);
    }

    fn next_state(&self, before: &State, happens: Move) -> Option<State> {
        let mut state = before.clone();
        match happens {
            Move::Claim { worker, seq } => {
                let mut after = state.store().clone();
                let item = after.claim(seq, self.fault);
                state.workers[worker] = Worker::Asking;
                self.commit(&mut state, after, Some(Answer::Claimed { worker, item }));
            }
            Move::Report { worker, verdict } => {
                let Worker::Running(claimed) = &state.workers[worker] else { return None };
                let request = Request { claimed: Arc::clone(claimed), worker, verdict };
                state.workers[worker] = match verdict {
                    Verdict::Completed | Verdict::Failed => Worker::Reporting(request.clone()),
                    Verdict::Interrupted => {
                        state.left.interrupts -= 1;
                        Worker::Reporting(request.clone())
                    }
                    Verdict::Stranded => {
                        state.left.worker_crashes -= 1;
                        Worker::Idle
                    }
                };
                state.send(request);
            }
            Move::Resend { worker } => {
                let Worker::Reporting(request) = &state.workers[worker] else { return None };
                let request = request.clone();
                state.send(request);
            }
            Move::Arrive { request, again } => {
                take(&mut state.under_way, &request)?;
                if again {
                    state.left.copies -= 1;
                    state.send(request.clone());
                }
                let mut after = state.store().clone();
                let step = self.step(&request);
                let (outcome, is_stale) = after.write_watched(&step, self.fault);
                state.stale_write |= is_stale;
                self.arrived(&mut state, after, request, &step, outcome);
            }
            Move::Recover { seq, late } => self.recover(&mut state, seq, late.as_ref())?,
            Move::Sync => {
                for Transaction { after, answer } in mem::take(&mut state.unsynced) {
                    state.disk = after;
                    if let Some(answer) = answer {
                        hear(&mut state, answer);
                    }
                }
            }
            Move::StoreCrash { kept } => {
                count(&self.seen.forgotten, state.unsynced.len() - kept);
                state.left.store_crashes -= 1;
                let mut transactions = mem::take(&mut state.unsynced);
                transactions.truncate(kept);
                if let Some(last) = transactions.pop() {
                    state.disk = last.after;
                }
                for worker in &mut state.workers {
                    if *worker == Worker::Asking {
                        *worker = Worker::Idle;
                    }
                }
            }
            Move::WorkerCrash { worker } => {
                state.left.worker_crashes -= 1;
                state.workers[worker] = Worker::Idle;
                for transaction in &mut state.unsynced {
                    transaction.answer.take_if(|answer| answer.worker() == worker);
                }
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        PROMISES.iter().map(|(name, holds)| Property::always(name, *holds)).collect()
    }
}

impl Protocol {
    /// What an attempt does to its item: as the orchestrator's driver has it.
    pub fn step(&self, request: &Request) -> AnyStep {
        let leased = request.claimed.lease();
        let error = || "exit 7".to_owned();
        match request.verdict {
            Verdict::Completed => {
                let id = request.claimed.row.record.id.to_string();
                let result = Box::new(AgentResult::success(id, None, Duration::ZERO));
                leased.step(AgentComplete { result }, NOW).seal()
            }
            Verdict::Failed => {
                let failed = leased.step(AgentFailed { error: error() }, NOW).because(Cause::Exit(7));
                match failed.settle(&|item: &WorkItem<Failed>| self.is_tried_again(item), NOW) {
                    SettledLease::Retry(step) => step.run_at(NOW).seal(),
                    SettledLease::DeadLetter(step) => step.seal(),
                }
            }
            Verdict::Stranded => {
                leased.step(AgentFailed { error: error() }, NOW).because(Cause::Exit(7)).seal()
            }
            Verdict::Interrupted => leased.step(Interrupt, NOW).because(Cause::Stopped).seal(),
        }
    }

    fn is_tried_again(&self, item: &WorkItem<Failed>) -> bool {
        let max = usize::from(self.bounds.max_attempts);
        if self.fault != Some(Fault::ForgetfulRetry) {
            return MaxAttempts(max).should_retry(item);
        }
        // The original's rule, on a status that knows nothing of failures before the last start.
        let running = WorkItemStatus::InProgress { agent_id: String::new(), started_at: NOW };
        let error = item.error().to_owned();
        transition(running, WorkItemEvent::AgentFailed { error }, NOW)
            .is_ok_and(|failed| failed.can_retry(max))
    }

    fn recover(&self, state: &mut State, seq: u64, late: Option<&Request>) -> Option<()> {
        let item = Arc::clone(state.store().item(seq)?);
        if item.kind() == StatusKind::InProgress && state.is_worked_on(&item) {
            state.left.run_out -= 1;
        }
        let arriving = late.map(|request| self.step(request));
        let view = View::recovering(state.store(), Some(seq), arriving, self.fault);
        let max_crashes = self.bounds.max_crashes.into();
        let retry = |item: &WorkItem<Failed>| self.is_tried_again(item);
        recover(&view, JOB, max_crashes, &retry, NOW).expect("what recovery asks for is modelled");
        let written = view.into_written();
        if written.is_empty() {
            return None;
        }
        for Written { after, late: outcome, is_stale } in written {
            state.stale_write |= is_stale;
            match (outcome, late) {
                (Some(outcome), Some(request)) => {
                    take(&mut state.under_way, request)?;
                    self.arrived(state, after, request.clone(), &self.step(request), outcome);
                }
                (None, _) => {
                    count(&self.seen.taken_over, 1);
                    self.commit(state, after, None);
                }
                (Some(_), None) => unreachable!("nothing was late"),
            }
        }
        Some(())
    }

    /// The step of a request was written, or not.
    fn arrived(&self, state: &mut State, after: Disk, request: Request, step: &AnyStep, outcome: Outcome) {
        let claimed = &request.claimed;
        let is_fresh =
            state.store().item(claimed.row.seq).is_some_and(|item| item.row.version == claimed.row.version);
        let seen = match outcome {
            Outcome::Recorded if is_fresh => &self.seen.recorded,
            Outcome::Recorded => &self.seen.repeated,
            Outcome::Fenced => &self.seen.fenced,
        };
        count(seen, 1);
        self.commit(state, after, Some(Answer::of(request, outcome, step.version_after())));
    }

    /// The store has done something. It says so once that is durable.
    fn commit(&self, state: &mut State, after: Disk, mut answer: Option<Answer>) {
        answer.take_if(|answer| !state.is_awaited(answer));
        let early = answer.take_if(|_| self.fault == Some(Fault::EarlyAnswer));
        if answer.is_some() || after != *state.store() {
            state.unsynced.push(Transaction { after, answer });
        }
        if let Some(answer) = early {
            hear(state, answer);
        }
    }
}

fn count(seen: &AtomicUsize, more: usize) {
    seen.fetch_add(more, Ordering::Relaxed);
}

/// A worker hears an answer; not one that it no longer waits for.
fn hear(state: &mut State, answer: Answer) {
    if !state.is_awaited(&answer) {
        return;
    }
    match answer {
        Answer::Claimed { worker, item } => state.workers[worker] = Worker::Running(item),
        Answer::Recorded { request, is_written, version } => {
            state.workers[request.worker] = Worker::Idle;
            if is_written {
                let seq = usize::try_from(request.claimed.row.seq).expect("there are few items");
                let told = &mut state.told[seq - 1];
                told.version = told.version.max(version);
                told.completed |= request.verdict == Verdict::Completed;
            }
        }
    }
}

fn take(requests: &mut Vec<Request>, request: &Request) -> Option<Request> {
    let at = requests.iter().position(|other| other == request)?;
    Some(requests.remove(at))
}
