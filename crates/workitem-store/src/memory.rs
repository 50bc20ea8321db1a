//! A store that forgets everything when it is dropped: for tests, simulation, and jobs that need no disk.

mod fleet;
mod upkeep;

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Cursor, Read, Write};
use std::mem;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use workitem_types::{ItemId, StatusKind, WorkItemRecord, WorkItemStatus};

use self::fleet::Fleet;
use crate::engine::{abandoned, claim_step, count_step, history_rows, successor_id, system_time};
use crate::{
    Abandoned, AnyStep, AttemptRow, BlobName, BlobWriter, Blobs, Call, Claim, ClaimRequest, Claims, Control,
    HistoryRow, ItemQuery, ItemRow, Job, JobCounts, JobId, JobLock, LetterRow, Listening, NewItem, NewJob,
    Outcome, Payload, Runner, Skipped, Store, StoreError, check_item, whole_micros,
};

const NAME: &str = "in memory";

/// An in-memory [`Store`]. Clones share what they hold.
#[derive(Clone, Default)]
pub struct MemoryStore(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// Those who share it, if it is one to be shared.
    fleet: Option<Fleet>,
    jobs: Mutex<Jobs>,
    blobs: Mutex<HashMap<BlobName, Arc<[u8]>>>,
}

#[derive(Default)]
struct Jobs {
    by_id: BTreeMap<JobId, JobData>,
    made: i64,
}

struct JobData {
    job: Job,
    control: Control,
    counts: JobCounts,
    items: Vec<Item>,
    seq_of: HashMap<ItemId, u64>,
    skipped: BTreeMap<u64, Skipped>,
    runner: Option<Runner>,
    /// Somebody has noted that no item will change any more.
    finished: bool,
}

struct Item {
    row: ItemRow,
    payload: Payload,
    spawned: bool,
    /// Who claimed it last.
    agent: String,
    /// It is a dead letter that was dropped.
    dropped: bool,
    history: Vec<HistoryRow>,
    attempts: Vec<AttemptRow>,
}

impl MemoryStore {
    /// An empty store, as an embedded one: one orchestrator runs a job.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty store on which several orchestrators may work on one job, by a clock of its own.
    pub fn shared(clock: impl Fn() -> DateTime<Utc> + Send + Sync + 'static) -> Self {
        let fleet = Some(Fleet::new(Arc::new(clock)));
        Self(Arc::new(Shared { fleet, ..Shared::default() }))
    }

    /// Something about a job has changed that others want to know.
    fn call(&self, job: JobId) {
        if let Some(fleet) = &self.0.fleet {
            fleet.call(job);
        }
    }

    fn jobs(&self) -> MutexGuard<'_, Jobs> {
        self.0.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn blobs(&self) -> MutexGuard<'_, HashMap<BlobName, Arc<[u8]>>> {
        self.0.blobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Jobs {
    fn get(&mut self, id: JobId) -> Result<&mut JobData, StoreError> {
        let no_job = || StoreError::NoJob { name: format!("number {id}"), store: NAME.to_owned() };
        self.by_id.get_mut(&id).ok_or_else(no_job)
    }

    fn named(&self, name: &str) -> Option<&JobData> {
        self.by_id.values().find(|data| data.job.name == name)
    }

    fn free_name(&self) -> String {
        let mut names = (self.made + 1..).map(|number| format!("job-{number}"));
        names.find(|name| self.named(name).is_none()).expect("there are more numbers than jobs")
    }
}

impl JobData {
    fn between(&self, seqs: RangeInclusive<u64>) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(move |item| seqs.contains(&item.row.seq))
    }

    fn item_mut(&mut self, seq: u64) -> Option<&mut Item> {
        self.items.get_mut(usize::try_from(seq).ok()?.checked_sub(1)?)
    }

    fn add(&mut self, id: ItemId, payload: Payload, origin: Option<ItemId>) {
        let seq = self.items.len() as u64 + 1;
        self.seq_of.insert(id.clone(), seq);
        let record = WorkItemRecord::new(id);
        let row = ItemRow { seq, record, version: 0, crashes: 0, run_at: None, origin };
        self.items.push(Item {
            row,
            payload,
            spawned: false,
            agent: String::new(),
            dropped: false,
            history: Vec::new(),
            attempts: Vec::new(),
        });
        self.counts.by_status.pending += 1;
        self.finished = false;
    }

