//! How a job is run, as it is kept with the job: what `resume` needs to do the same again.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use workitem_orchestrator::{Backoff, GRACE, OUTPUT_LIMIT, Options, Retry, StopRules, Variable, Worth};
use workitem_store::Job;

use crate::args::RunArgs;
use crate::error::Error;

/// What a job runs, where, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// The command and its arguments, with their placeholders.
    pub command: Vec<String>,
    /// The folder it runs in.
    pub folder: PathBuf,
    /// Whether its name was given, and not made up.
    #[serde(default = "yes")]
    pub named: bool,
    /// Where an item's id is, if it is not its position.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_from: Option<String>,
    /// Whether each agent reads its item.
    #[serde(default)]
    pub stdin: bool,
    /// What its agents find in their environment, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// How it was first run.
    #[serde(default)]
    pub run: RunSpec,
}

const fn yes() -> bool {
    true
}

/// The options of a run. What is absent has its default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunSpec {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jobs: Option<NonZeroUsize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<NonZeroUsize>,
    /// As they are written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_on: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_failures: Option<NonZeroUsize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_failure_rate: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_rate_after: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_crashes: Option<usize>,
    /// As it is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nice: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// First and longest wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff: Option<(Duration, Duration)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain: Option<Duration>,
    /// In bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_limit: Option<u64>,
    pub keep_order: bool,
}

impl Spec {
    /// The spec of a job that `map` made.
    pub fn of(job: &Job) -> Result<Self, Error> {
        serde_json::from_value(job.spec.clone()).map_err(|error| {
            Error::usage(format!("job `{}` was not made by `workitem map`: {error}", job.name))
                .next("run it with the program that made it")
        })
    }

    /// What agents are given: the job's variables, and those that are given anew before them.
    pub fn variables(&self, anew: &[Variable]) -> Result<Vec<Variable>, Error> {
        let env = self.env.clone().into_iter().chain(by_name(anew)).collect::<BTreeMap<_, _>>();
        let variables = env.into_iter().map(|(name, value)| Variable::new(name, value));
        variables.collect::<Result<_, _>>().map_err(Error::usage)
    }
}

/// Variables by their names; the last of a name counts.
pub fn by_name(variables: &[Variable]) -> BTreeMap<String, String> {
    variables.iter().map(|variable| (variable.name().to_owned(), variable.value().to_owned())).collect()
}

impl RunSpec {
    /// What is given anew goes before what was given first.
    pub fn with(&self, args: &RunArgs) -> Self {
        let retry_on = args.retry_on.as_ref().map(|on| on.iter().map(Worth::to_string).collect());
        Self {
            jobs: args.jobs.or(self.jobs),
            max_attempts: args.max_attempts.or(self.max_attempts),
            retry_on: retry_on.or_else(|| self.retry_on.clone()),
            max_failures: args.max_failures.or(self.max_failures),
            max_failure_rate: args.max_failure_rate.or(self.max_failure_rate),
            failure_rate_after: args.failure_rate_after.or(self.failure_rate_after),
            max_crashes: args.max_crashes.or(self.max_crashes),
            rate: args.rate.or(args.delay).map(|rate| rate.to_string()).or_else(|| self.rate.clone()),
            nice: args.nice.or(self.nice),
            timeout: args.timeout.or(self.timeout),
            backoff: args.backoff.map(|backoff| (backoff.base, backoff.max)).or(self.backoff),
            grace: args.grace.or(self.grace),
            drain: args.drain.or(self.drain),
            output_limit: args.output_limit.or(self.output_limit),
            keep_order: args.keep_order || self.keep_order,
        }
    }

    /// The options of the orchestrator.
    pub fn options(&self) -> Options {
        let defaults = Options::default();
        Options {
            parallelism: self.jobs.unwrap_or(defaults.parallelism),
            retry: Retry {
                max_attempts: self.max_attempts.map_or(defaults.retry.max_attempts, NonZeroUsize::get),
                backoff: self.backoff.map(|(base, max)| Backoff { base, max }),
                // They were read before they were stored.
                on: self
                    .retry_on
                    .as_ref()
                    .map(|on| on.iter().filter_map(|worth| worth.parse().ok()).collect()),
            },
            rules: StopRules {
                max_failures: self.max_failures,
                max_failure_rate: self.max_failure_rate,
                rate_after: self.failure_rate_after.unwrap_or(StopRules::RATE_AFTER),
            },
            max_crashes: self.max_crashes.unwrap_or(defaults.max_crashes),
            rate: self.rate.as_ref().and_then(|rate| rate.parse().ok()),
            timeout: self.timeout,
            drain: self.drain.unwrap_or(defaults.drain),
            ..defaults
        }
    }

    /// How long an agent may take to end after SIGTERM.
    pub fn grace(&self) -> Duration {
        self.grace.unwrap_or(GRACE)
    }

    /// Most bytes that are kept of each stream of an attempt.
    pub fn output_limit(&self) -> u64 {
        self.output_limit.unwrap_or(OUTPUT_LIMIT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_anew_goes_first_and_the_rest_stays() {
        let first = RunSpec {
            jobs: NonZeroUsize::new(4),
            timeout: Some(Duration::from_secs(9)),
            keep_order: true,
            ..RunSpec::default()
        };
        let anew = RunArgs { jobs: NonZeroUsize::new(2), ..RunArgs::default() };
        let run = first.with(&anew);
        assert_eq!(run.jobs, NonZeroUsize::new(2));
        assert_eq!(run.timeout, Some(Duration::from_secs(9)));
        assert!(run.keep_order);
    }

    #[test]
    fn a_variable_given_anew_takes_the_place_of_one_of_its_name() {
        let spec = serde_json::json!({ "command": ["env"], "folder": "/", "env": { "A": "1", "B": "2" } });
        let spec: Spec = serde_json::from_value(spec).unwrap();
        let given = |anew: &[&str]| -> Vec<String> {
            let anew: Vec<Variable> = anew.iter().map(|text| text.parse().unwrap()).collect();
            spec.variables(&anew).unwrap().iter().map(Variable::to_string).collect()
        };
        assert_eq!(given(&[]), ["A=1", "B=2"]);
        assert_eq!(given(&["B=3", "C=4", "C=5"]), ["A=1", "B=3", "C=5"]);
    }

    #[test]
    fn a_spec_survives_the_store() {
        let run =
            RunSpec { backoff: Some((Duration::from_secs(1), Duration::from_mins(1))), ..RunSpec::default() };
        let spec = Spec {
            command: vec!["wc".into(), "{}".into()],
            folder: "/tmp".into(),
            named: false,
            id_from: None,
            stdin: false,
            env: by_name(&["MODE=fast".parse().unwrap()]),
            run,
        };
        let json = serde_json::to_value(&spec).unwrap();
        assert_eq!(serde_json::from_value::<Spec>(json).unwrap(), spec);
    }
}
