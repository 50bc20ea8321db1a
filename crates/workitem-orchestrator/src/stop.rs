//! Asking a running orchestrator to stop, from a signal handler's thread or another.

use std::io;
use std::sync::Arc;

use crate::cancel::Cancel;
use crate::sync::{AtomicU8, Ordering, Receiver, Sender, bounded};

/// How an orchestrator is to stop. Only ever goes forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Stopping {
    /// It is not.
    No = 0,
    /// Claims nothing more, lets running agents finish.
    Drain = 1,
    /// Tells running agents to stop, and puts their items back.
    Interrupt = 2,
    /// Ends running agents at once, and puts their items back.
    Kill = 3,
}

/// A handle to stop one run of an orchestrator. Clones stop the same run; another run wants a handle of
/// its own, because this one stays used.
#[derive(Debug, Clone)]
pub struct Stop(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    stopping: AtomicU8,
    cancel: Cancel,
    /// Whether something has changed that the run has not looked at.
    nudged: AtomicU8,
    wake: (Sender<()>, Receiver<()>),
}

impl Stop {
    /// A handle that nobody has used.
    ///
    /// # Errors
    ///
    /// The system's error if it has no file descriptors left.
    pub fn new() -> io::Result<Self> {
        let (cancel, wake) = (Cancel::new()?, bounded(1));
        Ok(Self(Arc::new(Shared {
            stopping: AtomicU8::new(Stopping::No as u8),
            cancel,
            nudged: AtomicU8::new(0),
            wake,
        })))
    }

    /// Claim nothing more and let running agents finish.
    pub fn drain(&self) {
        self.raise(Stopping::Drain);
    }

    /// Tell running agents to stop and put their items back.
    pub fn interrupt(&self) {
        self.raise(Stopping::Interrupt);
        self.0.cancel.terminate();
    }

    /// End running agents at once and put their items back.
    pub fn kill(&self) {
        self.raise(Stopping::Kill);
        self.0.cancel.kill();
    }

    /// How far it went.
    pub fn stopping(&self) -> Stopping {
        match self.0.stopping.load(Ordering::Acquire) {
            0 => Stopping::No,
            1 => Stopping::Drain,
            2 => Stopping::Interrupt,
            _ => Stopping::Kill,
        }
    }

    pub(crate) fn cancel(&self) -> &Cancel {
        &self.0.cancel
    }

    /// Something has changed that a run looks at now and then: it is to look at once.
    pub(crate) fn nudge(&self) {
        self.0.nudged.store(1, Ordering::Release);
        self.wake();
    }

    /// Whether somebody has nudged since this was last asked.
    pub(crate) fn was_nudged(&self) -> bool {
        self.0.nudged.swap(0, Ordering::AcqRel) == 1
    }

    /// Gets a message whenever somebody asks for something.
    pub(crate) fn woken(&self) -> &Receiver<()> {
        &self.0.wake.1
    }

    fn raise(&self, stopping: Stopping) {
        self.0.stopping.fetch_max(stopping as u8, Ordering::AcqRel);
        self.wake();
    }

    fn wake(&self) {
        // A full channel has a message that nobody has read yet, which does as well.
        let _ = self.0.wake.0.try_send(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cancel::Stage;

    #[test]
    fn a_nudge_wakes_once_and_stops_nothing() {
        let stop = Stop::new().unwrap();
        let told = || (stop.was_nudged(), stop.woken().try_recv().is_ok(), stop.stopping());
        assert_eq!(told(), (false, false, Stopping::No));
        stop.nudge();
        stop.clone().nudge();
        assert_eq!(told(), (true, true, Stopping::No));
        assert_eq!(told(), (false, false, Stopping::No));
    }

    #[test]
    fn each_way_to_stop_is_told_and_none_takes_back_a_firmer_one() {
        let stop = Stop::new().unwrap();
        let told = || (stop.stopping(), stop.cancel().stage(), stop.woken().try_recv().is_ok());
        assert_eq!(told(), (Stopping::No, Stage::None, false));
        stop.drain();
        assert_eq!(told(), (Stopping::Drain, Stage::None, true));
        stop.clone().interrupt();
        assert_eq!(told(), (Stopping::Interrupt, Stage::Terminate, true));
        stop.kill();
        assert_eq!(told(), (Stopping::Kill, Stage::Kill, true));
        stop.drain();
        assert_eq!(told(), (Stopping::Kill, Stage::Kill, true));
    }
}
