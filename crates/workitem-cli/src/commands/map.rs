//! Running jobs.

use std::io::{IsTerminal, stdin};
use std::sync::Arc;

use serde_json::json;
use workitem_orchestrator::{Orchestrator, ProcessAgent, Stopping, Template};
use workitem_store::{Job, Store};

use super::{Place, job_or_last};
use crate::args::{MapArgs, RunArgs};
use crate::error::Error;
use crate::exit::Exit;
use crate::input::{self, Format, Reader};
use crate::report::Reporter;
use crate::signals::Listener;
use crate::spec::{RunSpec, Spec};
use crate::submit::{Source, Submitted, job_for, lock};
use crate::text::{plural, quoted};

pub fn map(place: &Place, args: &MapArgs) -> Result<Exit, Error> {
    let template = template_of(&args.command)?;
    let folder = std::env::current_dir()
        .map_err(|error| Error::system(format!("failed to find the current folder: {error}")))?;
    if folder.to_str().is_none() {
        // It is kept with the job, as JSON.
        let what = format!("no job can run in {}: the path of the folder is not UTF-8", folder.display());
        return Err(Error::usage(what));
    }
    let mut input = reader(args)?;
    let run = RunSpec::default().with(&args.run);
    let spec = Spec { command: args.command.clone(), folder, named: args.job.is_some(), run };
    let store = place.create()?;
    let interrupted =
        Error::interrupted("interrupted while storing the input").next("run the same `workitem map` again");
    let listener = listen(&interrupted, &args.run)?;
    if args.file().is_none() && stdin().is_terminal() && !args.run.quiet {
        tell!("reading items from the terminal, one a line; end with Ctrl-D");
    }
    let mut source = Source { input: &mut input, template: &template, skip_bad: args.skip_bad };
    let (mut orchestrator, submitted) = job_for(&store, args.job.as_deref(), &spec, &mut source)?;
    tell_submitted(orchestrator.job(), &submitted, &args.run);
    run_with(place, &store, &mut orchestrator, &args.run, &listener)
}

pub fn resume(place: &Place, name: Option<&str>, args: &RunArgs) -> Result<Exit, Error> {
    let store = place.open()?;
    let job = job_or_last(&*store, name)?;
    run_job(place, &store, &job, args)
}

/// Takes a job's lock and runs what is left of it.
pub fn run_job(place: &Place, store: &Arc<dyn Store>, job: &Job, args: &RunArgs) -> Result<Exit, Error> {
    let listener = listen(&Error::interrupted("interrupted"), args)?;
    let mut orchestrator = lock(store, &job.name)?;
    run_with(place, store, &mut orchestrator, args, &listener)
}

fn run_with(
    place: &Place,
    store: &Arc<dyn Store>,
    orchestrator: &mut Orchestrator,
    args: &RunArgs,
    listener: &Listener,
) -> Result<Exit, Error> {
    let job = &orchestrator.job().clone();
    let Spec { command, folder, run, named: _ } = Spec::of(job)?;
    let run = run.with(args);
    if !folder.is_dir() {
        let what = format!("the folder {} in which job `{}` runs is gone", folder.display(), job.name);
        return Err(Error::system(what).next("make it again, then `workitem resume`"));
    }
    let agent = ProcessAgent::new(template_of(&command)?, folder).grace(run.grace());
    let stop = listener.stop.clone();
    let mut reporter =
        Reporter::start(store.clone(), job, args, run.keep_order, stop.clone(), &place.flag())?;
    listener.run();
    let ran = orchestrator.run(&agent, &run.options(), &stop, &mut reporter);
    let printed = reporter.finish(ran.as_ref().ok());
    let summary = ran?;
    match printed {
        // What is not printed is in the store; what is not done can be resumed.
        Err(error) if error.is_unread() => {
            if !args.quiet && !args.json {
                let output = format!("workitem output {}{}", quoted(&job.name), place.flag());
                tell!("{}: not all of its output was read; all of it: {output}", job.name);
            }
        }
        printed => printed?,
    }
    let counts = store.counts(job.id)?;
    if summary.stopping == Stopping::No && !counts.is_finished() {
        // Somebody has added items since, and relies on whoever holds the lock.
        return run_with(place, store, orchestrator, args, listener);
    }
    Ok(match counts {
        counts if !counts.is_finished() => Exit::Interrupted,
        counts if counts.open_letters > 0 => Exit::DeadLetters,
        _ => Exit::Ok,
    })
}

fn listen(interrupted: &Error, args: &RunArgs) -> Result<Listener, Error> {
    let interrupted =
        if args.json { interrupted.to_json().to_string() } else { format!("workitem: {interrupted}") };
    Listener::start(interrupted)
        .map_err(|error| Error::system(format!("failed to listen for signals: {error}")))
}

fn template_of(command: &[String]) -> Result<Template, Error> {
    Template::parse(command.iter().map(Into::into).collect()).map_err(|error| Error::usage(error.to_string()))
}

fn tell_submitted(job: &Job, submitted: &Submitted, args: &RunArgs) {
    let (name, &Submitted { items, skipped, .. }) = (&job.name, submitted);
    if args.json {
        tell!("{}", json!({ "event": "submitted", "job": name, "items": items, "skipped": skipped }));
    } else if !args.quiet {
        let passed_over = match skipped {
            0 => String::new(),
            _ => format!(", {} passed over", plural(skipped, "line", "lines")),
        };
        tell!("{name}: {}{passed_over}", plural(items, "item", "items"));
    }
}

fn reader(args: &MapArgs) -> Result<Reader, Error> {
    let format = if args.null { Some(Format::Nul) } else { args.format };
    let options = input::Options { format, json_path: args.json_path.clone(), id_from: args.id_from.clone() };
    Ok(Reader::open(args.file(), &options)?)
}
