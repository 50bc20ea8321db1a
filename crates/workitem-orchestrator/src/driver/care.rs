//! What a run does beside its items: obeys, stays alive for others, tells how far it is, and ends well.

use std::time::Duration;

use tracing::info;
use workitem_store::{Control, Listening, StoreError};

use super::record::Done;
use super::{Driver, OBEY, Others, Run};
use crate::clock::Waiting;
use crate::observer::{Event, Observer, Progress};
use crate::orchestrator::RunError;
use crate::stop::Stopping;
use crate::world::World;

impl<W: World> Driver<'_, W> {
    /// Has the store call when there is something to see, as long as what is returned lives.
    pub(super) fn listen(&mut self) -> Result<Option<Box<dyn Listening>>, StoreError> {
        let stop = self.run.stop.clone();
        let listening = self.run.store.listen(Some(self.run.job), Box::new(move || stop.nudge()))?;
        self.is_called = listening.is_some();
        Ok(listening)
    }

    /// Does what is wanted of the job by now.
    pub(super) fn obey(&mut self, observer: &mut dyn Observer) -> Result<(), StoreError> {
        self.obeyed = self.world.instant();
        let control = self.run.store.control(self.run.job)?;
        if control == self.control {
            return Ok(());
        }
        self.control = control;
        info!(?control, "something else is wanted of the job");
        observer.event(&Event::Controlled { control });
        match control {
            Control::Run | Control::Pause => {}
            Control::Cancel => self.run.stop.interrupt(),
        }
        Ok(())
    }

    pub(super) fn housekeeping(&mut self, observer: &mut dyn Observer) -> Result<(), RunError> {
        if self.run.stop.was_nudged() || self.since(self.obeyed) >= self.every(OBEY) {
            self.obey(observer)?;
        }
        if let Others::Maybe(put_in_order) = self.run.others
            && self.since(self.renewed) >= self.run.options.lease / 3
        {
            self.stay()?;
            put_in_order(observer, self.world.now())?;
        }
        if self.run.stop.stopping() == Stopping::Drain {
            let since = *self.draining_since.get_or_insert_with(|| self.world.instant());
            if self.since(since) >= self.run.options.drain {
                self.run.stop.interrupt();
            }
        }
        if observer.every().is_some_and(|every| self.since(self.told) >= every) {
            self.told = self.world.instant();
            observer.progress(&Progress {
                counts: &self.run.store.counts(self.run.job)?,
                running: &self.world.running(),
                recorded: self.recorded,
                since: self.started,
            });
        }
        Ok(())
    }

    /// A sign of life, for others; and theirs is the time.
    fn stay(&mut self) -> Result<(), StoreError> {
        let Run { store, job, name, options, .. } = self.run;
        self.renewed = self.world.instant();
        store.renew(job, name, options.lease, self.world.now())?;
        self.world.told(store.now()?);
        self.waiting = Waiting::new(self.world.now(), self.world.instant());
        Ok(())
    }

    /// Nothing is in progress here any more: who comes next need not wait to be sure of that.
    pub(super) fn leave(&self) -> Result<(), StoreError> {
        match self.run.others {
            Others::None => Ok(()),
            Others::Maybe(_) => {
                self.run.store.renew(self.run.job, self.run.name, Duration::ZERO, self.world.now())
            }
        }
    }

    /// The store has failed: ends all agents and tries once more to record what is over. What cannot be
    /// recorded is still in progress on disk, where recovery finds it.
    pub(super) fn give_up(&mut self, mut done: Done, observer: &mut dyn Observer) {
        self.run.stop.kill();
        while self.outstanding > 0 {
            let Some(finished) = self.world.outlast() else { break };
            // The first error is the one to tell; these only say that it has not passed.
            let _ = self.take(finished, &mut done);
        }
        let _ = self.record(&mut done, observer);
        let _ = self.leave();
    }
}