    /// Adds what is new of a batch, all of it or nothing.
    fn add_new(&mut self, items: &[NewItem]) -> Result<usize, StoreError> {
        let mut fresh: Vec<&NewItem> = Vec::new();
        let mut fresh_ids: HashMap<&ItemId, &Payload> = HashMap::new();
        for item in items {
            check_item(item)?;
            let stored = self.seq_of.get(&item.id).and_then(|seq| self.between(*seq..=*seq).next());
            let known = stored.map(|stored| &stored.payload);
            match known.or_else(|| fresh_ids.get(&item.id).copied()) {
                Some(payload) if *payload == item.payload => {}
                Some(_) => return Err(StoreError::Conflict { id: item.id.clone() }),
                None => {
                    fresh_ids.insert(&item.id, &item.payload);
                    fresh.push(item);
                }
            }
        }
        let added = fresh.len();
        for item in fresh {
            self.add(item.id.clone(), item.payload.clone(), None);
        }
        Ok(added)
    }

    fn successors(&self, letter: &ItemId) -> Vec<ItemRow> {
        let of_letter = self.items.iter().filter(|item| item.row.origin.as_ref() == Some(letter));
        of_letter.map(|item| item.row.clone()).collect()
    }

    /// A dead letter and its successors, unless it is dealt with.
    fn open_letter(&self, item: &Item) -> Option<LetterRow> {
        let dead = item.row.record.status.kind() == StatusKind::DeadLettered && item.row.origin.is_none();
        let successors = self.successors(&item.row.record.id);
        let mended = successors.iter().any(|row| row.record.status.kind() == StatusKind::Completed);
        (dead && !mended && !item.dropped).then(|| LetterRow { item: item.row.clone(), successors })
    }

    fn write(&mut self, step: &AnyStep) -> Outcome {
        let token = step.token();
        let Some(item) = self.item_mut(token.seq()) else { return Outcome::Fenced };
        let mut rows = history_rows(step);
        if item.row.version != token.version() {
            let known = item.history.get(usize::try_from(token.version()).unwrap_or(usize::MAX)..);
            let repeated = known.is_some_and(|known| rows.all(|row| known.contains(&row)));
            return if repeated { Outcome::Recorded } else { Outcome::Fenced };
        }
        item.history.extend(rows);
        item.row.version = step.version_after();
        item.row.record = step.record().clone();
        item.row.run_at = step.run_at();
        item.row.crashes += usize::from(step.is_crash());
        item.spawned = false;
        if let WorkItemStatus::InProgress { agent_id, .. } = &step.record().status {
            item.agent.clone_from(agent_id);
        }
        let (seq, attempt) = (token.seq(), step.record().attempts);
        if !step.output().is_empty() && item.attempts.iter().all(|row| row.attempt != attempt) {
            item.attempts.push(AttemptRow { seq, attempt, output: step.output().clone() });
        }
        let origin = item.row.origin.clone();
        count_step(&mut self.counts, step, origin.as_ref());
        Outcome::Recorded
    }
}

impl Store for MemoryStore {
    fn name(&self) -> String {
        NAME.to_owned()
    }

    fn identity(&self) -> String {
        format!("{}-{:p}", std::process::id(), Arc::as_ptr(&self.0))
    }

    fn now(&self) -> Result<DateTime<Utc>, StoreError> {
        Ok(self.0.fleet.as_ref().map_or_else(system_time, |fleet| whole_micros((fleet.clock)())))
    }

    fn is_shared(&self) -> bool {
        self.0.fleet.is_some()
    }

    fn create_job(&self, new: &NewJob) -> Result<Job, StoreError> {
        let mut jobs = self.jobs();
        let name = new.name.clone().unwrap_or_else(|| jobs.free_name());
        if jobs.named(&name).is_some() {
            return Err(StoreError::JobExists { name });
        }
        jobs.made += 1;
        let id = JobId(jobs.made);
        let (spec, created_at) = (new.spec.clone(), whole_micros(new.now));
        let job = Job { id, name, spec, created_at, digest: None, input_items: 0 };
        let data = JobData {
            job: job.clone(),
            control: Control::default(),
            counts: JobCounts::default(),
            items: Vec::new(),
            seq_of: HashMap::new(),
            skipped: BTreeMap::new(),
            runner: None,
            finished: false,
        };
        jobs.by_id.insert(id, data);
        Ok(job)
    }

