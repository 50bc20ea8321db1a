//! What can happen.

use std::fmt;

use workitem_types::StatusKind;

use crate::state::{Request, State, Verdict, Worker};

/// Something that happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Move {
    /// An idle worker asks for an item, and the store hands out this one. That it may be any is more than the order of
    /// the engines allows, and stands for whatever was put off.
    Claim {
        /// Who.
        worker: usize,
        /// Which.
        seq: u64,
    },
    /// An attempt ends, and its worker reports.
    Report {
        /// Who.
        worker: usize,
        /// What.
        verdict: Verdict,
    },
    /// A worker whose request or answer was lost asks again.
    Resend {
        /// Who.
        worker: usize,
    },
    /// A request arrives, whichever it is.
    Arrive {
        /// Which.
        request: Request,
        /// Whether a copy of it is still under way.
        again: bool,
    },
    /// The item's lease has run out, or its failure stands alone: recovery takes it over.
    Recover {
        /// Which item.
        seq: u64,
        /// What arrives between recovery's look at the item and its write.
        late: Option<Request>,
    },
    /// What the store has done becomes durable, and it answers.
    Sync,
    /// The store dies: it forgets all but the first few transactions, and answers nobody.
    StoreCrash {
        /// How many it keeps.
        kept: usize,
    },
    /// A worker dies, and its agent.
    WorkerCrash {
        /// Who.
        worker: usize,
    },
}

/// What can happen in this state.
pub fn possible(state: &State, moves: &mut Vec<Move>) {
    let left = state.left;
    for (worker, does) in state.workers.iter().enumerate() {
        match does {
            // Idle workers are alike, so it is enough that the first of them acts.
            Worker::Idle if state.workers[..worker].contains(&Worker::Idle) => continue,
            Worker::Idle => {
                let pending = state.store().items.iter().filter(|item| item.kind() == StatusKind::Pending);
                moves.extend(pending.map(|item| Move::Claim { worker, seq: item.row.seq }));
                continue;
            }
            Worker::Asking => {}
            Worker::Running(_) => {
                moves.extend(
                    [Verdict::Completed, Verdict::Failed].map(|verdict| Move::Report { worker, verdict }),
                );
                if left.interrupts > 0 {
                    moves.push(Move::Report { worker, verdict: Verdict::Interrupted });
                }
                if left.worker_crashes > 0 {
                    moves.push(Move::Report { worker, verdict: Verdict::Stranded });
                }
            }
            Worker::Reporting(request) => {
                if state.is_lost(request) {
                    moves.push(Move::Resend { worker });
                }
            }
        }
        if left.worker_crashes > 0 {
            moves.push(Move::WorkerCrash { worker });
        }
    }
    for request in distinct(&state.under_way) {
        moves.push(Move::Arrive { request: request.clone(), again: false });
        if left.copies > 0 {
            moves.push(Move::Arrive { request: request.clone(), again: true });
        }
    }
    for item in &state.store().items {
        let may_be_taken = match item.kind() {
            StatusKind::InProgress => left.run_out > 0 || !state.is_worked_on(item),
            StatusKind::Failed => true,
            StatusKind::Pending | StatusKind::Completed | StatusKind::DeadLettered => false,
        };
        if may_be_taken {
            let seq = item.row.seq;
            moves.push(Move::Recover { seq, late: None });
            let late = distinct(&state.under_way).filter(|request| request.claimed.row.seq == seq);
            moves.extend(late.map(|request| Move::Recover { seq, late: Some(request.clone()) }));
        }
    }
    if !state.unsynced.is_empty() {
        moves.push(Move::Sync);
        if left.store_crashes > 0 {
            moves.extend((0..=state.unsynced.len()).map(|kept| Move::StoreCrash { kept }));
        }
    }
}

fn distinct(requests: &[Request]) -> impl Iterator<Item = &Request> {
    requests
        .iter()
        .enumerate()
        .filter(|(n, request)| *n == 0 || requests[n - 1] != **request)
        .map(|(_, request)| request)
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { claimed, worker, verdict } = self;
        let row = &claimed.row;
        write!(f, "worker {worker}'s `{verdict:?}` of item {} at version {}", row.seq, row.version)
    }
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Claim { worker, seq } => write!(f, "worker {worker} claims item {seq}"),
            Self::Report { worker, verdict } => write!(f, "worker {worker} reports `{verdict:?}`"),
            Self::Resend { worker } => write!(f, "worker {worker} asks again"),
            Self::Arrive { request, again: false } => write!(f, "{request} arrives"),
            Self::Arrive { request, again: true } => {
                write!(f, "{request} arrives, a copy is still under way")
            }
            Self::Recover { seq, late: None } => write!(f, "item {seq} is taken over"),
            Self::Recover { seq, late: Some(late) } => {
                write!(f, "item {seq} is taken over, and just before it is written {late} arrives")
            }
            Self::Sync => write!(f, "the store syncs and answers"),
            Self::StoreCrash { kept } => {
                write!(f, "the store dies, and {kept} of its unsynced transactions had reached the disk")
            }
            Self::WorkerCrash { worker } => write!(f, "worker {worker} dies"),
        }
    }
}
