//! What a run tells while it goes on: items' output on standard output, everything else on standard error.

mod bar;
mod events;
mod plain;

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::time::Duration;

use indicatif::ProgressBar;
use workitem_orchestrator::{Event, Observer, Outcome, Progress, Stop, Summary};
use workitem_store::{BlobName, Job, JobId, Store, StreamKind};

use self::bar::Bar;
use self::events::Events;
use self::plain::Plain;
use crate::args::RunArgs;
use crate::error::Error;
use crate::printer::{InOrder, Printer};

/// Tells how a run goes, on standard error.
trait Teller {
    fn event(&mut self, event: &Event<'_>);
    fn every(&self) -> Option<Duration>;
    fn progress(&mut self, progress: &Progress<'_>);
    fn summary(&mut self, summary: &Summary);
}

/// Tells nothing: `--quiet`.
impl Teller for () {
    fn event(&mut self, _: &Event<'_>) {}
    fn every(&self) -> Option<Duration> {
        None
    }
    fn progress(&mut self, _: &Progress<'_>) {}
    fn summary(&mut self, _: &Summary) {}
}

/// Prints the output of completed items and tells how the run goes.
pub struct Reporter {
    store: Arc<dyn Store>,
    job: JobId,
    teller: Box<dyn Teller>,
    printer: Printer,
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
        let in_order = if keep_order { Some(InOrder::new(&*store, job.id)?) } else { None };
        let printer = Printer::start(store.clone(), drawn, stop)
            .map_err(|error| Error::system(format!("failed to start a thread: {error}")))?;
        Ok(Self { store, job: job.id, teller, printer, in_order, failed: None })
    }

    /// Waits until all output is printed, and tells how it went.
    pub fn finish(mut self, summary: Option<&Summary>) -> Result<(), Error> {
        let printed = self.printer.finish();
        if let Some(summary) = summary {
            self.teller.summary(summary);
        }
        self.failed.map_or(printed, Err)
    }

    fn print(&mut self, event: &Event<'_>) {
        let Event::Ended { seq, attempt, output, outcome, .. } = event else { return };
        let settled = match outcome {
            Outcome::Completed | Outcome::DeadLettered { .. } => true,
            Outcome::Retrying { .. } | Outcome::Interrupted => false,
        };
        match &mut self.in_order {
            Some(in_order) if settled => {
                if let Err(error) = in_order.settled(*seq, &*self.store, &self.printer) {
                    self.failed.get_or_insert(error.into());
                }
            }
            Some(_) => {}
            None => {
                if matches!(outcome, Outcome::Completed) {
                    let stream = StreamKind::Stdout;
                    let name = BlobName { job: self.job, seq: *seq, attempt: *attempt, stream };
                    self.printer.print(name, output.stdout.clone());
                }
            }
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

/// Items per second, and how long the rest takes at that rate.
pub fn rate(settled: usize, left: usize, elapsed: Duration) -> (f64, Option<Duration>) {
    #[expect(clippy::cast_precision_loss, reason = "a rate is shown with three digits")]
    let (settled, left) = (settled as f64, left as f64);
    let rate = if elapsed.is_zero() { 0.0 } else { settled / elapsed.as_secs_f64() };
    let eta = (rate > 0.0).then(|| Duration::try_from_secs_f64(left / rate).unwrap_or(Duration::MAX));
    (rate, eta)
}
