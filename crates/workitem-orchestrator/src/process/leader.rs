//! The process an agent was started as: the leader of the agent's process group.
//!
//! It is collected, and its number free for others, only after the last signal to its group was sent.
//! Until then the group's number cannot be anybody else's, so no signal reaches a stranger.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, ExitStatus};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, test_kill_process_group, waitid};

use super::family::{Family, signal_group};
use crate::poll::poll_until;

/// How often to look for what cannot be waited for.
pub(super) const TICK: Duration = Duration::from_millis(10);

/// How long what was killed may take to go away. It runs nothing any more, but may hang in the kernel.
pub(super) const DEATH: Duration = Duration::from_secs(10);

/// A child process that leads its own process group. Dropping it kills and collects the group.
pub(super) struct Leader {
    child: Child,
    group: Pid,
    exit: Exit,
    is_done_with: bool,
}

/// How the end of the process is noticed.
enum Exit {
    /// A descriptor becomes readable.
    Pidfd(OwnedFd),
    /// By asking now and then: not on Linux, or no descriptors left.
    Ask,
    /// It was noticed. The process is a zombie.
    Seen,
}

impl Leader {
    /// `child` must have been started with `process_group(0)`.
    pub(super) fn new(child: Child) -> Self {
        let group = Pid::from_child(&child);
        let exit = pidfd(group).map_or(Exit::Ask, Exit::Pidfd);
        Self { child, group, exit, is_done_with: false }
    }

    pub(super) const fn group(&self) -> Pid {
        self.group
    }

    /// Becomes readable when the process ends. `None` once that was seen, and where it must be asked for.
    pub(super) fn exit_fd(&self) -> Option<BorrowedFd<'_>> {
        match &self.exit {
            Exit::Pidfd(fd) => Some(fd.as_fd()),
            Exit::Ask | Exit::Seen => None,
        }
    }

    /// [`exit_fd`](Self::exit_fd) became readable.
    pub(super) fn saw_exit(&mut self) {
        self.exit = Exit::Seen;
    }

    /// Whether nothing tells when the process ends but [`has_exited`](Self::has_exited).
    pub(super) const fn must_be_asked(&self) -> bool {
        matches!(self.exit, Exit::Ask)
    }

    /// Whether the process has ended, as far as was seen. It is not collected.
    pub(super) fn has_exited(&mut self) -> bool {
        if self.must_be_asked() {
            let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
            match waitid(WaitId::Pid(self.group), look) {
                Ok(None) => {}
                // An error means that there is no such child: it was collected because SIGCHLD is ignored.
                Ok(Some(_)) | Err(_) => self.saw_exit(),
            }
        }
        matches!(self.exit, Exit::Seen)
    }

    /// Kills whatever is left of the group, collects the process, and waits until the group is empty.
    ///
    /// `None` if the process is still there after [`DEATH`], or somebody else collected it.
    pub(super) fn collect(&mut self) -> Option<ExitStatus> {
        if std::mem::replace(&mut self.is_done_with, true) {
            return None;
        }
        signal_group(self.group, Signal::KILL);
        let deadline = Instant::now() + DEATH;
        while !self.has_exited() {
            if Instant::now() >= deadline {
                return None;
            }
            match self.exit_fd() {
                Some(fd) => {
                    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
                    if poll_until(&mut fds, Some(deadline)).is_ok_and(|ready| ready > 0) {
                        self.saw_exit();
                    }
                }
                None => sleep(TICK),
            }
        }
        let status = self.child.wait().ok();
        while !is_gone(self.group) && Instant::now() < deadline {
            sleep(TICK / 10);
        }
        status
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        self.collect();
    }
}

/// Whether nothing of a group runs any more. Its zombies may wait for long to be collected by PID 1.
fn is_gone(group: Pid) -> bool {
    test_kill_process_group(group).is_err()
        || cfg!(target_os = "linux")
            && Family::new(|process| process.group == Some(group)).living().is_empty()
}

#[cfg(target_os = "linux")]
fn pidfd(pid: Pid) -> Option<OwnedFd> {
    use rustix::process::{PidfdFlags, pidfd_open};

    pidfd_open(pid, PidfdFlags::empty()).ok()
}

#[cfg(not(target_os = "linux"))]
fn pidfd(_: Pid) -> Option<OwnedFd> {
    None
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::process::{Command, Stdio};

    use super::*;

    fn leader(script: &str) -> Leader {
        Leader::new(Command::new("sh").args(["-c", script]).process_group(0).spawn().unwrap())
    }

    #[test]
    fn it_can_do_without_a_pidfd() {
        let mut leader = leader("sleep 0.05; exit 7");
        leader.exit = Exit::Ask;
        while !leader.has_exited() {
            sleep(TICK);
        }
        assert_eq!(leader.collect().unwrap().code(), Some(7));
    }

    #[test]
    fn a_group_is_gone_when_nothing_of_it_runs_and_a_zombie_does_not_run() {
        let mut child = Command::new("sh")
            .args(["-c", "read line"])
            .stdin(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let group = Pid::from_child(&child);
        assert!(!is_gone(group));
        drop(child.stdin.take());
        // Nobody collects it meanwhile.
        while !is_gone(group) {
            sleep(TICK);
        }
        child.wait().unwrap();
        assert!(is_gone(group));
    }

    #[test]
    fn collecting_kills_the_group() {
        for is_asked in [false, true] {
            let mut leader = leader("sleep 100 & sleep 100");
            if is_asked {
                leader.exit = Exit::Ask;
            }
            let group = leader.group();
            assert!(!leader.has_exited());
            assert_eq!(leader.collect().unwrap().signal(), Some(9));
            assert!(is_gone(group));
            assert_eq!(leader.collect(), None);
        }
    }
}
