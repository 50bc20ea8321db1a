//! Threads, channels and time as a scheduler has them. A wait with a time-out ends when the scheduler says so, and takes
//! all of its time then; nothing else takes any.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::Condvar;
use shuttle::thread::{Scope, yield_now};

pub use shuttle::sync::Mutex;
pub use shuttle::sync::atomic::{AtomicU8, Ordering};
pub use shuttle::thread::scope;

std::thread_local! {
    /// All threads of a schedule are one thread of the system.
    static PASSED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// The time that only goes forward.
pub fn instant() -> Instant {
    static ZERO: OnceLock<Instant> = OnceLock::new();
    *ZERO.get_or_init(Instant::now) + PASSED.get()
}

/// Lets others go on, and time pass.
pub fn sleep(time: Duration) {
    PASSED.set(PASSED.get() + time);
    yield_now();
}

/// Starts a thread of the scope.
#[expect(clippy::unnecessary_wraps, reason = "as it is with the system's threads")]
pub fn spawn<'scope>(
    scope: &'scope Scope<'scope, '_>,
    _: String,
    work: impl FnOnce() + Send + 'scope,
) -> io::Result<()> {
    scope.spawn(work);
    Ok(())
}

/// The first of `values`, unless a message comes first or the time is up.
pub fn first<T>(values: &Receiver<T>, messages: &Receiver<()>, patience: Duration) -> Option<T> {
    loop {
        if let Ok(value) = values.try_recv() {
            return Some(value);
        }
        if messages.try_recv().is_ok() {
            return None;
        }
        if thread_rng().gen_ratio(1, 8) {
            sleep(patience);
            return None;
        }
        yield_now();
    }
}

/// A channel without a limit.
pub fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    bounded(usize::MAX)
}

/// A channel that holds so many values.
pub fn bounded<T>(most: usize) -> (Sender<T>, Receiver<T>) {
    let queue = Queue { values: VecDeque::new(), most, senders: 1, receivers: 1 };
    let shared = Arc::new((Mutex::new(queue), Condvar::new()));
    (Sender(Arc::clone(&shared)), Receiver(shared))
}

type Shared<T> = Arc<(Mutex<Queue<T>>, Condvar)>;

#[derive(Debug)]
struct Queue<T> {
    values: VecDeque<T>,
    most: usize,
    senders: usize,
    receivers: usize,
}

/// As those of `crossbeam-channel`.
#[derive(Debug)]
pub struct Sender<T>(Shared<T>);

#[derive(Debug)]
pub struct Receiver<T>(Shared<T>);

/// There is nobody at the other end, or no room, or nothing there.
#[derive(Debug)]
pub struct Failed;

impl<T> Sender<T> {
    pub fn send(&self, value: T) -> Result<(), Failed> {
        self.try_send(value)
    }

    pub fn try_send(&self, value: T) -> Result<(), Failed> {
        let mut queue = self.0.0.lock().expect("nothing panics with it");
        if queue.receivers == 0 || queue.values.len() == queue.most {
            return Err(Failed);
        }
        queue.values.push_back(value);
        self.0.1.notify_one();
        Ok(())
    }
}

impl<T> Receiver<T> {
    pub fn recv(&self) -> Result<T, Failed> {
        let mut queue = self.0.0.lock().expect("nothing panics with it");
        loop {
            if let Some(value) = queue.values.pop_front() {
                return Ok(value);
            }
            if queue.senders == 0 {
                return Err(Failed);
            }
            queue = self.0.1.wait(queue).expect("nothing panics with it");
        }
    }

    pub fn try_recv(&self) -> Result<T, Failed> {
        self.0.0.lock().expect("nothing panics with it").values.pop_front().ok_or(Failed)
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.0.lock().expect("nothing panics with it").senders += 1;
        Self(Arc::clone(&self.0))
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        self.0.0.lock().expect("nothing panics with it").receivers += 1;
        Self(Arc::clone(&self.0))
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.0.lock().expect("nothing panics with it").senders -= 1;
        self.0.1.notify_all();
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.0.0.lock().expect("nothing panics with it").receivers -= 1;
    }
}
