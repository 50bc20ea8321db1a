//! What goes on inside, on standard error: `-v` and `WORKITEM_LOG`. It tells ids and never what items hold.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use indicatif::{ProgressBar, WeakProgressBar};
use tracing_subscriber::EnvFilter;

use crate::error::Error;

/// What says what is to be told, where `-v` does not.
const VARIABLE: &str = "WORKITEM_LOG";

/// The bar that is to get out of the way.
static BAR: Mutex<Option<WeakProgressBar>> = Mutex::new(None);

/// Listens from now on, if anybody wants to hear: for people a line each, or JSON.
pub fn start(verbose: u8, as_json: bool) -> Result<(), Error> {
    let Some(filter) = filter(verbose)? else { return Ok(()) };
    let listener =
        tracing_subscriber::fmt().with_env_filter(filter).with_target(false).with_writer(|| Beside);
    let started = if as_json {
        listener.json().flatten_event(true).with_span_list(false).try_init()
    } else {
        listener.try_init()
    };
    started.map_err(|error| Error::system(format!("failed to listen to what goes on inside: {error}")))
}

/// Gets `bar` out of the way of what is told.
pub fn beside(bar: &ProgressBar) {
    *BAR.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar.downgrade());
}

/// What is to be told; nothing if nobody asked.
fn filter(verbose: u8) -> Result<Option<EnvFilter>, Error> {
    let wanted = match verbose {
        0 => std::env::var_os(VARIABLE).unwrap_or_default(),
        1 => "workitem_orchestrator=debug".into(),
        2 => "workitem_orchestrator=trace".into(),
        3.. => "trace".into(),
    };
    if wanted.is_empty() {
        return Ok(None);
    }
    let parsed = wanted.to_str().ok_or("it is not UTF-8".to_owned());
    let parsed =
        parsed.and_then(|wanted| EnvFilter::builder().parse(wanted).map_err(|error| error.to_string()));
    parsed.map(Some).map_err(|error| {
        let wanted = wanted.to_string_lossy();
        Error::usage(format!("`{wanted}` in {VARIABLE} does not say what to tell: {error}"))
            .next("such as `debug`, or `workitem_orchestrator=trace`")
    })
}

/// Standard error, beside the bar.
struct Beside;

impl Write for Beside {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let bar = BAR.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let tell = || {
            // As everywhere, nobody needs to listen.
            let _ = io::stderr().write_all(line);
        };
        match bar.and_then(|bar| bar.upgrade()) {
            Some(bar) => bar.suspend(tell),
            None => tell(),
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
