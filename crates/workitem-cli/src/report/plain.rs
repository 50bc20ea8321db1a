//! Lines for people: what failed, how far it is now and then, and how it ended.

use std::time::Duration;

use workitem_orchestrator::{Event, Outcome, Progress, Stopping, Summary};
use workitem_store::{Control, Job};

use super::causes::Causes;
use super::{Teller, reading};
use crate::durations::short;
use crate::signature::Group;
use crate::text::{one_line, plural, quoted};

/// Failures told in full; the rest is in `dlq list`.
const TOLD: usize = 10;
/// Slowest items told, and how slow the slowest must be to be worth it.
const SLOWEST: usize = 3;
const SLOW: Duration = Duration::from_secs(3);
/// How often to tell how far it is.
const EVERY: Duration = Duration::from_secs(10);

/// Plain lines on standard error.
pub struct Plain {
    pub lines: Lines,
}

impl Plain {
    pub fn new(job: &Job, store_flag: &str) -> Self {
        Self { lines: Lines::new(job, store_flag) }
    }
}

impl Teller for Plain {
    fn event(&mut self, event: &Event<'_>) {
        for line in self.lines.event(event) {
            tell!("{line}");
        }
    }

    fn every(&self) -> Option<Duration> {
        Some(EVERY)
    }

    fn progress(&mut self, progress: &Progress<'_>) {
        tell!("{}: {}", self.lines.job, reading(progress));
    }

    fn summary(&mut self, summary: &Summary, causes: &Causes) {
        for line in self.lines.summary(summary, causes) {
            tell!("{line}");
        }
    }
}

/// The wording, shared with the bar.
pub struct Lines {
    job: String,
    store_flag: String,
    failures: usize,
}

impl Lines {
    pub fn new(job: &Job, store_flag: &str) -> Self {
        Self { job: job.name.clone(), store_flag: store_flag.to_owned(), failures: 0 }
    }

    /// What is told at once.
    pub fn event(&mut self, event: &Event<'_>) -> Vec<String> {
        match event {
            Event::Recovered { orphans, items } => {
                let mut lines = Vec::new();
                if *orphans > 0 {
                    let processes = plural(*orphans, "process", "processes");
                    lines.push(format!("{}: ended {processes} that had outlived the last run", self.job));
                }
                if items.interrupted > 0 {
                    let items = plural(items.interrupted, "item", "items");
                    lines.push(format!(
                        "{}: put back {items} that the last run had left in progress",
                        self.job
                    ));
                }
                if items.given_up > 0 {
                    let items = plural(items.given_up, "item", "items");
                    lines.push(format!(
                        "{}: gave up {items} that had been there at too many crashes",
                        self.job
                    ));
                }
                lines
            }
            Event::Controlled { control } => vec![match control {
                Control::Run => format!("{}: goes on", self.job),
                Control::Pause => format!("{}: paused; go on with: {}", self.job, self.command("unpause")),
                Control::Cancel => format!("{}: cancelled", self.job),
            }],
            Event::Ended { item, attempt, output, outcome, .. } => {
                let mut lines = self.failure(item.as_str(), *attempt, outcome);
                if output.stdout.is_cut() {
                    let (kept, total) = (output.stdout.kept_len(), output.stdout.total);
                    lines.push(format!("item {item}: kept {kept} of {total} bytes of its output"));
                }
                lines
            }
            Event::Fenced { item, .. } => {
                vec![format!("item {item} was taken over by another process; nothing was recorded")]
            }
            _ => Vec::new(),
        }
    }

    fn failure(&mut self, item: &str, attempt: usize, outcome: &Outcome<'_>) -> Vec<String> {
        let line = match outcome {
            Outcome::Completed | Outcome::Interrupted => return Vec::new(),
            Outcome::Retrying { error, .. } => format!("item {item}: attempt {attempt} failed: {error}"),
            Outcome::DeadLettered { error, .. } => {
                format!("item {item}: given up after attempt {attempt}: {error}")
            }
        };
        self.failures += 1;
        match self.failures {
            ..=TOLD => vec![line],
            n if n == TOLD + 1 => {
                vec!["further failures are not told one by one".to_owned()]
            }
            _ => Vec::new(),
        }
    }

