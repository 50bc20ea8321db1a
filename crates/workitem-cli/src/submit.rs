//! From an input to a sealed job.

use std::fmt::Write;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use workitem_orchestrator::{Orchestrator, Template};
use workitem_store::{Job, NewItem, NewJob, Payload, Skipped, Store, StoreError};
use workitem_types::ItemId;

use crate::error::Error;
use crate::exit::Exit;
use crate::input::{Bad, Entry, Input, Reader};
use crate::spec::Spec;

/// Items stored in one transaction.
const BATCH: usize = 5_000;
/// Bytes of input stored in one transaction.
const BATCH_BYTES: usize = 8 << 20;

/// Where items come from, and what may be one.
pub struct Source<'a> {
    pub input: &'a mut Reader,
    pub template: &'a Template,
    /// Pass over what cannot be an item, instead of giving up.
    pub skip_bad: bool,
    /// Pass over items whose id was met before.
    pub dedup: bool,
}

/// What was read.
#[derive(Debug, Default)]
pub struct Submitted {
    pub items: usize,
    pub skipped: usize,
    digest: Sha256,
}

impl Submitted {
    /// The digest of all items, in order.
    pub fn digest(&self) -> String {
        self.digest.clone().finalize().iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }

    /// Counts another item in.
    pub fn add(&mut self, id: &ItemId, payload: &Payload) {
        // Neither an id nor JSON text has a NUL, so that the parts cannot run into each other.
        for part in [id.as_str(), payload.as_json()] {
            self.digest.update(part);
            self.digest.update([0]);
        }
        self.items += 1;
    }
}

/// The job to run, locked: a new one with the input stored, or the one of that name if command and input
/// are the same.
pub fn job_for(
    store: &Arc<dyn Store>,
    name: Option<&str>,
    spec: &Spec,
    source: &mut Source<'_>,
) -> Result<(Orchestrator, Submitted), Error> {
    if name.is_none() {
        forget_unnamed(store)?;
    }
    loop {
        match name.map(|name| lock(store, name)) {
            Some(Ok(known)) if known.job().is_sealed() => {
                let submitted = same_job(&known, spec, source)?;
                return Ok((known, submitted));
            }
            // Nothing of a job that is being submitted has run: it is made anew, from this input.
            Some(Ok(known)) => store.delete_job(known.job().id)?,
            Some(Err(StoreError::NoJob { .. })) | None => {}
            Some(Err(error)) => return Err(error.into()),
        }
        if let Some(orchestrator) = make_locked(store, name, spec)? {
            let submitted = submit(store, &orchestrator, source)?;
            return Ok((orchestrator, submitted));
        }
        // Another process was quicker, and its job is to be looked at like any other.
    }
}

