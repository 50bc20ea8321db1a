//! What was acknowledged, and when: by output, by events, by words, and by agents that were started.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::record::{Recording, Step, variable};
use super::trace::What;
use crate::checker::Acknowledged;

/// What the world knows at a moment.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Of each job.
    pub jobs: BTreeMap<String, Acknowledged>,
    /// Jobs that are being removed: they may be gone.
    pub leaving: BTreeSet<String>,
    /// Jobs that were removed: they may not come back.
    pub gone: BTreeSet<String>,
    /// How many steps have begun.
    pub steps: usize,
}

/// Everything that was acknowledged, in its order.
pub struct Story(Vec<(usize, Fact)>);

#[derive(Debug, Clone)]
enum Fact {
    Begun(&'static Step),
    Items(&'static str, usize),
    Completed(&'static str, String),
    GivenUp(&'static str, String),
    Started(String, String, usize),
    Gone(&'static str),
}

impl Story {
    pub fn of(recording: &Recording, life: &'static [Step]) -> Self {
        let mut facts = Vec::new();
        for (step, begin) in life.iter().zip(recording.begins.windows(2)) {
            facts.push((begin[0], Fact::Begun(step)));
            let of_step = |begun: &usize| (begin[0]..begin[1]).contains(begun);
            let (mut output, mut words) = (Vec::new(), Vec::new());
            for call in recording.calls.iter().filter(|call| of_step(&call.begun)) {
                match &call.what {
                    What::Say { output: to_output, bytes } => {
                        let said = if *to_output { &mut output } else { &mut words };
                        said.extend_from_slice(bytes);
                        while let Some(end) = said.iter().position(|byte| *byte == b'\n') {
                            let line: Vec<u8> = said.drain(..=end).collect();
                            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                            let told = if *to_output { printed(step, &line) } else { told(step, &line) };
                            facts.extend(told.map(|fact| (call.begun, fact)));
                        }
                    }
                    What::Start(variables) => {
                        let of = |name| variable(variables, name).to_owned();
                        let attempt = of("WORKITEM_ATTEMPT").parse().unwrap_or_default();
                        facts.push((
                            call.begun,
                            Fact::Started(of("WORKITEM_JOB"), of("WORKITEM_ID"), attempt),
                        ));
                    }
                    What::Write { .. }
                    | What::Cut { .. }
                    | What::Make(_)
                    | What::Folder(_)
                    | What::Remove(_)
                    | What::Sync(_) => {}
                }
            }
        }
        Self(facts)
    }

    /// How much was acknowledged in the end.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// What is known when power is lost after line `moment` has begun.
    pub fn known(&self, moment: usize) -> Known {
        let mut known = Known::default();
        for (_, fact) in self.0.iter().filter(|(at, _)| *at <= moment) {
            match fact {
                Fact::Begun(step) => {
                    known.steps += 1;
                    if step.arguments[0] == "gc" {
                        known.leaving.insert(step.job().to_owned());
                    }
                }
                Fact::Items(job, items) => {
                    let known = known.jobs.entry((*job).to_owned()).or_default();
                    known.items = Some(known.items.unwrap_or(0) + items);
                }
                Fact::Completed(job, id) => {
                    known.jobs.entry((*job).to_owned()).or_default().completed.insert(id.clone());
                }
                Fact::GivenUp(job, id) => {
                    known.jobs.entry((*job).to_owned()).or_default().given_up.insert(id.clone());
                }
                Fact::Started(job, id, attempt) => {
                    let last =
                        known.jobs.entry(job.clone()).or_default().started.entry(id.clone()).or_default();
                    *last = (*last).max(*attempt);
                }
                Fact::Gone(job) => _ = known.gone.insert((*job).to_owned()),
            }
        }
        known
    }
}

/// What a line of output acknowledges.
fn printed(step: &Step, line: &str) -> Option<Fact> {
    if let Some(id) = line.strip_prefix("out ") {
        return Some(Fact::Completed(step.job(), id.to_owned()));
    }
    // `gc` prints a job's name first, once it is gone.
    (step.arguments[0] == "gc" && line.split('\t').next() == Some(step.job())).then(|| Fact::Gone(step.job()))
}

/// What is said on standard error.
fn told(step: &Step, line: &str) -> Option<Fact> {
    let job = step.job();
    if let Some((_, added)) = line.split_once(": added ") {
        return Some(Fact::Items(job, added.split(' ').next()?.parse().ok()?));
    }
    let event: Value = serde_json::from_str(line).ok()?;
    let id = || Some(event["id"].as_str()?.to_owned());
    match event["event"].as_str()? {
        "submitted" => Some(Fact::Items(job, usize::try_from(event["items"].as_u64()?).ok()?)),
        "retried" => Some(Fact::Items(job, event["items"].as_array()?.len())),
        "completed" => Some(Fact::Completed(job, id()?)),
        "dead_lettered" => Some(Fact::GivenUp(job, id()?)),
        _ => None,
    }
}
