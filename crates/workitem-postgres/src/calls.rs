//! Calling those who wait when something has changed: the server's `NOTIFY`, heard on one connection of each store.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use postgres::Client;
use postgres::fallible_iterator::FallibleIterator;
use workitem_store::{Call, JobId, Listening};

use crate::error::{Failure, refused};
use crate::pool::Pool;

/// Where it is told, in SQL: a channel is the database's, so the schema is in its name.
pub const CHANNEL: &str = "'workitem_' || md5(current_schema())";
/// How often to look whether anybody still listens.
const TICK: Duration = Duration::from_secs(2);
/// How long to wait before a connection that was lost is made again.
const AGAIN: Duration = Duration::from_secs(1);

/// Who listens, and whether a thread hears for them.
#[derive(Default)]
pub struct Calls(Mutex<State>);

#[derive(Default)]
struct State {
    listeners: Vec<Weak<Listener>>,
    is_heard: bool,
}

struct Listener {
    job: Option<JobId>,
    call: Call,
}

/// What who listens holds.
struct Held(#[expect(dead_code, reason = "as long as it is held, it is called")] Arc<Listener>);

impl Listening for Held {}

impl Calls {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls those who listen to this job; all, if it is not known which has changed.
    fn call(&self, job: Option<JobId>) {
        let listeners: Vec<_> = self.state().listeners.iter().filter_map(Weak::upgrade).collect();
        for listener in listeners {
            if job.is_none() || listener.job.is_none() || listener.job == job {
                (listener.call)();
            }
        }
    }

    /// Whether nobody listens any more; then nobody hears for them, either.
    fn is_over(&self) -> bool {
        let mut state = self.state();
        state.listeners.retain(|listener| listener.strong_count() > 0);
        state.is_heard = !state.listeners.is_empty();
        !state.is_heard
    }
}

/// Has `call` called from now on. When this returns, the server knows that somebody listens.
pub fn listen(
    calls: &Arc<Calls>,
    pool: &Arc<Pool>,
    job: Option<JobId>,
    call: Call,
) -> Result<Box<dyn Listening>, Failure> {
    let listener = Arc::new(Listener { job, call });
    let mut state = calls.state();
    if !state.is_heard {
        let client = connect(pool)?;
        let (calls, heard) = (Arc::clone(calls), Arc::clone(pool));
        let hearing = thread::Builder::new().name("calls".to_owned());
        let spawned = hearing.spawn(move || hear(&calls, &heard, client));
        spawned.map_err(|error| refused(pool.name(), format!("failed to start a thread: {error}")))?;
        state.is_heard = true;
    }
    state.listeners.push(Arc::downgrade(&listener));
    Ok(Box::new(Held(listener)))
}

fn connect(pool: &Pool) -> Result<Client, Failure> {
    let mut client = pool.connect()?;
    let channel: String = client.query_one(&format!("SELECT {CHANNEL}"), &[])?.try_get(0)?;
    client.batch_execute(&format!("LISTEN \"{channel}\""))?;
    Ok(client)
}

/// Hears until nobody listens any more.
fn hear(calls: &Calls, pool: &Pool, mut client: Client) {
    while !calls.is_over() {
        let told = client.notifications().timeout_iter(TICK).next();
        match told.map(|told| told.map(|told| told.payload().parse().ok().map(JobId))) {
            Ok(None) => {}
            Ok(Some(job)) => calls.call(job),
            Err(_) => {
                if let Ok(again) = connect(pool) {
                    client = again;
                    // Something may have been told meanwhile.
                    calls.call(None);
                } else {
                    thread::sleep(AGAIN);
                }
            }
        }
    }
}