/// Forgets jobs that were never completely submitted and whose names were made up: nobody can go on with
/// them, because the next `map` without a name makes another.
fn forget_unnamed(store: &Arc<dyn Store>) -> Result<(), Error> {
    let is_left_behind = |job: &Job| !job.is_sealed() && Spec::of(job).is_ok_and(|spec| !spec.named);
    for job in store.jobs()?.iter().filter(|job| is_left_behind(job)) {
        if store.running(job)?.is_some() {
            continue;
        }
        match lock(store, &job.name) {
            // Only now nobody can complete it any more, or have completed it since it was looked at.
            Ok(locked) if is_left_behind(locked.job()) => store.delete_job(locked.job().id)?,
            Ok(_) | Err(StoreError::Busy { .. } | StoreError::NoJob { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The job of that name, locked: no other process runs it, completes its input or makes it anew.
pub fn lock(store: &Arc<dyn Store>, name: &str) -> Result<Orchestrator, StoreError> {
    loop {
        let job = store.job(name)?;
        let locked = Orchestrator::new(store.clone(), job.clone());
        // Before it was locked, or while this waited for the lock, all that may have happened.
        if store.job(name)? == job {
            return locked;
        }
    }
}

/// A new job, locked; nothing if there is one of that name.
fn make_locked(
    store: &Arc<dyn Store>,
    name: Option<&str>,
    spec: &Spec,
) -> Result<Option<Orchestrator>, Error> {
    let spec = serde_json::to_value(spec).map_err(|error| Error::usage(error.to_string()))?;
    let job = match store.create_job(&NewJob { name: name.map(str::to_owned), spec, now: store.now()? }) {
        Err(StoreError::JobExists { .. }) => return Ok(None),
        made => made?,
    };
    // Before it was locked, another process may have taken it for one that was left behind.
    match lock(store, &job.name) {
        Ok(locked) if *locked.job() == job => Ok(Some(locked)),
        Ok(_) | Err(StoreError::Busy { .. } | StoreError::NoJob { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn submit(
    store: &Arc<dyn Store>,
    orchestrator: &Orchestrator,
    source: &mut Source<'_>,
) -> Result<Submitted, Error> {
    let id = orchestrator.job().id;
    let stored = read(source, |items, skipped| {
        store.submit(id, items)?;
        if skipped.is_empty() { Ok(()) } else { Ok(store.skip(id, skipped)?) }
    });
    match stored.and_then(|submitted| Ok(store.seal(id, &submitted.digest()).map(|()| submitted)?)) {
        Ok(submitted) => Ok(submitted),
        Err(error) => {
            // The job has not started, so nothing of it is worth keeping. If it cannot even be deleted, the
            // next `map` of that name does so; the first error is the one to tell.
            let _ = store.delete_job(id);
            let is_store = error.exit == Exit::Store;
            Err(if is_store {
                error.next("mend that, then run the same `workitem map` again")
            } else {
                error
            })
        }
    }
}

/// Adds the items of an input to a job, all of them or none; says how many were read, and how many were new.
pub fn add(store: &dyn Store, job: &Job, source: &mut Source<'_>) -> Result<(Submitted, usize), Error> {
    let (mut items, mut skipped) = (Vec::new(), Vec::new());
    let submitted = read(source, |batch, lines| {
        items.extend_from_slice(batch);
        skipped.extend_from_slice(lines);
        Ok(())
    })?;
    let added = match store.add(job.id, &items) {
        Err(error @ StoreError::Conflict { .. }) => {
            return Err(
                Error::from(error).next("nothing was added; another `workitem add` may have been quicker")
            );
        }
        added => added?,
    };
    if !skipped.is_empty() {
        store.skip(job.id, &skipped)?;
    }
    Ok((submitted, added))
}

/// Is it the same job? Says what differs if it is not.
fn same_job(orchestrator: &Orchestrator, spec: &Spec, source: &mut Source<'_>) -> Result<Submitted, Error> {
    let job = orchestrator.job();
    let refuse = |difference: String| {
        Error::usage(format!("job `{}` exists already, and {difference}", job.name))
            .next(format!("go on with it by `workitem resume {}`, or use another --job name", job.name))
    };
    let known = Spec::of(job)?;
    if known.command != spec.command {
        return Err(refuse(format!("its command is {:?}, not {:?}", known.command, spec.command)));
    }
    if known.folder != spec.folder {
        let (known, given) = (known.folder.display(), spec.folder.display());
        return Err(refuse(format!("it runs in the folder {known}, not in {given}")));
    }
    if known.stdin != spec.stdin {
        let gives = if known.stdin { "gives" } else { "does not give" };
        return Err(refuse(format!("it {gives} its agents their items on standard input")));
    }
    let names = known.env.keys().chain(spec.env.keys());
    if let Some(name) = names.into_iter().find(|name| known.env.get(*name) != spec.env.get(*name)) {
        let of = |spec: &Spec| spec.env.get(name).map_or("not set".to_owned(), |value| format!("{value:?}"));
        let (known, given) = (of(&known), of(spec));
        return Err(refuse(format!(
            "in the environment of its agents `{name}` is {known}, and here it is {given}"
        )));
    }
    let submitted = read(source, |_, _| Ok(()))?;
    if job.digest.as_ref() != Some(&submitted.digest()) {
        return Err(refuse(difference(job, submitted.items)));
    }
    Ok(submitted)
}

fn difference(job: &Job, items: usize) -> String {
    let known = usize::try_from(job.input_items).unwrap_or(usize::MAX);
    if known == items {
        format!("its {known} items are not those of this input")
    } else {
        format!("it has {known} items, this input has {items}")
    }
}

/// The first items of an input.
pub fn first(source: &mut Source<'_>, most: usize) -> Result<Vec<NewItem>, Error> {
    let mut items = Vec::new();
    while items.len() < most {
        let Some(entry) = source.input.next() else { break };
        items.extend(taken(checked(entry?, source.template), source)?.ok());
    }
    Ok(items)
}

/// Reads the input in batches. What cannot be an item, or not an argument of the command, stops it, or is
/// passed over.
fn read(
    source: &mut Source<'_>,
    mut store: impl FnMut(&[NewItem], &[Skipped]) -> Result<(), Error>,
) -> Result<Submitted, Error> {
    let mut submitted = Submitted::default();
    let (mut items, mut skipped, mut bytes) = (Vec::new(), Vec::new(), 0);
    while let Some(entry) = source.input.next() {
        match taken(checked(entry?, source.template), source)? {
            Ok(item) => {
                submitted.add(&item.id, &item.payload);
                bytes += item.payload.as_json().len();
                items.push(item);
            }
            Err(line) => {
                submitted.skipped += 1;
                skipped.push(line);
            }
        }
        if items.len() + skipped.len() >= BATCH || bytes >= BATCH_BYTES {
            store(&items, &skipped)?;
            (items, skipped, bytes) = (Vec::new(), Vec::new(), 0);
        }
    }
    store(&items, &skipped)?;
    Ok(submitted)
}

/// The item, or a line that may be passed over.
fn taken(item: Result<NewItem, Bad>, source: &Source<'_>) -> Result<Result<NewItem, Skipped>, Error> {
    match item {
        Ok(item) => Ok(Ok(item)),
        Err(Bad { position, place, reason, is_duplicate })
            if source.skip_bad || (is_duplicate && source.dedup) =>
        {
            Ok(Err(Skipped { position, place, reason }))
        }
        Err(Bad { place, reason, .. }) => Err(Error::usage(format!("{place} cannot be an item: {reason}"))
            .next("mend it, or pass over such lines with --skip-bad; nothing was run")),
    }
}

fn checked(entry: Entry, template: &Template) -> Result<NewItem, Bad> {
    let Input { position, place, id, value } = entry?;
    let bad = |reason: String| Bad { position, place, reason, is_duplicate: false };
    if let Err(error) = template.check(&id, &value) {
        return Err(bad(error.to_string()));
    }
    let payload = Payload::try_from(&value).map_err(|error| bad(format!("cannot be read back: {error}")))?;
    Ok(NewItem { id, payload })
}
