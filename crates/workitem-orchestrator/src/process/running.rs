//! One agent, from its start until nothing of it is left.
//!
//! The caller's thread does all of the waiting, in one `poll` over both pipes, the process and the
//! orchestrator's wish to stop.

use std::os::fd::BorrowedFd;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::process::Signal;
use workitem_store::StoreError;

use super::capture::{Capture, Stream};
use super::environment::{is_marked, marks};
use super::family::{Family, Process, signal, signal_group};
use super::leader::{DEATH, Leader, TICK};
use crate::agent::Task;
use crate::cancel::Stage;
use crate::poll::poll_until;

/// How long to go on reading after the agent is gone, if a stranger goes on writing.
const DRAIN: Duration = Duration::from_secs(1);

/// Why an agent was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// It ran longer than it may.
    TimedOut,
    /// The orchestrator stops.
    Cancelled,
}

/// How a process ended.
pub(super) struct Over<'a> {
    /// `None` if even SIGKILL did not end it, or if somebody else collected it.
    pub(super) status: Option<ExitStatus>,
    /// Set if it was stopped; not if it ended by itself just before.
    pub(super) stop: Option<Stop>,
    pub(super) stdout: Capture<'a>,
    pub(super) stderr: Capture<'a>,
}

/// A running agent.
pub(super) struct Running<'a> {
    leader: Leader,
    stdout: Stream<'a>,
    stderr: Stream<'a>,
    scratch: Vec<u8>,
}

impl<'a> Running<'a> {
    /// `child` must have been started with `process_group(0)` and piped output.
    pub(super) fn new(mut child: Child, stdout: Capture<'a>, stderr: Capture<'a>) -> Self {
        let stdout = Stream::new(child.stdout.take().map(Into::into), stdout);
        let stderr = Stream::new(child.stderr.take().map(Into::into), stderr);
        Self { leader: Leader::new(child), stdout, stderr, scratch: Vec::new() }
    }

    /// Waits until the agent has ended, or ends it: when its time is up, or when the orchestrator stops.
    /// Then ends whatever it has left behind in its group; after a stop, wherever that is.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if its output could not be kept; the agent's group is ended then, too.
    pub(super) fn watch(mut self, task: &Task<'_>, grace: Duration) -> Result<Over<'a>, StoreError> {
        let stop = self.run(task)?;
        if stop.is_some() {
            let marks = marks(task);
            let group = self.leader.group();
            let mut family =
                Family::new(|process| process.group == Some(group) || is_marked(process.pid, &marks));
            let terminated = self.terminate(task, grace, &mut family);
            self.kill(&mut family);
            terminated?;
        }
        let status = self.leader.collect();
        self.drain()?;
        Ok(Over { status, stop, stdout: self.stdout.into_capture(), stderr: self.stderr.into_capture() })
    }

    /// Until the process ends, or must be stopped.
    fn run(&mut self, task: &Task<'_>) -> Result<Option<Stop>, StoreError> {
        // From here on, where the process is there: if the orchestrator was stopped while it started it, that is none of
        // its time.
        let deadline = task.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            if self.leader.has_exited() {
                return Ok(None);
            }
            if task.cancel.is_cancelled() {
                return Ok(Some(Stop::Cancelled));
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Ok(Some(Stop::TimedOut));
            }
            self.wait(task.cancel.terminate_fd(), deadline)?;
        }
    }

    /// Asks everything that belongs to the agent to end, until all has, or `grace` is over, or the
    /// orchestrator wants to stop at once.
    fn terminate(
        &mut self,
        task: &Task<'_>,
        grace: Duration,
        family: &mut Family<impl Fn(&Process) -> bool>,
    ) -> Result<(), StoreError> {
        if task.cancel.stage() == Stage::Kill {
            return Ok(());
        }
        let group = self.leader.group();
        // To be found before the process ends and its children lose their parent.
        let elsewhere = family.living().into_iter().filter(|process| process.group != Some(group));
        signal_group(group, Signal::TERM);
        elsewhere.for_each(|process| signal(process.pid, Signal::TERM));
        // Who is stopped hears nothing until he is told to go on.
        signal_group(group, Signal::CONT);

        let kill_at = Instant::now().checked_add(grace);
        let mut look_at = Instant::now();
        loop {
            let now = Instant::now();
            if task.cancel.stage() == Stage::Kill || kill_at.is_some_and(|kill_at| now >= kill_at) {
                return Ok(());
            }
            let has_exited = self.leader.has_exited();
            if has_exited && now >= look_at {
                if family.living().is_empty() {
                    return Ok(());
                }
                look_at = now + 2 * TICK;
            }
            let look_at = has_exited.then_some(look_at);
            self.wait(task.cancel.kill_fd(), look_at.into_iter().chain(kill_at).min())?;
        }
    }

