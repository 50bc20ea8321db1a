//! What a worker does about one job.

use std::sync::Arc;

use serde_json::json;
use workitem_orchestrator::{Options, Orchestrator, ProcessAgent, RunError, Summary};
use workitem_store::{Control, Job, JobCounts, Store, StoreError};

use super::{Trouble, Worker, tell};
use crate::commands::map::{put_in_order, template_of};
use crate::durations::short;
use crate::error::Error;
use crate::metrics::Watch;
use crate::spec::Spec;
use crate::text::{plural, quoted};

impl Worker<'_> {
    /// Works on what is due of a job; whether there was anything.
    pub(super) fn take_up(&mut self, store: &Arc<dyn Store>, job: &Job) -> Result<bool, Trouble> {
        let counts = match store.counts(job.id) {
            Err(StoreError::NoJob { .. }) if self.args.only.is_empty() => return Ok(false),
            counts => counts?,
        };
        self.metrics.job(&job.name, &counts);
        if !job.is_sealed() || counts.is_finished() {
            return Ok(false);
        }
        if store.control(job.id)? != Control::Run {
            if counts.by_status.in_progress > 0
                && let Some(orchestrator) = join(store, job)?
            {
                // Nobody goes on with it, so nobody else notices that somebody has vanished who worked on it.
                put_in_order(&orchestrator)?;
            }
            return Ok(false);
        }
        let (spec, agent) = match self.agent(job) {
            Ok(made) => made,
            Err(why) => {
                let what = format!("cannot work on job `{}`: {why}", job.name);
                if self.told.insert(what.clone()) {
                    let event = json!({ "event": "passed_over", "job": job.name, "error": why.to_string() });
                    tell(self.args, &what, || event);
                }
                return if self.args.only.is_empty() { Ok(false) } else { Err(Trouble::Lasting(why)) };
            }
        };
        let options = self.options(&spec);
        self.metrics.slots(options.parallelism.get());
        let Some(mut orchestrator) = join(store, job)? else { return Ok(false) };
        let stop = self
            .listener
            .next_run()
            .map_err(|error| Trouble::Lasting(Error::system(format!("failed to make a pipe: {error}"))))?;
        let mut watch = Watch { metrics: &self.metrics, job: &job.name };
        let ran = orchestrator.run(&agent, &options, &stop, &mut watch);
        drop(watch);
        let summary = match ran {
            Ok(summary) => summary,
            Err(RunError::Store(StoreError::NoJob { .. }) | RunError::Submitting { .. }) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        self.metrics.job(&job.name, &summary.counts);
        self.sum_up(store, job, &summary)
    }

    /// Tells what was done, and sees to it that a rule that has fired holds for all.
    fn sum_up(&mut self, store: &Arc<dyn Store>, job: &Job, summary: &Summary) -> Result<bool, Trouble> {
        let Summary { completed, failures, interrupted, took, .. } = *summary;
        let attempts = completed + failures + interrupted;
        if attempts > 0 {
            self.worked_on.insert(job.name.clone());
            let mut parts = vec![format!("{completed} completed")];
            parts.extend((failures > 0).then(|| plural(failures, "failed attempt", "failed attempts")));
            parts.extend((interrupted > 0).then(|| format!("{interrupted} put back")));
            tell(self.args, &format!("{}: {} in {}", job.name, parts.join(", "), short(took)), || {
                json!({
                    "event": "worked", "job": job.name, "completed": completed, "failures": failures,
                    "interrupted": interrupted, "seconds": took.as_secs_f64(),
                })
            });
        }
        if let Some(rule) = summary.rule {
            store.set_control(job.id, Control::Pause)?;
            let next = format!("workitem unpause {}{}", quoted(&job.name), self.place.flag());
            tell(
                self.args,
                &format!("{}: paused: {rule}\n  go on with: {next}", job.name),
                || json!({ "event": "paused", "job": job.name, "rule": rule.to_string(), "next": next }),
            );
        }
        if summary.finished && attempts > 0 {
            tell(self.args, &format!("{}: finished: {}", job.name, ends(&summary.counts)), || {
                json!({ "event": "finished", "job": job.name, "completed": summary.counts.by_status.completed,
                    "dead_lettered": summary.counts.by_status.dead_lettered })
            });
        }
        Ok(attempts > 0)
    }

    /// Runs the job's command, as `resume` on this machine would.
    fn agent(&self, job: &Job) -> Result<(Spec, ProcessAgent), Error> {
        let spec = Spec::of(job)?;
        let variables = spec.variables(&self.args.env)?;
        let folder = self.args.cwd.clone().unwrap_or_else(|| spec.folder.clone());
        if !folder.is_dir() {
            let what = format!("there is no folder {} on this machine, in which it runs", folder.display());
            return Err(Error::system(what).next("make it, or name another by --cwd"));
        }
        let agent = ProcessAgent::new(template_of(&spec.command)?, folder)
            .environment(variables)
            .feed_item(spec.stdin)
            .grace(spec.run.grace())
            .nice(spec.run.nice)
            .output_limit(spec.run.output_limit());
        Ok((spec, agent))
    }

    fn options(&self, spec: &Spec) -> Options {
        let mut options = spec.run.options();
        options.parallelism = self.args.jobs.unwrap_or(Options::default().parallelism);
        options.lease = self.args.lease;
        options.drain = self.args.drain;
        options.while_due = true;
        options
    }
}

/// A job to work on beside others; nothing if somebody else runs it alone, or it is gone.
fn join(store: &Arc<dyn Store>, job: &Job) -> Result<Option<Orchestrator>, StoreError> {
    match Orchestrator::join(store.clone(), job.clone()) {
        Err(StoreError::Busy { .. } | StoreError::NoJob { .. }) => Ok(None),
        joined => joined.map(Some),
    }
}

fn ends(counts: &JobCounts) -> String {
    let dead = counts.by_status.dead_lettered;
    let letters = if dead > 0 { format!(", {dead} dead-lettered") } else { String::new() };
    format!("{} completed{letters}", counts.by_status.completed)
}
