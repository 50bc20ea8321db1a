//! Health and metrics of a worker, for those who watch many: `/health` and `/metrics`, by HTTP.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use tiny_http::{Header, Response, Server};
use workitem_orchestrator::{Event, Observer, Outcome, Progress};
use workitem_store::JobCounts;
use workitem_types::StatusKind;

/// How often a worker looks how far a job is.
const LOOK: Duration = Duration::from_secs(2);
/// A worker that was not heard of by its store for longer is not well.
const WELL: Duration = Duration::from_secs(90);

/// What a worker has done, and how it is.
#[derive(Clone, Default)]
pub struct Metrics(Arc<Shared>);

struct Shared {
    attempts: Family<Ended, Counter>,
    seconds: Histogram,
    fenced: Counter,
    recovered: Counter,
    running: Gauge,
    slots: Gauge,
    errors: Counter,
    reached: Gauge,
    items: Family<Items, Gauge>,
    /// When the store last answered, in milliseconds since `began`; 0 for not yet.
    answered: AtomicU64,
    began: Instant,
    /// Why it does not.
    trouble: Mutex<Option<String>>,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            attempts: Family::default(),
            // From a millisecond to five hours.
            seconds: Histogram::new(exponential_buckets(0.001, 4.0, 13)),
            fenced: Counter::default(),
            recovered: Counter::default(),
            running: Gauge::default(),
            slots: Gauge::default(),
            errors: Counter::default(),
            reached: Gauge::default(),
            items: Family::default(),
            answered: AtomicU64::new(0),
            began: Instant::now(),
            trouble: Mutex::default(),
        }
    }
}

/// An attempt that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    outcome: How,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "they are printed as they are")]
enum How {
    completed,
    retrying,
    dead_lettered,
    interrupted,
}

/// Items of a job in a state.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Items {
    job: String,
    state: &'static str,
}

impl Metrics {
    /// So many items can run at a time.
    pub fn slots(&self, slots: usize) {
        self.0.slots.set(wide(slots));
    }

    /// The store has answered.
    pub fn answered(&self) {
        let since = u64::try_from(self.0.began.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
        self.0.answered.store(since, Ordering::Relaxed);
        self.0.reached.set(1);
        *self.0.trouble.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The store has not.
    pub fn failed(&self, why: &str) {
        self.0.errors.inc();
        self.0.reached.set(0);
        *self.0.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(why.to_owned());
    }

    /// How far a job is.
    pub fn job(&self, job: &str, counts: &JobCounts) {
        for kind in StatusKind::ALL {
            let items = Items { job: job.to_owned(), state: name(kind) };
            self.0.items.get_or_create(&items).set(wide(*counts.clone().of(kind)));
        }
    }

    /// Whether the store has answered since it last failed.
    pub fn is_well(&self) -> bool {
        self.0.reached.get() == 1
    }

    /// What is wrong, if anything is.
    fn illness(&self) -> Option<String> {
        let trouble = self.0.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let answered = Duration::from_millis(self.0.answered.load(Ordering::Relaxed));
        let silent = self.0.began.elapsed().saturating_sub(answered);
        trouble.or_else(|| {
            (silent > WELL).then(|| format!("the store has not answered for {} s", silent.as_secs()))
        })
    }

    fn text(&self) -> String {
        let (mut registry, shared) = (Registry::with_prefix("workitem"), &self.0);
        registry.register("attempts", "Attempts that have ended", shared.attempts.clone());
        registry.register_with_unit(
            "attempt",
            "How long attempts took",
            Unit::Seconds,
            shared.seconds.clone(),
        );
        registry.register("fenced", "Attempts whose item others had taken over", shared.fenced.clone());
        registry.register(
            "recovered",
            "Items of lost workers that were put in order",
            shared.recovered.clone(),
        );
        registry.register("running", "Items that run", shared.running.clone());
        registry.register("slots", "Items that can run at a time", shared.slots.clone());
        registry.register("store_errors", "Failures of the store", shared.errors.clone());
        registry.register("store_reached", "1 if the store answered last time", shared.reached.clone());
        registry.register("items", "Items of a job when this worker last looked", shared.items.clone());
        let mut text = String::new();
        encode(&mut text, &registry).expect("a string takes everything");
        text
    }

    /// Answers at this address from now on.
    ///
    /// # Errors
    ///
    /// If the address cannot be had.
    pub fn serve(&self, address: SocketAddr) -> io::Result<SocketAddr> {
        let server = Server::http(address).map_err(io::Error::other)?;
        let bound = server.server_addr().to_ip().unwrap_or(address);
        let metrics = self.clone();
        thread::Builder::new().name("metrics".to_owned()).spawn(move || {
            for request in server.incoming_requests() {
                let (status, kind, text) = metrics.answer(request.url());
                let kind = Header::from_bytes("Content-Type", kind).expect("it is one");
                // Who asked may be gone.
                let _ =
                    request.respond(Response::from_string(text).with_status_code(status).with_header(kind));
            }
        })?;
        Ok(bound)
    }

    fn answer(&self, url: &str) -> (u16, &'static str, String) {
        const PLAIN: &str = "text/plain; charset=utf-8";
        match url.split('?').next().unwrap_or_default() {
            "/metrics" => (200, "application/openmetrics-text; version=1.0.0; charset=utf-8", self.text()),
            "/health" => match self.illness() {
                None => (200, PLAIN, "ok\n".to_owned()),
                Some(illness) => (503, PLAIN, format!("{illness}\n")),
            },
            _ => (404, PLAIN, "there is /health and /metrics\n".to_owned()),
        }
    }
}

fn wide(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

const fn name(kind: StatusKind) -> &'static str {
    match kind {
        StatusKind::Pending => "pending",
        StatusKind::InProgress => "in_progress",
        StatusKind::Completed => "completed",
        StatusKind::Failed => "failed",
        StatusKind::DeadLettered => "dead_lettered",
    }
}

/// Counts what happens in a run of a job.
pub struct Watch<'a> {
    pub metrics: &'a Metrics,
    pub job: &'a str,
}

impl Observer for Watch<'_> {
    fn event(&mut self, event: &Event<'_>) {
        let shared = &self.metrics.0;
        self.metrics.answered();
        match event {
            Event::Recovered { items, .. } => {
                shared.recovered.inc_by((items.interrupted + items.given_up + items.settled) as u64);
            }
            Event::Ended { took, outcome, .. } => {
                let outcome = match outcome {
                    Outcome::Completed => How::completed,
                    Outcome::Retrying { .. } => How::retrying,
                    Outcome::DeadLettered { .. } => How::dead_lettered,
                    Outcome::Interrupted => How::interrupted,
                };
                shared.attempts.get_or_create(&Ended { outcome }).inc();
                shared.seconds.observe(took.as_secs_f64());
            }
            Event::Fenced { .. } => {
                shared.fenced.inc();
            }
            _ => {}
        }
    }

