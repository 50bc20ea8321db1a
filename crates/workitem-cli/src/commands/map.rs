//! Running jobs.

use std::io::{IsTerminal, stdin};
use std::sync::Arc;

use serde_json::json;
use workitem_orchestrator::{Orchestrator, ProcessAgent, RunError, Stopping, Template};
use workitem_store::{Control, Job, Store, StoreError};

use super::{Place, job_or_last, print_lines};
use crate::args::{InputArgs, MapArgs, RunArgs};
use crate::error::Error;
use crate::exit::Exit;
use crate::input::{self, Format, Reader};
use crate::report::Reporter;
use crate::signals::Listener;
use crate::spec::{RunSpec, Spec, by_name};
use crate::submit::{self, Source, Submitted, job_for, lock};
use crate::text::{plural, quoted};

/// Makes a job, or goes on with one. `defaults` hold for a job that is made.
pub fn map(place: &Place, args: &MapArgs, defaults: &RunArgs) -> Result<Exit, Error> {
    let template = template_of(&args.command)?;
    let folder = match &args.run.cwd {
        Some(folder) => folder.clone(),
        None => std::env::current_dir()
            .map_err(|error| Error::system(format!("failed to find the current folder: {error}")))?,
    };
    if folder.to_str().is_none() {
        // It is kept with the job, as JSON.
        let what = format!("no job can run in {}: the path of the folder is not UTF-8", folder.display());
        return Err(Error::usage(what));
    }
    let mut input = reader(&args.from, args.from.id_from.clone(), 0)?;
    let run = RunSpec::default().with(defaults).with(&args.run);
    let spec = Spec {
        command: args.command.clone(),
        folder,
        named: args.job.is_some(),
        id_from: args.from.id_from.clone(),
        stdin: args.stdin,
        env: by_name(&[defaults.env.as_slice(), &args.run.env].concat()),
        run,
    };
    if args.dry_run {
        return dry_run(args, &template, &mut input);
    }
    let store = place.create()?;
    let interrupted =
        Error::interrupted("interrupted while storing the input").next("run the same `workitem map` again");
    let listener = listen(&interrupted, args.run.json)?;
    if args.from.file().is_none() && stdin().is_terminal() && !args.run.quiet {
        tell!("reading items from the terminal, one a line; end with Ctrl-D");
    }
    let InputArgs { skip_bad, dedup, .. } = args.from;
    let mut source = Source { input: &mut input, template: &template, skip_bad, dedup };
    let (mut orchestrator, submitted) = job_for(&store, args.job.as_deref(), &spec, &mut source)?;
    tell_submitted(orchestrator.job(), &submitted, &args.run);
    take_up(place, &orchestrator, &args.run)?;
    run_with(place, &store, &mut orchestrator, &args.run, &listener)
}

/// Commands that a dry run prints.
const SHOWN: usize = 10;

/// Prints what would be run for the first items, as lines for a shell: just what each command would be given.
fn dry_run(args: &MapArgs, template: &Template, input: &mut Reader) -> Result<Exit, Error> {
    let InputArgs { skip_bad, dedup, .. } = args.from;
    let mut source = Source { input, template, skip_bad, dedup };
    let first = submit::first(&mut source, SHOWN)?;
    print_lines(first.iter().map(|item| {
        let argv = template.render(&item.id, &item.payload.to_value());
        let argv = argv.map_err(|error| Error::usage(error.to_string()))?;
        Ok(argv.iter().map(|word| quoted(&word.to_string_lossy())).collect::<Vec<_>>().join(" "))
    }))?;
    Ok(Exit::Ok)
}

/// Puts more items into a job. Who runs it takes them up; otherwise `resume` does.
pub fn add(place: &Place, name: &str, from: &InputArgs, quiet: bool) -> Result<Exit, Error> {
    let store = place.open()?;
    let job = store.job(name)?;
    let spec = Spec::of(&job)?;
    let counts = store.counts(job.id)?;
    let after = (counts.by_status.total() + counts.skipped) as u64;
    let template = template_of(&spec.command)?;
    let mut input = reader(from, from.id_from.clone().or(spec.id_from), after)?;
    let InputArgs { skip_bad, dedup, .. } = *from;
    let mut source = Source { input: &mut input, template: &template, skip_bad, dedup };
    let (read, added) = submit::add(&*store, &job, &mut source)?;
    if !quiet {
        let remark = |n: usize, what: &str| if n > 0 { format!(", {n} {what}") } else { String::new() };
        let (known, passed_over) =
            (remark(read.items - added, "there already"), remark(read.skipped, "passed over"));
        tell!("{name}: added {}{known}{passed_over}", plural(added, "item", "items"));
        if added > 0 && store.running(&job)?.is_none() {
            tell!("  run them with: workitem resume {}{}", quoted(name), place.flag());
        }
    }
    Ok(Exit::Ok)
}

