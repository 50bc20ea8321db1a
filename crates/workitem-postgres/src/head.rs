//! Where the claims of a job have come to, so that they need not begin at its first item each time.
//!
//! An item that was claimed leaves a dead entry in the index of what is due, and until a vacuum comes by, each claim has to
//! step over all that the claims before it have left: of a million items more and more, and of a database whose oldest
//! snapshot is old (a dump, a forgotten transaction) even with a look into the table for each. So a store remembers the
//! last entry that it has claimed, and looks for the next one behind it.
//!
//! What others put back before that entry is found because a head is forgotten now and then, and whenever there is too
//! little behind it. What this store puts back itself takes its head back at once.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use workitem_store::JobId;

/// For how long it is remembered where the claims of a job have come to: what another process has put back in front waits
/// no longer for those behind it.
const REMEMBERED: Duration = Duration::from_secs(1);

/// A place among what is due: `run_at` and `seq`.
pub type Due = (i64, i64);

/// Before all that can be due.
pub const START: Due = (i64::MIN, 0);

/// Of every job, behind which entry to look.
#[derive(Default)]
pub struct Heads(Mutex<HashMap<JobId, Head>>);

struct Head {
    due: Due,
    since: Instant,
}

impl Heads {
    /// Behind which entry to look for what is due.
    pub fn get(&self, job: JobId) -> Due {
        let mut heads = self.lock();
        if heads.get(&job).is_some_and(|head| head.since.elapsed() >= REMEMBERED) {
            heads.remove(&job);
        }
        heads.get(&job).map_or(START, |head| head.due)
    }

    /// A claim that began behind `from` has come to `to`. If something was put back meanwhile, that counts.
    pub fn advance(&self, job: JobId, from: Due, to: Due) {
        let mut heads = self.lock();
        match heads.get_mut(&job) {
            Some(head) if head.due == from => head.due = head.due.max(to),
            Some(_) => {}
            None if from == START => {
                heads.insert(job, Head { due: to, since: Instant::now() });
            }
            None => {}
        }
    }

    /// An item is pending at this place from now on.
    pub fn put_back(&self, job: JobId, due: Due) {
        let mut heads = self.lock();
        if heads.get(&job).is_some_and(|head| due <= head.due) {
            heads.remove(&job);
        }
    }

    /// Begin from the start again.
    pub fn forget(&self, job: JobId) {
        self.lock().remove(&job);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<JobId, Head>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: JobId = JobId(1);

    #[test]
    fn claims_go_on_where_the_last_one_has_come_to() {
        let heads = Heads::default();
        assert_eq!(heads.get(JOB), START);
        heads.advance(JOB, START, (0, 7));
        heads.advance(JOB, (0, 7), (0, 9));
        assert_eq!((heads.get(JOB), heads.get(JobId(2))), ((0, 9), START));
        heads.advance(JOB, (0, 7), (0, 8));
        assert_eq!(heads.get(JOB), (0, 9), "a slower claim takes nothing back");
        heads.forget(JOB);
        assert_eq!(heads.get(JOB), START);
    }

    #[test]
    fn what_is_put_back_in_front_is_not_passed_over() {
        let heads = Heads::default();
        heads.advance(JOB, START, (0, 9));
        heads.put_back(JOB, (5, 1));
        heads.put_back(JobId(2), (0, 1));
        assert_eq!(heads.get(JOB), (0, 9), "that is behind, or of another job");
        heads.put_back(JOB, (0, 3));
        heads.advance(JOB, (0, 9), (0, 12));
        assert_eq!(heads.get(JOB), START, "also by a claim that began before");
    }
}
