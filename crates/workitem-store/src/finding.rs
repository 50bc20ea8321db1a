//! What whoever keeps a store should know of it, in plain words, and what to do about it.

use crate::{Job, Store, StoreError};

/// Something to know about a store: what [`Upkeep::examine`](crate::Upkeep::examine) has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What was found, with the numbers that made it so.
    pub what: String,
    /// What to do about it, if anything can be done.
    pub next: Option<String>,
}

/// How bad a finding is; the worse, the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Good to know.
    Note,
    /// It will get worse unless something is done.
    Warning,
    /// What the store promises cannot be relied on, or it cannot be worked with.
    Fault,
}

impl Severity {
    /// In a word: `note`, `warning`, `fault`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Fault => "fault",
        }
    }
}

impl Finding {
    /// Good to know.
    pub fn note(what: impl Into<String>) -> Self {
        Self { severity: Severity::Note, what: what.into(), next: None }
    }

    /// It will get worse unless something is done.
    pub fn warning(what: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::note(what) }
    }

    /// The store cannot be relied on.
    pub fn fault(what: impl Into<String>) -> Self {
        Self { severity: Severity::Fault, ..Self::note(what) }
    }

    /// Says what to do about it.
    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }
}

/// The jobs that somebody has left half submitted, or with items in progress, and with which nobody goes on. It is the
/// same for all engines.
///
/// # Errors
///
/// See [`Store`].
pub fn left_behind(store: &dyn Store) -> Result<Vec<Finding>, StoreError> {
    let mut findings = Vec::new();
    for job in store.jobs()? {
        // Looked at before and after it was asked whether anybody runs it: who has just ended has left nothing.
        if left(store, &job)?.is_some() && store.running(&job)?.is_none() {
            findings.extend(left(store, &job)?);
        }
    }
    Ok(findings)
}

/// What would be left of a job if nobody ran it.
fn left(store: &dyn Store, job: &Job) -> Result<Option<Finding>, StoreError> {
    let (job, by) = match (store.job(&job.name), store.counts(job.id)) {
        (Err(StoreError::NoJob { .. }), _) | (_, Err(StoreError::NoJob { .. })) => return Ok(None),
        (job, counts) => (job?, counts?.by_status),
    };
    let held = by.in_progress + by.failed;
    Ok(if !job.is_sealed() {
        let (name, stored) = (&job.name, items(by.total()));
        let what = format!("job `{name}` was being submitted, and nobody goes on with that: {stored} stored");
        let next = "run the same `workitem map` again, or remove it by `workitem gc JOB --unfinished`";
        Some(Finding::warning(what).next(next))
    } else if held > 0 {
        let (name, held) = (&job.name, items(held));
        let what = format!("job `{name}` has {held} in progress, and nobody works on it any more");
        let more = if store.is_shared() { " or a `workitem worker`" } else { "" };
        Some(Finding::warning(what).next(format!("`workitem resume`{more} takes up what is left")))
    } else {
        None
    })
}

fn items(n: usize) -> String {
    format!("{n} {}", if n == 1 { "item" } else { "items" })
}

/// So many bytes, in words.
///
/// ```
/// assert_eq!(workitem_store::engine::size(3 << 29), "1.5 GiB");
/// ```
pub fn size(bytes: u64) -> String {
    const UNITS: [(&str, u32); 4] = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let unit = UNITS.iter().find(|(_, bits)| bytes >> bits > 0);
    unit.map_or_else(
        || format!("{bytes} B"),
        |(name, bits)| {
            let tenths = (u128::from(bytes) * 10) >> bits;
            format!("{}.{} {name}", tenths / 10, tenths % 10)
        },
    )
}

/// So many seconds, in words.
///
/// ```
/// assert_eq!(workitem_store::engine::span(3 * 3_600 + 59), "3 h");
/// ```
pub fn span(seconds: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("days", 172_800), ("h", 7_200), ("min", 120)];
    let unit = UNITS.iter().find(|(_, least)| seconds >= *least);
    unit.map_or_else(|| format!("{seconds} s"), |(name, least)| format!("{} {name}", seconds / (least / 2)))
}

#[cfg(test)]
mod tests {
    use workitem_typestate::AgentFailed;

    use super::*;
    use crate::MemoryStore;
    use crate::contract::{at, claim, job_of, record};

    #[test]
    fn what_is_bad_has_a_word_and_what_is_large_a_unit() {
        let severities = [Severity::Note, Severity::Warning, Severity::Fault];
        assert_eq!(severities.map(Severity::name), ["note", "warning", "fault"]);
        assert_eq!([0, 1_023, 1_536, 3 << 29].map(size), ["0 B", "1023 B", "1.5 KiB", "1.5 GiB"]);
        let spans = ["119 s", "2 min", "119 min", "2 h", "47 h", "2 days"];
        assert_eq!([119, 120, 7_199, 7_200, 172_799, 172_800].map(span), spans);
    }

    #[test]
    fn what_is_left_is_in_progress_or_has_failed_and_nobody_has_settled_it() {
        let store = MemoryStore::new();
        let job = job_of(&store, 3);
        let failed = claim(&store, &job, 2, 1).remove(0).step(AgentFailed { error: "exit 7".into() }, at(2));
        record(&store, failed.seal());
        let found = left_behind(&store).unwrap();
        assert!(found[0].what.contains("2 items in progress"), "{found:?}");
    }
}
