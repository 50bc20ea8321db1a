//! Removing what is old and what belongs to nobody.
//!
//! What may go is asked of the store, under the job's lock, and a job goes only if its counts are still what they were
//! when that was asked: who adds items does not hold the lock. Every step is complete in itself, so that a `gc` that is
//! killed leaves nothing that another one would not find.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use indicatif::BinaryBytes;
use serde_json::{Value, json};
use workitem_orchestrator::Options;
use workitem_store::{Job, JobCounts, JobId, Runner, Store, StoreError, Swept};

use super::{Place, print_line};
use crate::args::GcArgs;
use crate::error::Error;
use crate::exit::Exit;
use crate::submit::lock;
use crate::text::{plural, quoted};

pub fn gc(place: &Place, args: &GcArgs) -> Result<Exit, Error> {
    let store = place.open()?;
    let mut work = Work { store: &store, args, told: Told::default() };
    if args.jobs.is_empty() {
        // A span that reaches back further than time does leaves nothing that is older.
        let age = TimeDelta::from_std(args.older_than).unwrap_or(TimeDelta::MAX);
        let since = store.now()?.checked_sub_signed(age).unwrap_or(DateTime::<Utc>::MIN_UTC);
        for job in store.jobs()? {
            if job.created_at < since && work.store.last_change(&job)? < since {
                work.old(&job)?;
            }
        }
    } else {
        work.named()?;
    }
    work.sweep()?;
    // What is gone is gone, whether or not anybody reads it to the end.
    work.finish()?.or_else(|error| if error.is_unread() { Ok(()) } else { Err(error) })?;
    Ok(Exit::Ok)
}

struct Work<'a> {
    store: &'a Arc<dyn Store>,
    args: &'a GcArgs,
    told: Told,
}

/// What there is to tell at the end.
#[derive(Default)]
struct Told {
    removed: BTreeSet<JobId>,
    bytes: u64,
    left_over: Swept,
    unfinished: usize,
    with_letters: usize,
    running: usize,
    unread: Option<Error>,
}

/// Why a job stays.
enum Stays {
    Running(StoreError),
    Unfinished(String),
    WithLetters(usize),
}

