//! A progress bar on a terminal.

use std::time::Duration;

use indicatif::ProgressBar;
use workitem_orchestrator::{Event, Progress, Summary};
use workitem_store::Job;

use super::causes::Causes;
use super::meter::Meter;
use super::plain::Lines;
use super::{Teller, reading};

/// How often to draw it.
const EVERY: Duration = Duration::from_millis(100);

/// A bar with rate, time left, counts by state and the items that run longest.
pub struct Bar {
    meter: Meter,
    lines: Lines,
}

impl Bar {
    pub fn new(job: &Job, store_flag: &str) -> Self {
        Self { meter: Meter::new(job), lines: Lines::new(job, store_flag) }
    }

    /// The same bar, for whoever prints beside it.
    pub fn handle(&self) -> ProgressBar {
        self.meter.handle()
    }
}

impl Teller for Bar {
    fn event(&mut self, event: &Event<'_>) {
        for line in self.lines.event(event) {
            self.meter.suspend(|| tell!("{line}"));
        }
    }

    fn every(&self) -> Option<Duration> {
        Some(EVERY)
    }

    fn progress(&mut self, progress: &Progress<'_>) {
        self.meter.show(&reading(progress));
    }

    fn summary(&mut self, summary: &Summary, causes: &Causes) {
        self.meter.clear();
        for line in self.lines.summary(summary, causes) {
            tell!("{line}");
        }
    }
}
