//! Telling running agents to stop: first politely, then at once.
//!
//! A [`Cancel`] only ever goes forward, [`None`](Stage::None) → [`Terminate`](Stage::Terminate) →
//! [`Kill`](Stage::Kill), and never back. Each stage has a file descriptor that becomes readable when it
//! is reached and stays so, hence any number of threads can wait for it in `poll`, beside whatever else
//! they wait for; nobody has to ask again and again.

use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use crate::poll::poll_until;
use crate::sync::{AtomicU8, Ordering};

/// How urgently agents are to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Stage {
    /// They are not.
    None = 0,
    /// Soon: a process gets SIGTERM, and SIGKILL after its grace.
    Terminate = 1,
    /// Now: a process gets SIGKILL.
    Kill = 2,
}

/// Tells agents to stop. Shared by reference between the orchestrator and everything that runs.
///
/// ```
/// use std::time::Duration;
/// use workitem_orchestrator::Cancel;
///
/// let cancel = Cancel::new()?;
/// assert!(!cancel.wait_timeout(Duration::from_millis(1)));
/// cancel.terminate();
/// assert!(cancel.wait_timeout(Duration::from_hours(1)), "returns at once");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Cancel {
    stage: AtomicU8,
    terminate: Alarm,
    kill: Alarm,
}

impl Cancel {
    /// One that nobody has raised.
    ///
    /// # Errors
    ///
    /// The system's error if it has no file descriptors left: it takes four.
    pub fn new() -> io::Result<Self> {
        Ok(Self { stage: AtomicU8::new(Stage::None as u8), terminate: Alarm::new()?, kill: Alarm::new()? })
    }

    /// Agents are to stop soon. Does nothing if that, or more, was said before.
    pub fn terminate(&self) {
        self.raise(Stage::Terminate);
    }

    /// Agents are to stop at once.
    pub fn kill(&self) {
        self.raise(Stage::Kill);
    }

    /// The highest stage that was reached.
    pub fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Acquire) {
            0 => Stage::None,
            1 => Stage::Terminate,
            _ => Stage::Kill,
        }
    }

    /// Whether agents are to stop at all.
    pub fn is_cancelled(&self) -> bool {
        self.stage() > Stage::None
    }

    /// Sleeps until agents are to stop, or for `duration`; says whether they are to stop.
    pub fn wait_timeout(&self, duration: Duration) -> bool {
        let deadline = Instant::now().checked_add(duration);
        while !self.is_cancelled() && deadline.is_none_or(|deadline| Instant::now() < deadline) {
            let mut fds = [PollFd::from_borrowed_fd(self.terminate_fd(), PollFlags::IN)];
            if poll_until(&mut fds, deadline).is_err() {
                // `poll` on a pipe fails only for want of kernel memory.
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        self.is_cancelled()
    }

    /// Becomes readable (`POLLHUP`; there is nothing to read) at [`Stage::Terminate`] and at [`Stage::Kill`].
    pub fn terminate_fd(&self) -> BorrowedFd<'_> {
        self.terminate.reader.as_fd()
    }

    /// Becomes readable (`POLLHUP`; there is nothing to read) at [`Stage::Kill`].
    pub fn kill_fd(&self) -> BorrowedFd<'_> {
        self.kill.reader.as_fd()
    }

    /// The stage is stored before anybody is woken, so whoever wakes sees it.
    fn raise(&self, stage: Stage) {
        self.stage.fetch_max(stage as u8, Ordering::AcqRel);
        self.terminate.ring();
        if stage == Stage::Kill {
            self.kill.ring();
        }
    }
}

/// A pipe into which nothing is ever written: closing its one writer wakes everybody who polls the reader.
#[derive(Debug)]
struct Alarm {
    reader: PipeReader,
    writer: Mutex<Option<PipeWriter>>,
}

impl Alarm {
    fn new() -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        Ok(Self { reader, writer: Mutex::new(Some(writer)) })
    }

    fn ring(&self) {
        drop(self.writer.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readable(fd: BorrowedFd<'_>) -> bool {
        let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
        poll_until(&mut fds, Some(Instant::now())).unwrap() > 0
    }

    #[test]
    fn stages_only_go_forward() {
        let cancel = Cancel::new().unwrap();
        assert_eq!(cancel.stage(), Stage::None);
        cancel.terminate();
        assert_eq!(cancel.stage(), Stage::Terminate);
        cancel.kill();
        cancel.terminate();
        assert_eq!(cancel.stage(), Stage::Kill);
    }

    #[test]
    fn each_stage_has_its_descriptor() {
        let cancel = Cancel::new().unwrap();
        assert!(!readable(cancel.terminate_fd()) && !readable(cancel.kill_fd()));
        cancel.terminate();
        assert!(readable(cancel.terminate_fd()) && !readable(cancel.kill_fd()));
        cancel.kill();
        assert!(readable(cancel.terminate_fd()) && readable(cancel.kill_fd()));
    }

    #[test]
    fn killing_at_once_raises_both() {
        let cancel = Cancel::new().unwrap();
        cancel.kill();
        assert!(readable(cancel.terminate_fd()) && readable(cancel.kill_fd()));
    }

    #[test]
    fn every_waiter_wakes() {
        let cancel = Cancel::new().unwrap();
        std::thread::scope(|scope| {
            let waiters: Vec<_> =
                (0..8).map(|_| scope.spawn(|| cancel.wait_timeout(Duration::from_mins(1)))).collect();
            std::thread::sleep(Duration::from_millis(20));
            cancel.terminate();
            assert!(waiters.into_iter().all(|waiter| waiter.join().unwrap()));
        });
    }

    #[test]
    fn waiting_ends_when_the_time_is_up() {
        let cancel = Cancel::new().unwrap();
        let before = Instant::now();
        assert!(!cancel.wait_timeout(Duration::from_millis(30)));
        assert!(before.elapsed() >= Duration::from_millis(30));
    }
}