    fn job(&self, name: &str) -> Result<Job, StoreError> {
        let no_job = || StoreError::NoJob { name: name.to_owned(), store: NAME.to_owned() };
        self.jobs().named(name).map(|data| data.job.clone()).ok_or_else(no_job)
    }

    fn jobs(&self) -> Result<Vec<Job>, StoreError> {
        Ok(self.jobs().by_id.values().map(|data| data.job.clone()).collect())
    }

    fn delete_job(&self, job: JobId) -> Result<(), StoreError> {
        self.jobs().by_id.remove(&job);
        self.blobs().retain(|name, _| name.job != job);
        Ok(())
    }

    fn lock_job(&self, job: &Job, runner: &Runner) -> Result<Box<dyn JobLock>, StoreError> {
        let mut jobs = self.jobs();
        let data = jobs.get(job.id)?;
        if let Some(runner) = &data.runner {
            return Err(StoreError::Busy { job: job.name.clone(), by: runner.to_string() });
        }
        data.runner = Some(runner.clone());
        Ok(Box::new(MemoryLock { store: self.clone(), job: job.id }))
    }

    fn running(&self, job: &Job) -> Result<Option<Runner>, StoreError> {
        let mut jobs = self.jobs();
        let data = jobs.get(job.id)?;
        // Who works on it without its lock; since when is not known.
        let worker = || {
            let fleet = self.0.fleet.as_ref().filter(|fleet| fleet.is_anybody_there(job.id))?;
            Some(Runner { process: 0, since: (fleet.clock)(), settled_before: data.counts.settled() })
        };
        Ok(data.runner.clone().or_else(worker))
    }

    fn submit(&self, job: JobId, items: &[NewItem]) -> Result<usize, StoreError> {
        let mut jobs = self.jobs();
        let data = jobs.get(job)?;
        if data.job.is_sealed() {
            return Err(StoreError::Sealed { job: data.job.name.clone() });
        }
        data.add_new(items)
    }

    fn add(&self, job: JobId, items: &[NewItem]) -> Result<usize, StoreError> {
        let mut jobs = self.jobs();
        let data = jobs.get(job)?;
        if !data.job.is_sealed() {
            return Err(StoreError::Submitting { job: data.job.name.clone() });
        }
        let added = data.add_new(items)?;
        drop(jobs);
        self.call(job);
        Ok(added)
    }

    fn control(&self, job: JobId) -> Result<Control, StoreError> {
        Ok(self.jobs().get(job)?.control)
    }

    fn set_control(&self, job: JobId, control: Control) -> Result<(), StoreError> {
        self.jobs().get(job)?.control = control;
        self.call(job);
        Ok(())
    }

    fn skip(&self, job: JobId, lines: &[Skipped]) -> Result<(), StoreError> {
        let mut jobs = self.jobs();
        let data = jobs.get(job)?;
        for line in lines {
            data.skipped.entry(line.position).or_insert_with(|| line.clone());
        }
        data.counts.skipped = data.skipped.len();
        Ok(())
    }

    fn seal(&self, job: JobId, digest: &str) -> Result<(), StoreError> {
        let mut jobs = self.jobs();
        let data = jobs.get(job)?;
        match &data.job.digest {
            Some(sealed) if sealed != digest => Err(StoreError::Sealed { job: data.job.name.clone() }),
            Some(_) => Ok(()),
            None => {
                data.job.digest = Some(digest.to_owned());
                data.job.input_items = data.items.len() as u64;
                drop(jobs);
                self.call(job);
                Ok(())
            }
        }
    }

    fn claim(&self, request: &ClaimRequest<'_>) -> Result<Claims, StoreError> {
        let mut jobs = self.jobs();
        let data = jobs.get(request.job)?;
        let claimable = |item: &&Item| data.job.is_sealed() && item.row.record.status.needs_processing();
        let pending = data.items.iter().filter(claimable);
        let mut due: Vec<(Option<DateTime<Utc>>, u64)> =
            pending.map(|item| (item.row.run_at, item.row.seq)).collect();
        due.sort_unstable();
        let (now, by) = (whole_micros(request.now), whole_micros(request.due));
        let ready = due.partition_point(|(run_at, _)| run_at.is_none_or(|run_at| run_at <= by));
        let taken = ready.min(request.limit);
        let next_due = due.get(taken).map(|(run_at, _)| run_at.unwrap_or(now));
        let mut claims = Vec::with_capacity(taken);
        for (nth, (_, seq)) in due.into_iter().take(taken).enumerate() {
            let item = data.item_mut(seq).expect("the item was just listed");
            let payload = item.payload.clone();
            let step = claim_step(NAME, request.job, item.row.clone(), request.agent, now)?.seal();
            data.write(&step);
            let item = data.item_mut(seq).expect("the item was just listed");
            item.spawned = nth < request.spawning;
            claims.push(Claim { leased: step.durable(), payload });
        }
        if let Some(fleet) = self.0.fleet.as_ref().filter(|_| !claims.is_empty()) {
            fleet.prolong(request.job, request.agent, request.lease);
        }
        Ok(Claims { claims, next_due })
    }

