//! What is shared of a store that many orchestrators use at the same time: its clock, who is there, whom to call.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use chrono::{DateTime, Utc};

use crate::{Call, JobId, Listening};

/// A store's clock.
pub type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// The orchestrators that share a store.
pub struct Fleet {
    pub clock: Clock,
    /// Until when each agent is there, unless it says so again.
    leases: Mutex<HashMap<(JobId, String), DateTime<Utc>>>,
    listeners: Mutex<Vec<Weak<Listener>>>,
}

struct Listener {
    job: Option<JobId>,
    call: Call,
}

impl Listening for Arc<Listener> {}

impl Fleet {
    pub fn new(clock: Clock) -> Self {
        Self { clock, leases: Mutex::default(), listeners: Mutex::default() }
    }

    fn leases(&self) -> MutexGuard<'_, HashMap<(JobId, String), DateTime<Utc>>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The agent is there for so long; a lease of nothing ends.
    pub fn renew(&self, job: JobId, agent: &str, lease: std::time::Duration) {
        let until = (self.clock)() + chrono::TimeDelta::from_std(lease).unwrap_or(chrono::TimeDelta::days(1));
        self.leases().insert((job, agent.to_owned()), until);
    }

    /// As [`renew`](Self::renew), but one that lasts longer is let be.
    pub fn prolong(&self, job: JobId, agent: &str, lease: std::time::Duration) {
        let key = (job, agent.to_owned());
        let before = self.leases().get(&key).copied();
        self.renew(job, agent, lease);
        if let Some(before) = before {
            self.leases().entry(key).and_modify(|until| *until = before.max(*until));
        }
    }

    pub fn is_there(&self, job: JobId, agent: &str) -> bool {
        let now = (self.clock)();
        self.leases().get(&(job, agent.to_owned())).is_some_and(|until| *until > now)
    }

    pub fn is_anybody_there(&self, job: JobId) -> bool {
        let now = (self.clock)();
        self.leases().iter().any(|((of, _), until)| *of == job && *until > now)
    }

    pub fn listen(&self, job: Option<JobId>, call: Call) -> Box<dyn Listening> {
        let listener = Arc::new(Listener { job, call });
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|listener| listener.strong_count() > 0);
        listeners.push(Arc::downgrade(&listener));
        Box::new(listener)
    }

    /// Calls all who listen to this job.
    pub fn call(&self, job: JobId) {
        let listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for listener in listeners.iter().filter_map(Weak::upgrade) {
            if listener.job.is_none_or(|heard| heard == job) {
                (listener.call)();
            }
        }
    }
}
