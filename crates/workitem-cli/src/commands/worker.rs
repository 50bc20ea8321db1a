//! Working on jobs as they come, beside others.

mod job;

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};
use serde_json::json;
use workitem_orchestrator::{RunError, Stopping};
use workitem_store::{Control, Job, Listening, Store, StoreError};

use super::Place;
use super::map::listen;
use crate::args::WorkerArgs;
use crate::durations::short;
use crate::error::Error;
use crate::exit::Exit;
use crate::metrics::Metrics;
use crate::signals::Listener;

/// How long to wait before looking for work again: at first, and at most where the store does not call.
const LOOK: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(1));
/// The same at most where it does: a call can be lost.
const CALLED: Duration = Duration::from_secs(10);
/// How long to wait before a store that has failed is opened again: at first, and at most.
const AGAIN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// How often to look whether somebody wants the worker to end, while it waits.
const TICK: Duration = Duration::from_millis(100);

/// Works until told to stop, or until all is done.
pub fn worker(place: &Place, args: &WorkerArgs) -> Result<Exit, Error> {
    let listener = listen(&Error::interrupted("interrupted"), args.json)?;
    listener.run();
    let metrics = Metrics::default();
    if let Some(address) = args.metrics {
        let bound = metrics.serve(address).map_err(|error| {
            let what = format!("cannot answer at {address}: {error}");
            Error::usage(what).next("name another address by --metrics")
        })?;
        tell(
            args,
            &format!("answers at http://{bound}/metrics and /health"),
            || json!({ "event": "answers", "address": bound.to_string() }),
        );
    }
    let mut worker =
        Worker { place, args, listener, metrics, worked_on: BTreeSet::new(), told: HashSet::new() };
    // What is wrong from the start is for whoever starts it; what goes wrong later may pass.
    let mut store = place.open()?;
    let mut pause = AGAIN.0;
    loop {
        let mut failed = match worker.work(&store) {
            Ok(exit) => return Ok(exit),
            Err(Trouble::Lasting(error)) => return Err(error),
            Err(Trouble::Passing(error)) => error.to_string(),
        };
        if worker.metrics.is_well() {
            pause = AGAIN.0;
        }
        loop {
            worker.metrics.failed(&failed);
            let again = short(pause);
            tell(
                args,
                &format!("{failed}; again in {again}"),
                || json!({ "event": "store_failed", "error": failed, "again_in": pause.as_secs_f64() }),
            );
            if worker.rest(pause, None) {
                return Ok(worker.stopped());
            }
            pause = (2 * pause).min(AGAIN.1);
            match place.open() {
                Ok(opened) => {
                    store = opened;
                    break;
                }
                Err(error) if error.may_pass() => failed = error.what(),
                // Such as a schema that is newer by now: no patience helps with that.
                Err(error) => return Err(error),
            }
        }
    }
}

/// What went wrong.
enum Trouble {
    /// It may be over by the next time.
    Passing(StoreError),
    Lasting(Error),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Engine { .. } => Self::Passing(error),
            error => Self::Lasting(error.into()),
        }
    }
}

struct Worker<'a> {
    place: &'a Place,
    args: &'a WorkerArgs,
    listener: Listener,
    metrics: Metrics,
    /// Jobs whose end decides the exit code.
    worked_on: BTreeSet<String>,
    /// What need not be told again.
    told: HashSet<String>,
}

impl From<RunError> for Trouble {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Store(error) => error.into(),
            error => Self::Lasting(error.into()),
        }
    }
}

impl Worker<'_> {
    /// Works as long as the store answers.
    fn work(&mut self, store: &Arc<dyn Store>) -> Result<Exit, Trouble> {
        let (call, calls) = bounded(1);
        let call = Box::new(move || {
            // A full channel has a call that nobody has heard yet, which does as well.
            let _ = call.try_send(());
        });
        let listening: Option<Box<dyn Listening>> = store.listen(None, call)?;
        let longest = if listening.is_some() { CALLED } else { LOOK.1 };
        let mut pause = LOOK.0;
        loop {
            let jobs = self.jobs(store)?;
            let mut has_worked = false;
            for job in &jobs {
                if self.is_stopping() {
                    return Ok(self.stopped());
                }
                has_worked |= self.take_up(store, job)?;
            }
            self.metrics.answered();
            // Who has worked looks for more first.
            if self.args.until_done
                && !has_worked
                && let Some(exit) = self.done(store)?
            {
                return Ok(exit);
            }
            pause = if has_worked { LOOK.0 } else { (2 * pause).min(longest) };
            if !has_worked && self.rest(pause, Some(&calls)) || self.is_stopping() {
                return Ok(self.stopped());
            }
        }
    }

    /// The jobs to work on, oldest first.
    fn jobs(&self, store: &Arc<dyn Store>) -> Result<Vec<Job>, StoreError> {
        if self.args.only.is_empty() {
            return store.jobs();
        }
        self.args.only.iter().map(|name| store.job(name)).collect()
    }

    /// How it ended, if nothing is left to do.
    fn done(&self, store: &Arc<dyn Store>) -> Result<Option<Exit>, StoreError> {
        let mut exit = Exit::Ok;
        for job in self.jobs(store)? {
            let (counts, control) = (store.counts(job.id)?, store.control(job.id)?);
            let is_cancelled = control == Control::Cancel && counts.by_status.in_progress == 0;
            if !job.is_sealed() || !counts.is_finished() && !is_cancelled {
                return Ok(None);
            }
            let counts_here = self.worked_on.contains(&job.name) || !self.args.only.is_empty();
            if counts_here && (counts.open_letters > 0 || !counts.is_finished()) {
                exit = Exit::DeadLetters;
            }
        }
        Ok(Some(exit))
    }

    fn is_stopping(&self) -> bool {
        self.listener.stop.stopping() > Stopping::No
    }

    /// To be told to stop is how most workers end.
    const fn stopped(&self) -> Exit {
        if self.args.until_done { Exit::Interrupted } else { Exit::Ok }
    }

    /// Waits for a call, or until the time is up; whether the worker is to end.
    fn rest(&self, time: Duration, calls: Option<&Receiver<()>>) -> bool {
        let mut left = time;
        while !left.is_zero() && !self.is_stopping() {
            let tick = left.min(TICK);
            match calls {
                Some(calls) if calls.recv_timeout(tick).is_ok() => break,
                Some(_) => {}
                None => std::thread::sleep(tick),
            }
            left -= tick;
        }
        self.is_stopping()
    }
}

/// Says what is done, a line or an event.
fn tell(args: &WorkerArgs, line: &str, event: impl FnOnce() -> serde_json::Value) {
    if args.json {
        tell!("{}", event());
    } else if !args.quiet {
        tell!("{line}");
    }
}
