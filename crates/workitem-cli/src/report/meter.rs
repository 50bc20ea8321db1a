//! How far a job is, on a terminal's line or as text.

use std::fmt;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use workitem_store::Job;
use workitem_types::ItemId;

use crate::durations::short;
use crate::log;
use crate::text::one_line;

/// Running items that are named.
const NAMED: usize = 3;

/// How far a job is.
pub struct Reading {
    /// Items that will not change any more.
    pub settled: usize,
    pub total: usize,
    pub dead: usize,
    pub running: usize,
    /// Items per second.
    pub rate: f64,
    /// How long the rest takes at that rate.
    pub eta: Option<Duration>,
    /// What runs longest, and since when.
    pub longest: Vec<(ItemId, Duration)>,
    /// Where the job stands, if that is to be said.
    pub state: Option<&'static str>,
}

impl Reading {
    /// Everything but the items that are settled.
    fn parts(&self) -> Vec<String> {
        let mut parts: Vec<String> = self.state.map(str::to_owned).into_iter().collect();
        parts.push(format!("{:.1}/s", self.rate));
        parts.extend(self.eta.map(|eta| format!("{} left", short(eta))));
        if self.dead > 0 {
            parts.push(format!("{} dead-lettered", self.dead));
        }
        parts.push(format!("{} running", self.running));
        parts
    }
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} done, {}", self.settled, self.total, self.parts().join(", "))
    }
}

/// A line that shows readings, until it is dropped.
pub struct Meter(ProgressBar);

impl Meter {
    pub fn new(job: &Job) -> Self {
        let bar = ProgressBar::new(0);
        let style = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} {msg}");
        bar.set_style(style.expect("the template is fixed").progress_chars("━━─"));
        bar.set_prefix(one_line(&job.name, 20));
        log::beside(&bar);
        Self(bar)
    }

    /// The same bar, for whoever prints beside it.
    pub fn handle(&self) -> ProgressBar {
        self.0.clone()
    }

    pub fn show(&self, reading: &Reading) {
        let mut parts = reading.parts();
        let longest = reading.longest.iter().filter(|(_, since)| since.as_secs() > 0);
        parts.extend(
            longest
                .take(NAMED)
                .map(|(item, since)| format!("{} {}", one_line(item.as_str(), 16), short(*since))),
        );
        self.0.set_message(parts.join(", "));
        self.0.set_length(reading.total as u64);
        self.0.set_position(reading.settled as u64);
    }

    pub fn suspend(&self, tell: impl FnOnce()) {
        self.0.suspend(tell);
    }

    pub fn clear(&self) {
        self.0.finish_and_clear();
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.clear();
    }
}
