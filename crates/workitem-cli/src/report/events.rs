//! Events as JSON, a line each: `--json`. Fields are only ever added.

use std::time::Duration;

use serde_json::{Value, json};
use workitem_orchestrator::{Event, Outcome, Progress, Summary};
use workitem_store::{Control, Job, Recovered};

use super::Teller;
use super::causes::Causes;
use crate::letters::group_json;
use crate::views::counts_json;

/// How often to tell how far it is.
const EVERY: Duration = Duration::from_secs(1);

/// JSON lines on standard error.
pub struct Events {
    job: String,
}

impl Events {
    pub fn new(job: &Job) -> Self {
        Self { job: job.name.clone() }
    }

    fn tell(&self, event: &str, fields: Value) {
        let mut line = json!({ "event": event, "job": self.job });
        if let (Value::Object(line), Value::Object(fields)) = (&mut line, fields) {
            line.extend(fields);
        }
        tell!("{line}");
    }
}

impl Teller for Events {
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Recovered { orphans: 0, items } if *items == Recovered::default() => {}
            Event::Recovered { orphans, items } => self.tell(
                "recovered",
                json!({
                    "orphans": orphans,
                    "interrupted": items.interrupted,
                    "given_up": items.given_up,
                    "settled": items.settled,
                }),
            ),
            Event::Controlled { control } => {
                let name = match control {
                    Control::Run => "unpaused",
                    Control::Pause => "paused",
                    Control::Cancel => "cancelled",
                };
                self.tell(name, json!({}));
            }
            Event::Ended { item, attempt, took, output, outcome, .. } => {
                let mut fields = json!({
                    "id": item,
                    "attempt": attempt,
                    "seconds": took.as_secs_f64(),
                    "stdout_bytes": output.stdout.total,
                    "stderr_bytes": output.stderr.total,
                });
                let name = match outcome {
                    Outcome::Completed => "completed",
                    Outcome::Interrupted => "interrupted",
                    Outcome::Retrying { error, cause, run_at } => {
                        fields["error"] = (*error).into();
                        fields["cause"] = json!(cause);
                        fields["run_at"] = json!(run_at);
                        "retrying"
                    }
                    Outcome::DeadLettered { error, cause } => {
                        fields["error"] = (*error).into();
                        fields["cause"] = json!(cause);
                        "dead_lettered"
                    }
                };
                self.tell(name, fields);
            }
            Event::Fenced { item, .. } => self.tell("fenced", json!({ "id": item })),
            _ => {}
        }
    }

    fn every(&self) -> Option<Duration> {
        Some(EVERY)
    }

    fn progress(&mut self, progress: &Progress<'_>) {
        let running: Vec<Value> = progress
            .running
            .iter()
            .map(|running| json!({ "id": running.item, "seconds": running.since.elapsed().as_secs_f64() }))
            .collect();
        self.tell(
            "progress",
            json!({ "counts": counts_json(&progress.counts.by_status), "running": running }),
        );
    }

    fn summary(&mut self, summary: &Summary, causes: &Causes) {
        let slowest: Vec<Value> = summary
            .slowest
            .iter()
            .map(|(item, took)| json!({ "id": item, "seconds": took.as_secs_f64() }))
            .collect();
        self.tell(
            "summary",
            json!({
                "finished": summary.counts.is_finished(),
                "cancelled": summary.cancelled,
                "stopped_by": summary.rule.map(|rule| rule.to_string()),
                "counts": counts_json(&summary.counts.by_status),
                "open_letters": summary.counts.open_letters,
                "completed": summary.completed,
                "failures": summary.failures,
                "interrupted": summary.interrupted,
                "slowest": slowest,
                "average_seconds": summary.average().as_secs_f64(),
                "seconds": summary.took.as_secs_f64(),
                "groups": causes.largest.iter().map(group_json).collect::<Vec<_>>(),
                "other_groups": causes.others(),
                "grouped_first": causes.among_first,
            }),
        );
    }
}
