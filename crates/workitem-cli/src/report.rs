//! What a run tells while it goes on: items' output on standard output, everything else on standard error.

mod bar;
mod causes;
mod events;
mod meter;
mod plain;

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::time::Duration;

use indicatif::ProgressBar;
use workitem_orchestrator::{Event, Observer, Outcome, Progress, Stop, Summary};
use workitem_store::{BlobName, Job, Store, StreamKind};

use self::bar::Bar;
use self::causes::Causes;
use self::events::Events;
pub use self::meter::{Meter, Reading};
use self::plain::Plain;
use crate::args::RunArgs;
use crate::error::Error;
use crate::printer::{InOrder, Printer};

/// Tells how a run goes, on standard error.
trait Teller {
    fn event(&mut self, event: &Event<'_>);
    fn every(&self) -> Option<Duration>;
    fn progress(&mut self, progress: &Progress<'_>);
    fn summary(&mut self, summary: &Summary, causes: &Causes);
}

/// Tells nothing: `--quiet`.
impl Teller for () {
    fn event(&mut self, _: &Event<'_>) {}
    fn every(&self) -> Option<Duration> {
        None
    }
    fn progress(&mut self, _: &Progress<'_>) {}
    fn summary(&mut self, _: &Summary, _: &Causes) {}
}

/// Prints the output of completed items and tells how the run goes.
pub struct Reporter {
    store: Arc<dyn Store>,
    job: Job,
    /// Nobody is told anything.
    quiet: bool,
    teller: Box<dyn Teller>,
    printer: Printer,
    keep_order: bool,
    in_order: Option<InOrder>,
    failed: Option<Error>,
}

impl Reporter {
    /// Starts to report on a run of `job`. `store_flag` is what commands that are suggested need to find
    /// the same store.
    pub fn start(
        store: Arc<dyn Store>,
        job: &Job,
        args: &RunArgs,
        keep_order: bool,
        stop: Stop,
        store_flag: &str,
    ) -> Result<Self, Error> {
        let mut drawn = ProgressBar::hidden();
        let teller: Box<dyn Teller> = if args.quiet {
            Box::new(())
        } else if args.json {
            Box::new(Events::new(job))
        } else if io::stderr().is_terminal() {
            let bar = Bar::new(job, store_flag);
            drawn = bar.handle();
            Box::new(bar)
        } else {
            Box::new(Plain::new(job, store_flag))
        };
        let printer = Printer::start(store.clone(), drawn, stop)
            .map_err(|error| Error::limits(format!("failed to start a thread: {error}")))?;
        Ok(Self {
            store,
            job: job.clone(),
            quiet: args.quiet,
            teller,
            printer,
            keep_order,
            in_order: None,
            failed: None,
        })
    }

    /// Waits until all output is printed, and tells how it went.
    pub fn finish(mut self, summary: Option<&Summary>) -> Result<(), Error> {
        let waiting = self.in_order.take().map(|order| order.finish(&*self.store, &mut self.printer));
        self.note(waiting.unwrap_or(Ok(())).map_err(Into::into));
        let printed = self.printer.finish();
        let mut failed = self.failed;
        if let Some(summary) = summary.filter(|_| !self.quiet) {
            let causes = Causes::find(&*self.store, &self.job, summary.counts.open_letters);
            let causes = causes.unwrap_or_else(|error| {
                failed.get_or_insert(error);
                Causes::default()
            });
            self.teller.summary(summary, &causes);
        }
        failed.map_or(printed, Err)
    }

    fn print(&mut self, event: &Event<'_>) {
        match event {
            // The first event of a run: nothing was claimed yet, and what was left behind is in order. Where a store is
            // shared, more may come of what others leave meanwhile; the order stays.
            Event::Recovered { .. } if self.keep_order && self.in_order.is_none() => {
                match InOrder::new(&*self.store, self.job.id) {
                    Ok(in_order) => self.in_order = Some(in_order),
                    Err(error) => self.note(Err(error.into())),
                }
            }
            Event::Ended { seq, attempt, output, outcome, .. } => match outcome {
                Outcome::Completed if self.keep_order => self.settled(*seq, Some(*attempt)),
                Outcome::Completed => {
                    let stream = StreamKind::Stdout;
                    let name = BlobName { job: self.job.id, seq: *seq, attempt: *attempt, stream };
                    self.printer.print(name, output.stdout.clone());
                }
                Outcome::DeadLettered { .. } => self.settled(*seq, None),
                Outcome::Retrying { .. } | Outcome::Interrupted => {}
            },
            // Whoever took it over prints it.
            Event::Fenced { seq, .. } => self.settled(*seq, None),
            _ => {}
        }
    }

    fn settled(&mut self, seq: u64, completed: Option<usize>) {
        if let Some(in_order) = &mut self.in_order {
            let printed = in_order.settled(seq, completed, &*self.store, &mut self.printer);
            self.note(printed.map_err(Into::into));
        }
    }

    /// Keeps the first error, to be told at the end.
    fn note(&mut self, done: Result<(), Error>) {
        if let Err(error) = done {
            self.failed.get_or_insert(error);
        }
    }
}

impl Observer for Reporter {
    fn event(&mut self, event: &Event<'_>) {
        self.print(event);
        self.teller.event(event);
    }

    fn every(&self) -> Option<Duration> {
        self.teller.every()
    }

    fn progress(&mut self, progress: &Progress<'_>) {
        self.teller.progress(progress);
    }
}

/// How far a run is.
fn reading(progress: &Progress<'_>) -> Reading {
    let counts = &progress.counts.by_status;
    let (settled, total) = (progress.counts.settled(), counts.total());
    let (rate, eta) = rate(progress.recorded, total - settled, progress.since.elapsed());
    let longest = progress.running.iter().map(|running| (running.item.clone(), running.since.elapsed()));
    Reading {
        settled,
        total,
        dead: counts.dead_lettered,
        running: progress.running.len(),
        rate,
        eta,
        longest: longest.collect(),
        state: None,
    }
}

/// Items per second, and how long the rest takes at that rate.
pub fn rate(settled: usize, left: usize, elapsed: Duration) -> (f64, Option<Duration>) {
    #[expect(clippy::cast_precision_loss, reason = "a rate is shown with three digits")]
    let (settled, left) = (settled as f64, left as f64);
    let rate = if elapsed.is_zero() { 0.0 } else { settled / elapsed.as_secs_f64() };
    let eta = (rate > 0.0).then(|| Duration::try_from_secs_f64(left / rate).unwrap_or(Duration::MAX));
    (rate, eta)
}

#[cfg(test)]
mod tests {
    use workitem_orchestrator::now;
    use workitem_store::{AttemptOutput, MemoryStore, NewItem, NewJob, Recovered};

    use super::*;

    #[test]
    fn what_waits_for_its_turn_waits_on_when_others_have_left_something() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::shared(now));
        let new = NewJob { name: Some("job".into()), spec: serde_json::Value::Null, now: now() };
        let job = store.create_job(&new).unwrap();
        let items = ["1", "2"].map(|id| NewItem { id: id.into(), payload: id.into() });
        store.submit(job.id, &items).unwrap();
        let args = RunArgs { quiet: true, ..RunArgs::default() };
        let mut reporter = Reporter::start(store, &job, &args, true, Stop::new().unwrap(), "").unwrap();
        let recovered = Event::Recovered { orphans: 0, items: Recovered::default() };
        reporter.event(&recovered);
        let (item, output) = ("2".into(), AttemptOutput::default());
        let (took, outcome) = (Duration::ZERO, Outcome::Completed);
        reporter.event(&Event::Ended { item: &item, seq: 2, attempt: 1, took, output: &output, outcome });
        reporter.event(&recovered);
        assert_eq!(reporter.in_order.as_ref().unwrap().waiting(), [2]);
        reporter.finish(None).unwrap();
    }
}
