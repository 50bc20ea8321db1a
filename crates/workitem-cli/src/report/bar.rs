//! A progress bar on a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use workitem_orchestrator::{Event, Progress, Summary};
use workitem_store::Job;

use super::plain::Lines;
use super::{Teller, rate};
use crate::durations::short;
use crate::text::one_line;

/// How often to draw it.
const EVERY: Duration = Duration::from_millis(100);
/// Running items that are named.
const NAMED: usize = 3;

/// A bar with rate, time left, counts by state and the items that run longest.
pub struct Bar {
    bar: ProgressBar,
    lines: Lines,
}

impl Bar {
    pub fn new(job: &Job, store_flag: &str) -> Self {
        let bar = ProgressBar::new(0);
        let style = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} {msg}");
        bar.set_style(style.expect("the template is fixed").progress_chars("━━─"));
        bar.set_prefix(one_line(&job.name, 20));
        Self { bar, lines: Lines::new(job, store_flag) }
    }

    /// The same bar, for whoever prints beside it.
    pub fn handle(&self) -> ProgressBar {
        self.bar.clone()
    }
}

impl Teller for Bar {
    fn event(&mut self, event: &Event<'_>) {
        for line in self.lines.event(event) {
            self.bar.suspend(|| tell!("{line}"));
        }
    }

    fn every(&self) -> Option<Duration> {
        Some(EVERY)
    }

    fn progress(&mut self, progress: &Progress<'_>) {
        let counts = &progress.counts.by_status;
        let (settled, total) = (progress.counts.settled(), counts.total());
        let (rate, eta) = rate(progress.recorded, total - settled, progress.since.elapsed());
        let mut parts = vec![format!("{rate:.1}/s")];
        parts.extend(eta.map(|eta| format!("{} left", short(eta))));
        if counts.dead_lettered > 0 {
            parts.push(format!("{} dead", counts.dead_lettered));
        }
        parts.push(format!("{} running", progress.running.len()));
        let longest = progress.running.iter().filter(|running| running.since.elapsed().as_secs() > 0);
        parts.extend(longest.take(NAMED).map(|running| {
            format!("{} {}", one_line(running.item.as_str(), 16), short(running.since.elapsed()))
        }));
        self.bar.set_message(parts.join(", "));
        self.bar.set_length(total as u64);
        self.bar.set_position(settled as u64);
    }

    fn summary(&mut self, summary: &Summary) {
        self.bar.finish_and_clear();
        for line in self.lines.summary(summary) {
            tell!("{line}");
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