    /// Kills everything that belongs to the agent, until nothing is left but zombies.
    fn kill(&self, family: &mut Family<impl Fn(&Process) -> bool>) {
        let deadline = Instant::now() + DEATH;
        loop {
            signal_group(self.leader.group(), Signal::KILL);
            let left = family.living();
            if left.is_empty() || Instant::now() >= deadline {
                return;
            }
            for process in left {
                signal(process.pid, Signal::KILL);
            }
            std::thread::sleep(TICK / 10);
        }
    }

    /// Waits for output, the end of the process, `alarm` or `until`, and takes what output there is.
    fn wait(&mut self, alarm: BorrowedFd<'_>, until: Option<Instant>) -> Result<(), StoreError> {
        let ask_at = self.leader.must_be_asked().then(|| Instant::now() + TICK);
        let until = ask_at.into_iter().chain(until).min();

        let exit = self.leader.exit_fd();
        let [stdout, stderr] = [self.stdout.pipe(), self.stderr.pipe()];
        let mut fds: Vec<_> = [Some(alarm), exit, stdout, stderr]
            .into_iter()
            .flatten()
            .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
            .collect();
        if poll_until(&mut fds, until).is_err() {
            // It fails only for want of kernel memory, or of a higher limit of descriptors.
            std::thread::sleep(TICK);
        }
        let mut events = fds.into_iter().skip(1).map(|fd| fd.revents());
        let mut of =
            |is_polled: bool| if is_polled { events.next() } else { None }.unwrap_or(PollFlags::empty());
        let [exit, stdout, stderr] = [of(exit.is_some()), of(stdout.is_some()), of(stderr.is_some())];

        if !exit.is_empty() {
            self.leader.saw_exit();
        }
        self.stdout.react(stdout, &mut self.scratch)?;
        self.stderr.react(stderr, &mut self.scratch)
    }

    /// Takes what the agent left in its pipes. Their end is there at once unless a process outside of the
    /// agent's group has inherited them; what that one writes is none of the agent's.
    fn drain(&mut self) -> Result<(), StoreError> {
        let deadline = Instant::now() + DRAIN;
        for stream in [&mut self.stdout, &mut self.stderr] {
            while stream.read(&mut self.scratch)? && Instant::now() < deadline {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    use rustix::pipe::fcntl_setpipe_size;
    use workitem_store::{BlobName, JobId, Kept, StreamKind};

    use super::*;
    use crate::testing::Bench;

    #[test]
    fn all_that_is_left_in_the_pipes_is_taken() {
        let bench = Bench::new("x");
        let task = bench.task();
        let capture = |stream| {
            let name = BlobName { job: JobId(1), seq: 7, attempt: 2, stream };
            Capture::new(task.blobs, name, 1 << 20)
        };
        // More than is read at once, and nobody has read any of it when the agent ends.
        let (reader, mut writer) = std::io::pipe().unwrap();
        fcntl_setpipe_size(&writer, 1 << 20).unwrap();
        writer.write_all(&vec![b'x'; 200_000]).unwrap();
        drop(writer);
        let mut leader = Leader::new(Command::new("true").process_group(0).spawn().unwrap());
        leader.saw_exit();
        let stdout = Stream::new(Some(reader.into()), capture(StreamKind::Stdout));
        let stderr = Stream::new(None, capture(StreamKind::Stderr));
        let over = Running { leader, stdout, stderr, scratch: Vec::new() }.watch(&task, Duration::ZERO);
        let kept = over.unwrap().stdout.finish().unwrap();
        assert_eq!((kept.total, kept.kept), (200_000, Kept::Blob { len: 200_000 }));
    }

    #[test]
    fn the_time_of_a_process_begins_when_it_is_there() {
        let bench = Bench::new("x");
        // As if the orchestrator had been stopped for an hour while it started it.
        let started = Instant::now().checked_sub(Duration::from_hours(1)).unwrap();
        let task = Task { started, timeout: Some(Duration::from_mins(5)), ..bench.task() };
        let capture = |stream| {
            Capture::new(task.blobs, BlobName { job: JobId(1), seq: 7, attempt: 2, stream }, 1 << 20)
        };
        let child = Command::new("sleep").arg("0.1").process_group(0).spawn().unwrap();
        let running = Running::new(child, capture(StreamKind::Stdout), capture(StreamKind::Stderr));
        let over = running.watch(&task, Duration::ZERO).unwrap();
        assert!(over.stop.is_none() && over.status.is_some_and(|status| status.success()));
    }
}