/// Says what is wanted of a job, now if it is running, and of whoever runs it later.
pub fn control(place: &Place, name: &str, control: Control) -> Result<Exit, Error> {
    let store = place.open()?;
    let job = store.job(name)?;
    if !job.is_sealed() {
        return Err(StoreError::Submitting { job: job.name }.into());
    }
    // A cancellation that came too late can still be taken back: else the dead letters could not be run again.
    let takes_back = control == Control::Run && store.control(job.id)? != Control::Run;
    if store.counts(job.id)?.is_finished() && !takes_back {
        return Err(
            Error::usage(format!("job `{name}` is finished")).next("there is nothing to control any more")
        );
    }
    store.set_control(job.id, control)?;
    // Whoever runs it sees to that by itself.
    if control == Control::Cancel && has_left_overs(&*store, &job)? {
        match lock(&store, name) {
            Ok(locked) if locked.job().id == job.id => put_in_order(&locked)?,
            // Somebody has taken it up meanwhile, or it is gone.
            Ok(_) | Err(StoreError::Busy { .. } | StoreError::NoJob { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Exit::Ok)
}

/// Whether items are in progress though nobody runs the job: who did was killed, and its agents may be alive.
fn has_left_overs(store: &dyn Store, job: &Job) -> Result<bool, StoreError> {
    Ok(store.counts(job.id)?.by_status.in_progress > 0 && store.running(job)?.is_none())
}

/// Ends the agents and puts back the items of an orchestrator that was killed, of a job that nobody is to go on with.
pub fn put_in_order(orchestrator: &Orchestrator) -> Result<(), RunError> {
    match Spec::of(orchestrator.job()) {
        Ok(spec) => orchestrator.clean_up(&spec.run.options(), &mut ()),
        // Another program's, which knows what is to become of its items.
        Err(_) => Ok(()),
    }
}

pub fn resume(place: &Place, name: Option<&str>, args: &RunArgs) -> Result<Exit, Error> {
    let store = place.open()?;
    let job = job_or_last(&*store, name)?;
    run_job(place, &store, &job, args)
}

/// Goes on with a job that was paused while nobody else ran it; one that was cancelled stays so.
fn take_up(place: &Place, orchestrator: &Orchestrator, args: &RunArgs) -> Result<(), Error> {
    let (store, job) = (orchestrator.store(), orchestrator.job());
    match store.control(job.id)? {
        Control::Run => {}
        Control::Pause => {
            store.set_control(job.id, Control::Run)?;
            if !args.quiet && !args.json {
                tell!("{}: was paused, goes on", job.name);
            }
        }
        Control::Cancel => {
            put_in_order(orchestrator)?;
            let next = format!("take that back with: workitem unpause {}{}", quoted(&job.name), place.flag());
            return Err(Error::cancelled(format!("job `{}` was cancelled", job.name)).next(next));
        }
    }
    Ok(())
}

/// Takes a job's lock and runs what is left of it.
pub fn run_job(place: &Place, store: &Arc<dyn Store>, job: &Job, args: &RunArgs) -> Result<Exit, Error> {
    let listener = listen(&Error::interrupted("interrupted"), args.json)?;
    let mut orchestrator = lock(store, &job.name)?;
    take_up(place, &orchestrator, args)?;
    run_with(place, store, &mut orchestrator, args, &listener)
}

fn run_with(
    place: &Place,
    store: &Arc<dyn Store>,
    orchestrator: &mut Orchestrator,
    args: &RunArgs,
    listener: &Listener,
) -> Result<Exit, Error> {
    loop {
        if let Some(exit) = run_once(place, store, orchestrator, args, listener)? {
            return Ok(exit);
        }
    }
}

/// Runs a job as far as it goes; nothing if somebody has added items meanwhile, and relies on whoever holds the lock.
fn run_once(
    place: &Place,
    store: &Arc<dyn Store>,
    orchestrator: &mut Orchestrator,
    args: &RunArgs,
    listener: &Listener,
) -> Result<Option<Exit>, Error> {
    let job = &orchestrator.job().clone();
    let spec = Spec::of(job)?;
    let variables = spec.variables(&args.env)?;
    let Spec { command, folder, run, stdin, env: _, named: _, id_from: _ } = spec;
    let run = run.with(args);
    let folder = args.cwd.clone().unwrap_or(folder);
    if !folder.is_dir() {
        let what = format!("the folder {} in which job `{}` runs is gone", folder.display(), job.name);
        return Err(Error::system(what).next("make it again, then `workitem resume`"));
    }
    let agent = ProcessAgent::new(template_of(&command)?, folder)
        .environment(variables)
        .feed_item(stdin)
        .grace(run.grace())
        .nice(run.nice)
        .output_limit(run.output_limit());
    let stop = listener.stop.clone();
    let mut reporter =
        Reporter::start(store.clone(), job, args, run.keep_order, stop.clone(), &place.flag())?;
    listener.run();
    let ran = orchestrator.run(&agent, &run.options(), &stop, &mut reporter);
    let printed = reporter.finish(ran.as_ref().ok());
    let summary = ran?;
    if summary.rule.is_some() && store.is_shared() {
        // Nor do others go on.
        store.set_control(job.id, Control::Pause)?;
    }
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
        return Ok(None);
    }
    Ok(Some(match counts {
        counts if !counts.is_finished() && (summary.cancelled || summary.rule.is_some()) => Exit::DeadLetters,
        counts if !counts.is_finished() => Exit::Interrupted,
        counts if counts.open_letters > 0 => Exit::DeadLetters,
        _ => Exit::Ok,
    }))
}

pub fn listen(interrupted: &Error, as_json: bool) -> Result<Listener, Error> {
    let interrupted =
        if as_json { interrupted.to_json().to_string() } else { format!("workitem: {interrupted}") };
    Listener::start(interrupted)
        .map_err(|error| Error::limits(format!("failed to listen for signals: {error}")))
}

pub fn template_of(command: &[String]) -> Result<Template, Error> {
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

fn reader(from: &InputArgs, id_from: Option<String>, after: u64) -> Result<Reader, Error> {
    let format = if from.null { Some(Format::Nul) } else { from.format };
    let json_path = from.json_path.clone();
    let options = input::Options { format, json_path, id_from, after, dedup: from.dedup };
    Ok(Reader::open(from.file(), &options)?)
}
