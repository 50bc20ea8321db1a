//! Upkeep of what is in memory: only output can be left over.

use chrono::{DateTime, Utc};

use super::{Item, MemoryStore};
use crate::engine::left_behind;
use crate::{
    BlobName, Captured, Finding, Job, JobCounts, JobId, Kept, Payload, Store, StoreError, StreamKind, Swept,
    Upkeep,
};

impl Upkeep for MemoryStore {
    fn last_change(&self, job: &Job) -> Result<DateTime<Utc>, StoreError> {
        let mut jobs = self.jobs();
        let events = jobs.get(job.id)?.items.iter().flat_map(|item| &item.history);
        Ok(events.map(|row| row.at).max().unwrap_or(job.created_at))
    }

    fn weight(&self, job: JobId) -> Result<u64, StoreError> {
        let mut jobs = self.jobs();
        // What is gone weighs nothing.
        Ok(jobs.get(job).map_or(0, |data| data.items.iter().map(weight).sum()))
    }

    fn delete_unchanged(&self, job: JobId, seen: &JobCounts) -> Result<bool, StoreError> {
        let unchanged = {
            let mut jobs = self.jobs();
            let unchanged = jobs.get(job)?.counts == *seen;
            if unchanged {
                jobs.by_id.remove(&job);
            }
            unchanged
        };
        if unchanged {
            self.delete_job(job)?;
        }
        Ok(unchanged)
    }

    fn sweep_job(&self, job: JobId, remove: bool) -> Result<Swept, StoreError> {
        let mut jobs = self.jobs();
        let Ok(data) = jobs.get(job) else { return Ok(Swept::default()) };
        let refers = |name: &BlobName| {
            let attempts = data.items.iter().flat_map(|item| &item.attempts);
            let mut rows = attempts.filter(|row| (row.seq, row.attempt) == (name.seq, name.attempt));
            rows.any(|row| {
                let captured = match name.stream {
                    StreamKind::Stdout => &row.output.stdout,
                    StreamKind::Stderr => &row.output.stderr,
                };
                matches!(captured.kept, Kept::Blob { .. })
            })
        };
        Ok(self.sweep(remove, |name| name.job == job && !refers(name)))
    }

    fn sweep_gone(&self, remove: bool) -> Result<Swept, StoreError> {
        let jobs = self.jobs();
        Ok(self.sweep(remove, |name| !jobs.by_id.contains_key(&name.job)))
    }

    fn compact(&self) -> Result<bool, StoreError> {
        Ok(true)
    }

    fn examine(&self) -> Result<Vec<Finding>, StoreError> {
        left_behind(self)
    }
}

impl MemoryStore {
    fn sweep(&self, remove: bool, is_stray: impl Fn(&BlobName) -> bool) -> Swept {
        let mut swept = Swept::default();
        self.blobs().retain(|name, bytes| {
            let stray = is_stray(name);
            if stray {
                swept += Swept::piece(bytes.len() as u64);
            }
            !(stray && remove)
        });
        swept
    }
}

fn weight(item: &Item) -> u64 {
    let payload = |payload: &Payload| payload.as_json().len() as u64;
    let kept = |captured: &Captured| captured.kept_len();
    let output = item.attempts.iter().map(|row| kept(&row.output.stdout) + kept(&row.output.stderr));
    payload(&item.payload) + output.sum::<u64>()
}
