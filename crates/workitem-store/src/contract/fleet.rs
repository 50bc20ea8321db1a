//! Many at one job: its end is noted once, and who waits is called.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use super::{at, claim, claim_one, completed, dead, job_of, new_item, numbered, open_job, record};
use crate::{Control, JobId, Listening, Store};

pub fn the_end_of_a_job_is_noted_once(store: &dyn Store) {
    let job = job_of(store, 1);
    assert!(!store.finish(job.id, at(0)).unwrap(), "an item is pending");
    record(store, completed(claim_one(store, &job, 1), 2));
    assert!(store.finish(job.id, at(3)).unwrap());
    // Who is the only one is the first each time.
    assert_eq!(store.finish(job.id, at(4)).unwrap(), !store.is_shared());
    assert_eq!(store.add(job.id, &numbered(1)).unwrap(), 0);
    assert_eq!(store.finish(job.id, at(5)).unwrap(), !store.is_shared(), "there is nothing new");
    store.add(job.id, &numbered(2)).unwrap();
    record(store, dead(claim_one(store, &job, 6), 7));
    assert!(store.finish(job.id, at(8)).unwrap());
    store.retry_letters(job.id, &[2]).unwrap();
    record(store, completed(claim_one(store, &job, 9), 10));
    assert!(store.finish(job.id, at(11)).unwrap());
    assert!(store.finish(JobId(99), at(12)).is_err());
}

pub fn who_listens_is_called(store: &dyn Store) {
    let (job, other) = (open_job(store, "job"), open_job(store, "other"));
    store.submit(job.id, &numbered(1)).unwrap();
    let (mine, any, others) = (Calls::default(), Calls::default(), Calls::default());
    let listening = [mine.at(store, Some(job.id)), any.at(store, None), others.at(store, Some(other.id))];
    assert!(listening.iter().all(|listening| listening.is_some() == store.is_shared()));
    if !store.is_shared() {
        return;
    }
    let changes: [&dyn Fn(); 6] = [
        &|| store.seal(job.id, "digest").unwrap(),
        &|| store.set_control(job.id, Control::Pause).unwrap(),
        &|| store.set_control(job.id, Control::Run).unwrap(),
        &|| assert_eq!(store.add(job.id, &[new_item("2", "input")]).unwrap(), 1),
        &|| {
            record(store, dead(claim_one(store, &job, 1), 2));
            assert_eq!(store.retry_letters(job.id, &[1]).unwrap().len(), 1);
            for leased in claim(store, &job, 2, 3) {
                record(store, completed(leased, 3));
            }
        },
        &|| assert!(store.finish(job.id, at(3)).unwrap()),
    ];
    for change in changes {
        let before = (mine.count(), any.count());
        change();
        mine.wait_beyond(before.0);
        any.wait_beyond(before.1);
    }
    assert_eq!(others.count(), 0);
    drop(listening);
    let later = Calls::default();
    let _listening = later.at(store, Some(other.id));
    store.set_control(other.id, Control::Pause).unwrap();
    later.wait_beyond(0);
    assert_eq!(others.count(), 0, "nobody is called who does not listen any more");
}

/// Counts calls.
#[derive(Clone, Default)]
struct Calls(Arc<(Mutex<usize>, Condvar)>);

impl Calls {
    fn at(&self, store: &dyn Store, job: Option<JobId>) -> Option<Box<dyn Listening>> {
        let calls = self.clone();
        let call = move || {
            *calls.0.0.lock().unwrap() += 1;
            calls.0.1.notify_all();
        };
        store.listen(job, Box::new(call)).unwrap()
    }

    fn count(&self) -> usize {
        *self.0.0.lock().unwrap()
    }

    fn wait_beyond(&self, before: usize) {
        let count = self.0.0.lock().unwrap();
        let patience = Duration::from_mins(1);
        let (count, _) = self.0.1.wait_timeout_while(count, patience, |count| *count <= before).unwrap();
        assert!(*count > before, "nobody called");
    }
}
