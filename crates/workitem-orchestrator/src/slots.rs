//! The threads that run agents: one for each item that may run at a time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tracing::debug;
use workitem_store::{AttemptOutput, Blobs, Cause, Claim, Job};

use crate::agent::{Agent, Ended, Fault, How, Task};
use crate::clock::TimeOfDay;
use crate::closure::panic_text;
use crate::observer::Running;
use crate::stop::{Stop, Stopping};
use crate::sync::{Mutex, Receiver, Sender, first, instant, sleep};
use crate::world::{Finished, World};

/// What all slots share.
pub struct Slots<'a> {
    pub agent: &'a dyn Agent,
    pub blobs: &'a dyn Blobs,
    pub job: &'a Job,
    pub run: &'a str,
    pub timeout: Option<Duration>,
    pub stop: &'a Stop,
    pub time: &'a TimeOfDay,
    /// What runs in each slot; [`vacant`] to begin with.
    pub running: Vec<Mutex<Option<Running>>>,
}

/// So many slots in which nothing runs.
pub fn vacant(slots: usize) -> Vec<Mutex<Option<Running>>> {
    (0..slots).map(|_| Mutex::new(None)).collect()
}

impl Slots<'_> {
    /// Works in one slot until there are no more claims. Once the orchestrator stops, claims come back
    /// as interrupted without having been started.
    pub fn work(&self, slot: usize, claims: &Receiver<Claim>, finished: &Sender<Finished>) {
        while let Ok(claim) = claims.recv() {
            let started = instant();
            let ended = if self.stop.stopping() > Stopping::No {
                Ok(Ended { how: How::Interrupted, output: AttemptOutput::default() })
            } else {
                let item = claim.leased.item();
                debug!(item = %item.id(), attempt = item.attempts(), slot, "attempt started");
                self.set(slot, Some(Running { item: item.id().clone(), since: started }));
                let ended = self.attempt(&claim, started);
                self.set(slot, None);
                ended
            };
            let (leased, took) = (claim.leased, instant().saturating_duration_since(started));
            if finished.send(Finished { leased, ended, at: self.time.now(), took }).is_err() {
                return;
            }
        }
    }

    /// What runs right now, longest-running first.
    pub fn running(&self) -> Vec<Running> {
        let slots = self.running.iter();
        let mut running: Vec<Running> =
            slots.filter_map(|slot| slot.lock().unwrap_or_else(PoisonError::into_inner).clone()).collect();
        running.sort_by_key(|running| running.since);
        running
    }

    fn set(&self, slot: usize, running: Option<Running>) {
        *self.running[slot].lock().unwrap_or_else(PoisonError::into_inner) = running;
    }

    fn attempt(&self, claim: &Claim, started: Instant) -> Result<Ended, Fault> {
        let item = claim.leased.item();
        let task = Task {
            job: &self.job.name,
            job_id: self.job.id,
            item: item.id(),
            seq: claim.leased.token().seq(),
            attempt: item.attempts(),
            payload: &claim.payload,
            run: self.run,
            timeout: self.timeout,
            started,
            cancel: self.stop.cancel(),
            blobs: self.blobs,
        };
        catch_unwind(AssertUnwindSafe(|| self.agent.run(&task))).unwrap_or_else(|panic| {
            let how = How::Failed { error: panic_text(&*panic), cause: Cause::Panic };
            Ok(Ended { how, output: AttemptOutput::default() })
        })
    }
}

/// The world of a run: the system's clocks, and threads that wait for claims.
pub struct Threads<'a> {
    pub slots: &'a Slots<'a>,
    pub claims: Sender<Claim>,
    pub finished: Receiver<Finished>,
}

impl World for Threads<'_> {
    fn instant(&self) -> Instant {
        instant()
    }

    fn now(&self) -> DateTime<Utc> {
        self.slots.time.now()
    }

    fn told(&mut self, now: DateTime<Utc>) {
        self.slots.time.told(now);
    }

    fn start(&mut self, claim: Claim) {
        self.claims.send(claim).expect("the slots listen until the driver is gone");
    }

    fn wait(&mut self, patience: Duration) -> Option<Finished> {
        first(&self.finished, self.slots.stop.woken(), patience)
    }

    fn ready(&mut self) -> Option<Finished> {
        self.finished.try_recv().ok()
    }

    fn outlast(&mut self) -> Option<Finished> {
        self.finished.recv().ok()
    }

    fn sleep(&mut self, time: Duration) {
        sleep(time);
    }

    fn running(&self) -> Vec<Running> {
        self.slots.running()
    }
}