    fn every(&self) -> Option<Duration> {
        Some(LOOK)
    }

    fn progress(&mut self, progress: &Progress<'_>) {
        self.metrics.answered();
        self.metrics.0.running.set(wide(progress.running.len()));
        self.metrics.job(self.job, progress.counts);
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.metrics.0.running.set(0);
    }
}

#[cfg(test)]
mod tests {
    use workitem_store::{AttemptOutput, Recovered};

    use super::*;

    #[test]
    fn what_happens_is_counted() {
        let metrics = Metrics::default();
        metrics.slots(3);
        let mut watch = Watch { metrics: &metrics, job: "census" };
        let items = Recovered { interrupted: 2, given_up: 1, settled: 0 };
        watch.event(&Event::Recovered { orphans: 0, items });
        let (item, output) = ("1".into(), AttemptOutput::default());
        for outcome in [Outcome::Completed, Outcome::Completed, Outcome::Interrupted] {
            let took = Duration::from_millis(2);
            watch.event(&Event::Ended { item: &item, seq: 1, attempt: 1, took, output: &output, outcome });
        }
        let mut counts = JobCounts::default();
        *counts.of(StatusKind::Pending) = 7;
        watch.progress(&Progress { counts: &counts, running: &[], recorded: 3, since: Instant::now() });
        let (status, _, text) = metrics.answer("/metrics?all");
        assert_eq!(status, 200);
        for line in [
            "workitem_attempts_total{outcome=\"completed\"} 2",
            "workitem_attempts_total{outcome=\"interrupted\"} 1",
            "workitem_attempt_seconds_count 3",
            "workitem_recovered_total 3",
            "workitem_slots 3",
            "workitem_store_reached 1",
            "workitem_items{job=\"census\",state=\"pending\"} 7",
        ] {
            assert!(text.lines().any(|told| told == line), "{line} in {text}");
        }
    }

    #[test]
    fn who_cannot_reach_the_store_is_not_well() {
        let metrics = Metrics::default();
        metrics.answered();
        assert_eq!(metrics.answer("/health"), (200, "text/plain; charset=utf-8", "ok\n".to_owned()));
        metrics.failed("connection refused");
        let (status, _, text) = metrics.answer("/health");
        assert_eq!((status, &*text), (503, "connection refused\n"));
        metrics.answered();
        assert_eq!(metrics.answer("/health").0, 200);
        assert_eq!(metrics.answer("/").0, 404);
    }
}
