// A lease is good for one step: the next lease comes when that step is durable.
// The error names `Leased<InProgress>` and `step`.

use chrono::{DateTime, Utc};
use workitem_store::Leased;
use workitem_typestate::{AgentFailed, InProgress, Interrupt};

fn misuse(lease: Leased<InProgress>, failed: AgentFailed, now: DateTime<Utc>) {
    let _interrupted = lease.step(Interrupt, now);
    let _failed = lease.step(failed, now);
}

fn main() {}