    fn record(&self, steps: &[AnyStep]) -> Result<Vec<Outcome>, StoreError> {
        let mut jobs = self.jobs();
        for step in steps {
            jobs.get(step.token().job())?;
        }
        steps.iter().map(|step| Ok(jobs.get(step.token().job())?.write(step))).collect()
    }

    fn renew(&self, job: JobId, agent: &str, lease: Duration, _: DateTime<Utc>) -> Result<(), StoreError> {
        if let Some(fleet) = &self.0.fleet {
            fleet.renew(job, agent, lease);
        }
        Ok(())
    }

    fn abandoned(&self, job: JobId, limit: usize, _: DateTime<Utc>) -> Result<Vec<Abandoned>, StoreError> {
        let mut jobs = self.jobs();
        let is_held =
            |item: &Item| self.0.fleet.as_ref().is_some_and(|fleet| fleet.is_there(job, &item.agent));
        let rows = jobs.get(job)?.items.iter().filter(|item| {
            let kind = item.row.record.status.kind();
            (kind == StatusKind::InProgress || kind == StatusKind::Failed) && !is_held(item)
        });
        rows.take(limit).map(|item| abandoned(NAME, job, item.row.clone(), item.spawned)).collect()
    }

    fn finish(&self, job: JobId, _: DateTime<Utc>) -> Result<bool, StoreError> {
        let mut jobs = self.jobs();
        let data = jobs.get(job)?;
        if !data.counts.is_finished() {
            return Ok(false);
        }
        let was_noted = mem::replace(&mut data.finished, true);
        drop(jobs);
        if !was_noted {
            self.call(job);
        }
        Ok(!was_noted || self.0.fleet.is_none())
    }

    fn listen(&self, job: Option<JobId>, call: Call) -> Result<Option<Box<dyn Listening>>, StoreError> {
        Ok(self.0.fleet.as_ref().map(|fleet| fleet.listen(job, call)))
    }

    fn counts(&self, job: JobId) -> Result<JobCounts, StoreError> {
        Ok(self.jobs().get(job)?.counts.clone())
    }

    fn waiting(&self, job: JobId, now: DateTime<Utc>) -> Result<usize, StoreError> {
        let mut jobs = self.jobs();
        let late = |item: &&Item| item.row.run_at.is_some_and(|run_at| run_at > now);
        let pending = |item: &&Item| item.row.record.status.needs_processing();
        Ok(jobs.get(job)?.items.iter().filter(pending).filter(late).count())
    }

    fn items(&self, job: JobId, query: &ItemQuery) -> Result<Vec<ItemRow>, StoreError> {
        let mut jobs = self.jobs();
        let data = jobs.get(job)?;
        let after = data.between(query.after + 1..=u64::MAX).map(|item| &item.row);
        let wanted = after.filter(|row| query.status.is_none_or(|kind| row.record.status.kind() == kind));
        Ok(wanted.take(query.limit).cloned().collect())
    }

    fn item(&self, job: &Job, id: &ItemId) -> Result<ItemRow, StoreError> {
        let mut jobs = self.jobs();
        let data = jobs.get(job.id)?;
        let seq = data.seq_of.get(id).copied();
        let found = seq.and_then(|seq| data.between(seq..=seq).next());
        let no_item = || StoreError::NoItem { job: job.name.clone(), id: id.clone() };
        found.map(|item| item.row.clone()).ok_or_else(no_item)
    }

    fn payload(&self, job: JobId, seq: u64) -> Result<Payload, StoreError> {
        let mut jobs = self.jobs();
        let item = jobs.get(job)?.item_mut(seq);
        let damaged = || StoreError::Damaged { store: NAME.to_owned(), what: format!("no item {seq}") };
        item.map(|item| item.payload.clone()).ok_or_else(damaged)
    }

