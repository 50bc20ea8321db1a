//! `poll` with a deadline.

use std::time::Instant;

use rustix::event::{PollFd, Timespec, poll};
use rustix::io::Errno;

/// Waits until one of `fds` is ready or `deadline` has passed; how many are ready. Signals do not end it.
pub(crate) fn poll_until(fds: &mut [PollFd<'_>], deadline: Option<Instant>) -> Result<usize, Errno> {
    loop {
        let timeout = deadline
            .map(|deadline| deadline.saturating_duration_since(Instant::now()))
            // What does not fit into the kernel's type is longer than anybody waits.
            .and_then(|left| Timespec::try_from(left).ok());
        match poll(fds, timeout.as_ref()) {
            Err(Errno::INTR) => {}
            done => return done,
        }
    }
}