    /// How it ended, and what to do next.
    pub fn summary(&self, summary: &Summary, causes: &Causes) -> Vec<String> {
        let (counts, job) = (&summary.counts.by_status, &self.job);
        let took = short(summary.took);
        let mut lines = Vec::new();
        if summary.counts.is_finished() {
            // A dead letter that was dealt with is the same work as the successor that completed.
            let mended = counts.dead_lettered.saturating_sub(summary.counts.open_letters);
            let done = format!("{} of {} items completed", counts.completed, counts.total() - mended);
            lines.push(format!("{job}: {done}, {} of them in this run, in {took}", summary.completed));
        } else {
            let left = counts.total() - summary.counts.settled();
            let how = match summary.stopping {
                Stopping::No => "ended",
                _ if summary.cancelled => "cancelled",
                _ if summary.rule.is_some() => "stopped",
                Stopping::Drain | Stopping::Interrupt | Stopping::Kill => "interrupted",
            };
            lines.push(format!(
                "{job}: {how} after {took} with {} of {} items completed, {left} left",
                counts.completed,
                counts.total()
            ));
            lines.extend(summary.rule.map(|rule| format!("  {rule}, which is as many as may be")));
            let (go_on, verb) =
                if summary.cancelled { ("take that back", "unpause") } else { ("go on", "resume") };
            lines.push(format!("  {go_on} with: {}", self.command(verb)));
        }
        lines.extend(slowest(summary));
        if summary.counts.skipped > 0 {
            let skipped = plural(summary.counts.skipped, "line", "lines");
            lines.push(format!("  {skipped} could not be items: {} --skipped", self.command("items")));
        }
        if summary.counts.open_letters > 0 {
            let letters = plural(summary.counts.open_letters, "item was", "items were");
            lines.push(format!("  {letters} given up: {}", self.command("dlq list")));
            lines.extend(self.causes(causes));
            lines.push(format!("  once the cause is mended: {}", self.command("dlq retry")));
            if let [largest, _, ..] = &causes.largest[..] {
                lines.push(format!(
                    "  or for one cause: {} --group {}",
                    self.command("dlq retry"),
                    largest.name
                ));
            }
        }
        lines
    }

    /// What was given up by what it has in common, the largest groups one by one.
    fn causes(&self, causes: &Causes) -> Vec<String> {
        let mut lines = Vec::new();
        lines.extend(causes.among_first.map(|first| format!("    of the first {first} of them:")));
        let widest = causes.largest.first().map_or(0, |group| group.letters.len().to_string().len());
        for Group { name, letters, signature, .. } in &causes.largest {
            lines.push(format!("    {:>widest$}  {name}  {}", letters.len(), one_line(signature, 90)));
        }
        if causes.others() > 0 {
            let others = plural(causes.others(), "group", "groups");
            lines.push(format!("    and {others} more: {}", self.command("dlq groups")));
        }
        lines
    }

    fn command(&self, verb: &str) -> String {
        format!("workitem {verb} {}{}", quoted(&self.job), self.store_flag)
    }
}

/// What took longest, if somebody had to wait for it and it is not what all of them took.
fn slowest(summary: &Summary) -> Option<String> {
    let (_, longest) = summary.slowest.first()?;
    let average = summary.average();
    if *longest < SLOW || *longest < average * 2 {
        return None;
    }
    let items = summary.slowest.iter().take(SLOWEST);
    let items: Vec<String> =
        items.map(|(item, took)| format!("{} took {}", one_line(item.as_str(), 40), short(*took))).collect();
    Some(format!("  slowest: {}; {} on average", items.join(", "), short(average)))
}