    fn history(&self, job: JobId, seqs: RangeInclusive<u64>) -> Result<Vec<HistoryRow>, StoreError> {
        Ok(self.jobs().get(job)?.between(seqs).flat_map(|item| item.history.clone()).collect())
    }

    fn attempts(&self, job: JobId, seqs: RangeInclusive<u64>) -> Result<Vec<AttemptRow>, StoreError> {
        Ok(self.jobs().get(job)?.between(seqs).flat_map(|item| item.attempts.clone()).collect())
    }

    fn skipped(&self, job: JobId) -> Result<Vec<Skipped>, StoreError> {
        Ok(self.jobs().get(job)?.skipped.values().cloned().collect())
    }

    fn letters(&self, job: JobId, after: u64, limit: usize) -> Result<Vec<LetterRow>, StoreError> {
        let mut jobs = self.jobs();
        let data = jobs.get(job)?;
        let letters = data.between(after + 1..=u64::MAX).filter_map(|item| data.open_letter(item));
        Ok(letters.take(limit).collect())
    }

    fn retry_letters(&self, job: JobId, seqs: &[u64]) -> Result<Vec<ItemId>, StoreError> {
        let mut jobs = self.jobs();
        let data = jobs.get(job)?;
        let mut made = Vec::new();
        for seq in seqs {
            let Some(item) = data.between(*seq..=*seq).next() else { continue };
            let Some(letter) = data.open_letter(item) else { continue };
            if letter.is_alive() {
                continue;
            }
            let (origin, payload) = (letter.item.record.id, item.payload.clone());
            let ids = (letter.successors.len() + 1..).map(|n| successor_id(&origin, n));
            let free = ids.into_iter().find(|id| !data.seq_of.contains_key(id));
            let id = free.expect("there are more numbers than items");
            data.add(id.clone(), payload, Some(origin));
            made.push(id);
        }
        drop(jobs);
        self.call(job);
        Ok(made)
    }

    fn drop_letters(&self, job: JobId, seqs: &[u64]) -> Result<usize, StoreError> {
        let mut jobs = self.jobs();
        let data = jobs.get(job)?;
        let mut dropped = 0;
        for seq in seqs {
            let Some(item) = data.between(*seq..=*seq).next() else { continue };
            if data.open_letter(item).is_some_and(|letter| !letter.is_alive()) {
                data.item_mut(*seq).expect("the item was just looked at").dropped = true;
                dropped += 1;
            }
        }
        data.counts.open_letters -= dropped;
        Ok(dropped)
    }

    fn recount(&self, job: JobId) -> Result<JobCounts, StoreError> {
        let mut jobs = self.jobs();
        let data = jobs.get(job)?;
        let mut counts = JobCounts { skipped: data.skipped.len(), ..JobCounts::default() };
        for item in &data.items {
            *counts.of(item.row.record.status.kind()) += 1;
            counts.open_letters += usize::from(data.open_letter(item).is_some());
        }
        Ok(counts)
    }

    fn check_files(&self, _: JobId) -> Result<Vec<String>, StoreError> {
        Ok(vec![])
    }
}

struct MemoryLock {
    store: MemoryStore,
    job: JobId,
}

impl JobLock for MemoryLock {}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        if let Ok(data) = self.store.jobs().get(self.job) {
            data.runner = None;
        }
    }
}

impl Blobs for MemoryStore {
    fn create(&self, name: BlobName) -> Result<Box<dyn BlobWriter>, StoreError> {
        Ok(Box::new(MemoryBlob { store: self.clone(), name, bytes: Vec::new() }))
    }

    fn open(&self, name: BlobName) -> Result<Box<dyn Read + Send>, StoreError> {
        let missing = || StoreError::Damaged { store: NAME.to_owned(), what: format!("no output {name}") };
        let bytes = self.blobs().get(&name).cloned().ok_or_else(missing)?;
        Ok(Box::new(Cursor::new(bytes)))
    }
}

struct MemoryBlob {
    store: MemoryStore,
    name: BlobName,
    bytes: Vec<u8>,
}

impl Write for MemoryBlob {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl BlobWriter for MemoryBlob {
    fn finish(self: Box<Self>) -> io::Result<()> {
        self.store.blobs().insert(self.name, self.bytes.into());
        Ok(())
    }
}