impl Work<'_> {
    /// Removes the jobs that are named: none of them if one may not be removed.
    fn named(&mut self) -> Result<(), Error> {
        let names: BTreeSet<&str> = self.args.jobs.iter().map(String::as_str).collect();
        let jobs = names.into_iter().map(|name| self.store.job(name)).collect::<Result<Vec<_>, _>>()?;
        for job in &jobs {
            if let Err(stays) = self.look(job, &self.store.counts(job.id)?)? {
                return Err(refused(job, stays));
            }
        }
        for job in &jobs {
            if let Err(stays) = self.remove(job)? {
                return Err(refused(job, stays));
            }
        }
        Ok(())
    }

    /// Removes an old job, if it may be removed.
    fn old(&mut self, job: &Job) -> Result<(), Error> {
        match self.remove(job) {
            Ok(Ok(())) => {}
            Ok(Err(Stays::Running(_))) => self.told.running += 1,
            Ok(Err(Stays::Unfinished(_))) => self.told.unfinished += 1,
            Ok(Err(Stays::WithLetters(_))) => self.told.with_letters += 1,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Whether a job may be removed, as far as can be told without its lock.
    fn look(&self, job: &Job, counts: &JobCounts) -> Result<Result<(), Stays>, StoreError> {
        Ok(self.is_free(job)?.and_then(|()| self.judge(job, counts)))
    }

    fn is_free(&self, job: &Job) -> Result<Result<(), Stays>, StoreError> {
        let busy = |runner: Runner| StoreError::Busy { job: job.name.clone(), by: runner.to_string() };
        Ok(self.store.running(job)?.map_or(Ok(()), |runner| Err(Stays::Running(busy(runner)))))
    }

    fn judge(&self, job: &Job, counts: &JobCounts) -> Result<(), Stays> {
        if !self.args.unfinished && !job.is_sealed() {
            return Err(Stays::Unfinished("its input is not complete".to_owned()));
        }
        if !self.args.unfinished && !counts.is_finished() {
            let left = counts.by_status.total() - counts.settled();
            return Err(Stays::Unfinished(format!("{} left", plural(left, "item is", "items are"))));
        }
        match counts.open_letters {
            letters if letters > 0 && !self.args.with_letters => Err(Stays::WithLetters(letters)),
            _ => Ok(()),
        }
    }

    /// Removes a job, if it may be removed.
    fn remove(&mut self, job: &Job) -> Result<Result<(), Stays>, Error> {
        let (bytes, changed) = (self.store.weight(job.id)?, self.store.last_change(job)?);
        if self.args.dry_run {
            let counts = self.store.counts(job.id)?;
            let may_go = self.look(job, &counts)?;
            if may_go.is_ok() {
                self.tell_removed(job, &counts, changed, bytes);
            }
            return Ok(may_go);
        }
        // Others may work on it without its lock, where a store is shared.
        if let Err(stays) = self.is_free(job)? {
            return Ok(Err(stays));
        }
        let orchestrator = match lock(self.store, &job.name) {
            Err(busy @ StoreError::Busy { .. }) => return Ok(Err(Stays::Running(busy))),
            // Another one was quicker; what has the name now is not what was meant.
            Err(StoreError::NoJob { .. }) => return Ok(Ok(())),
            Ok(locked) if locked.job().id != job.id => return Ok(Ok(())),
            locked => locked?,
        };
        loop {
            let mut counts = self.store.counts(job.id)?;
            if let Err(stays) = self.judge(orchestrator.job(), &counts) {
                return Ok(Err(stays));
            }
            if counts.by_status.in_progress > 0 {
                // Its orchestrator was killed, and its agents may be alive.
                orchestrator.clean_up(&Options::default(), &mut ())?;
                counts = self.store.counts(job.id)?;
            }
            if self.store.delete_unchanged(job.id, &counts)? {
                self.tell_removed(job, &counts, changed, bytes);
                return Ok(Ok(()));
            }
        }
    }

    /// Removes what belongs to nobody.
    fn sweep(&mut self) -> Result<(), Error> {
        for job in self.store.jobs()? {
            // What is being written now looks as if it belonged to nobody, so who runs the job must not be there; and
            // nobody is kept from running it for nothing.
            let found = self.store.sweep_job(job.id, false)?;
            if found.pieces == 0 || self.store.running(&job)?.is_some() || self.told.removed.contains(&job.id)
            {
                continue;
            }
            if self.args.dry_run {
                self.told.left_over += found;
                continue;
            }
            match lock(self.store, &job.name) {
                Err(StoreError::Busy { .. } | StoreError::NoJob { .. }) => {}
                Ok(locked) if locked.job().id != job.id => {}
                locked => {
                    let _lock = locked?;
                    self.told.left_over += self.store.sweep_job(job.id, true)?;
                }
            }
        }
        self.told.left_over += self.store.sweep_gone(!self.args.dry_run)?;
        Ok(())
    }

    fn tell_removed(&mut self, job: &Job, counts: &JobCounts, changed: DateTime<Utc>, bytes: u64) {
        self.told.removed.insert(job.id);
        self.told.bytes += bytes;
        let (name, items) = (&job.name, counts.by_status.total());
        self.tell(if self.args.json {
            json!({
                "event": "removed",
                "job": name,
                "items": items,
                "last_change": changed,
                "bytes": bytes,
                "dry_run": self.args.dry_run,
            })
            .to_string()
        } else {
            let (items, at) = (plural(items, "item", "items"), changed.format("%F %T UTC"));
            format!("{name}\t{items}\t{at}\t{}", BinaryBytes(bytes))
        });
    }

    /// Gives room back, and says what was done, whether or not there was room for that. What could not be said is the
    /// result.
    fn finish(mut self) -> Result<Result<(), Error>, Error> {
        let compacted = if self.args.dry_run { Ok(None) } else { self.store.compact().map(Some) };
        let can_wait = compacted.as_ref().is_ok_and(|compacted| *compacted == Some(false));
        if self.args.json {
            self.tell(self.summary_json(compacted.as_ref().ok().copied().flatten()).to_string());
        } else {
            for line in self.summary_lines() {
                self.tell(line);
            }
            if can_wait {
                self.tell("  the file gets smaller at a `workitem gc` while no job is run".to_owned());
            }
        }
        compacted?;
        Ok(self.told.unread.map_or(Ok(()), Err))
    }

    fn summary_json(&self, compacted: Option<bool>) -> Value {
        let Told { removed, bytes, left_over, unfinished, with_letters, running, .. } = &self.told;
        json!({
            "event": "summary",
            "jobs": removed.len(),
            "left_over": left_over.pieces,
            "bytes": bytes + left_over.bytes,
            "kept": { "unfinished": unfinished, "with_letters": with_letters, "running": running },
            "compacted": compacted,
            "dry_run": self.args.dry_run,
        })
    }

    fn summary_lines(&self) -> Vec<String> {
        let Told { removed, bytes, left_over, unfinished, with_letters, running, .. } = &self.told;
        let verb = if self.args.dry_run { "would remove" } else { "removed" };
        let jobs = plural(removed.len(), "job", "jobs");
        let pieces = plural(left_over.pieces, "piece", "pieces");
        let bytes = BinaryBytes(bytes + left_over.bytes);
        let mut lines = vec![format!("{verb} {jobs} and {pieces} that belonged to nobody: {bytes}")];
        let stay = [
            (unfinished, "not finished (--unfinished)"),
            (with_letters, "with open dead letters (--with-letters)"),
            (running, "being run"),
        ];
        let stay = stay.into_iter().filter(|(jobs, _)| **jobs > 0);
        let stay: Vec<String> = stay.map(|(jobs, why)| format!("{jobs} {why}")).collect();
        if !stay.is_empty() {
            lines.push(format!("  of the old jobs stay: {}", stay.join(", ")));
        }
        lines
    }

    /// Prints a line. That nobody reads it does not keep the rest from being done.
    fn tell(&mut self, line: String) {
        if let Err(error) = print_line(line) {
            self.told.unread.get_or_insert(error);
        }
    }
}

fn refused(job: &Job, stays: Stays) -> Error {
    let name = &job.name;
    match stays {
        Stays::Running(busy) => Error::from(busy).next("wait for it, or stop it with Ctrl-C"),
        Stays::Unfinished(why) => Error::usage(format!("job `{name}` is not finished: {why}")).next(format!(
            "go on with it by `workitem resume {}`, or remove it all the same with --unfinished",
            quoted(name)
        )),
        Stays::WithLetters(letters) => Error::usage(format!(
            "job `{name}` has {}",
            plural(letters, "open dead letter", "open dead letters")
        ))
        .next(format!(
            "`workitem dlq list {}` shows them; remove it all the same with --with-letters",
            quoted(name)
        )),
    }
}
