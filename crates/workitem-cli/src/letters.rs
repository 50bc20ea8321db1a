//! The open dead letters of a job, and what they have in common.

use serde_json::{Value, json};
use workitem_store::{Job, LetterRow, Store};
use workitem_types::WorkItemStatus;

use crate::error::Error;
use crate::signature::{Group, Groups};

/// Letters read at a time.
const PAGE: usize = 1_000;

/// The open letters of a job, in input order, read in pages.
pub struct Letters<'a> {
    store: &'a dyn Store,
    job: &'a Job,
    after: u64,
    page: std::vec::IntoIter<LetterRow>,
}

impl<'a> Letters<'a> {
    pub fn new(store: &'a dyn Store, job: &'a Job) -> Self {
        Self { store, job, after: 0, page: Vec::new().into_iter() }
    }
}

impl Iterator for Letters<'_> {
    type Item = Result<LetterRow, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.len() == 0 {
            match self.store.letters(self.job.id, self.after, PAGE) {
                Ok(page) => self.page = page.into_iter(),
                Err(error) => return Some(Err(error.into())),
            }
        }
        let letter = self.page.next()?;
        self.after = letter.item.seq;
        Some(Ok(letter))
    }
}

/// The open letters of a job by what they have in common, the largest group first. Looks at no more than the
/// first `most`.
pub fn grouped(store: &dyn Store, job: &Job, most: usize) -> Result<Vec<Group>, Error> {
    let mut groups = Groups::default();
    for letter in Letters::new(store, job).take(most) {
        let letter = letter?;
        let (seq, id) = (letter.item.seq, &letter.item.record.id);
        groups.add(seq, id, &store.payload(job.id, seq)?.to_value(), error_of(&letter));
    }
    Ok(groups.sorted())
}

/// The error a letter died of last: its own, or that of its last successor.
pub fn error_of(letter: &LetterRow) -> &str {
    let last = letter.successors.iter().rev().chain(std::iter::once(&letter.item));
    let mut errors = last.filter_map(|row| match &row.record.status {
        WorkItemStatus::DeadLettered { error, .. } => Some(error.as_str()),
        WorkItemStatus::Pending
        | WorkItemStatus::InProgress { .. }
        | WorkItemStatus::Completed { .. }
        | WorkItemStatus::Failed { .. } => None,
    });
    errors.next().unwrap_or_default()
}

/// A group, as JSON.
pub fn group_json(group: &Group) -> Value {
    let (id, error) = &group.first;
    json!({
        "group": group.name,
        "letters": group.letters.len(),
        "signature": group.signature,
        "first": { "id": id, "error": error },
    })
}
