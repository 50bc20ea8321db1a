//! Ctrl-C, SIGTERM and a closed terminal (unless the program was started to outlive it, as by `nohup`).
//!
//! While input is being stored, any of them ends the program at once: each batch is one transaction, so
//! nothing is half stored. While items run, they stop the orchestrator, more firmly each time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::{fs, io};

use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;
use workitem_orchestrator::{Stop, Stopping};

use crate::exit::Exit;

/// A file that may not grow any more is an error of the write, which says which file that is, and not the end of the
/// program. A handler and not to ignore it: agents would inherit that.
pub fn outlive_file_limits() {
    // If it cannot be had, the signal ends the program: what was acknowledged is durable all the same.
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
}

/// Listens for signals, from a thread of its own, until the program ends.
#[derive(Clone)]
pub struct Listener {
    /// Stops the orchestrator.
    pub stop: Stop,
    /// Stops the one run that goes on of several.
    current: Arc<Mutex<Option<Stop>>>,
    running: Arc<AtomicBool>,
}

impl Listener {
    /// Starts to listen. Until [`run`](Self::run) is called, `interrupted` is printed and the program ends.
    pub fn start(interrupted: String) -> io::Result<Self> {
        let listener =
            Self { stop: Stop::new()?, current: Arc::default(), running: Arc::new(AtomicBool::new(false)) };
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        if !is_ignored(SIGHUP) {
            signals.add_signal(SIGHUP)?;
        }
        if is_ignored(SIGCHLD) {
            // Inherited, and it would keep the exit codes of agents from us. Any handler ends that.
            signal_hook::flag::register(SIGCHLD, Arc::new(AtomicBool::new(false)))?;
        }
        let listening = listener.clone();
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for signal in signals.forever() {
                listening.heard(signal, &interrupted);
            }
        })?;
        Ok(listener)
    }

    /// Items run from now on.
    pub fn run(&self) {
        self.running.store(true, Ordering::Release);
    }

    fn heard(&self, signal: i32, interrupted: &str) {
        if !self.running.load(Ordering::Acquire) {
            tell!("{interrupted}");
            std::process::exit(Exit::Interrupted as i32);
        }
        let stopping = match (self.stop.stopping(), signal) {
            (Stopping::No, SIGTERM) => Stopping::Drain,
            (Stopping::No | Stopping::Drain, _) => Stopping::Interrupt,
            (Stopping::Interrupt | Stopping::Kill, _) => Stopping::Kill,
        };
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        raise(&self.stop, stopping);
        if let Some(current) = &*current {
            raise(current, stopping);
        }
    }

    /// A handle for the next of several runs: what signals ask for, they ask of it, too. The run may also stop by itself,
    /// which is not asked of the others.
    ///
    /// # Errors
    ///
    /// The system's error if it has no file descriptors left.
    pub fn next_run(&self) -> io::Result<Stop> {
        let stop = Stop::new()?;
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        raise(&stop, self.stop.stopping());
        *current = Some(stop.clone());
        Ok(stop)
    }
}

fn raise(stop: &Stop, stopping: Stopping) {
    match stopping {
        Stopping::No => {}
        Stopping::Drain => stop.drain(),
        Stopping::Interrupt => stop.interrupt(),
        Stopping::Kill => stop.kill(),
    }
}

/// Whether the program was started with this signal ignored. Found out on Linux only.
fn is_ignored(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}
