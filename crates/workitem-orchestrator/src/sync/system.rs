//! Threads, channels and time of the system.

use std::io;
use std::thread::{Builder, Scope};
use std::time::Duration;

pub use std::sync::Mutex;
pub use std::sync::atomic::{AtomicU8, Ordering};
pub use std::thread::{scope, sleep};

pub use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

pub use std::time::Instant;

/// The time that only goes forward.
pub fn instant() -> Instant {
    Instant::now()
}

/// Starts a thread of the scope.
pub fn spawn<'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: String,
    work: impl FnOnce() + Send + 'scope,
) -> io::Result<()> {
    Builder::new().name(name).spawn_scoped(scope, work).map(drop)
}

/// The first of `values`, unless a message comes first or the time is up.
pub fn first<T>(values: &Receiver<T>, messages: &Receiver<()>, patience: Duration) -> Option<T> {
    crossbeam_channel::select! {
        recv(values) -> value => value.ok(),
        recv(messages) -> _ => None,
        default(patience) => None,
    }
}
