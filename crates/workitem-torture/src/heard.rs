//! What a run has told the world: its output and its events, and what its agents noted down. All of it is acknowledged,
//! and what the checker has once seen in a store is so too.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use serde_json::Value;
use workitem_store::{ItemQuery, Store, StoreError};
use workitem_types::StatusKind;

use crate::checker::Acknowledged;

/// An agent for `sh -c`: it notes its start, does what its item says, and prints its id before anything else. `$1` is the
/// item, `$2` the job; the file `big`, and `mended.JOB` once
/// nothing is to fail any more, stand in its folder.
pub const AGENT: &str = r#"echo "$WORKITEM_ID $WORKITEM_ATTEMPT" >> "started.$2"
[ -e "mended.$2" ] || case $1 in bad) exit 7;; flaky) [ $((WORKITEM_ATTEMPT % 2)) = 0 ] || exit 75;; esac
echo "$WORKITEM_ID done"
case $1 in slow) sleep 0.02;; big) cat big;; esac"#;

/// The file `big`: too long for a row of the store, so that it goes into a file.
pub fn big() -> Vec<u8> {
    let mut line = vec![b' '; 40_000];
    line.push(b'\n');
    line
}

/// What is known of one job, from all of its runs.
#[derive(Debug, Default)]
pub struct Heard {
    /// For the checker.
    pub acknowledged: Acknowledged,
    printed: BTreeSet<String>,
    started: BTreeSet<(String, usize)>,
    /// Lines of the agents' notes that were read.
    noted: usize,
}

impl Heard {
    /// Takes in what a run has printed. What is wrong with that is the answer.
    pub fn run(&mut self, stdout: &[u8], stderr: &str) -> Vec<String> {
        let mut wrong = Vec::new();
        for line in String::from_utf8_lossy(stdout).lines() {
            // The last one may be cut off; with a blank behind it the id is whole. Other lines are of `big`, or of `gc`.
            let is_output = |(id, rest): &(&str, &str)| !id.is_empty() && "done".starts_with(rest);
            let Some((id, _)) = line.split_once(' ').filter(is_output) else { continue };
            if !self.printed.insert(id.to_owned()) {
                wrong.push(format!("the output of item `{id}` was printed twice"));
            }
            self.acknowledged.completed.insert(id.to_owned());
        }
        for line in stderr.lines() {
            let Ok(event) = serde_json::from_str::<Value>(line) else { continue };
            let id = || event["id"].as_str().unwrap_or_default().to_owned();
            match event["event"].as_str() {
                Some("completed") => {
                    let attempt = event["attempt"].as_u64().and_then(|attempt| attempt.try_into().ok());
                    wrong.extend(self.completed(&id(), attempt));
                }
                Some("dead_lettered") => _ = self.acknowledged.given_up.insert(id()),
                Some("fenced") => wrong.push(format!("item `{}` was fenced: two had it", id())),
                Some("submitted") => self.items(event["items"].as_u64()),
                _ => {}
            }
        }
        if stderr.contains("panicked") {
            wrong.push(format!("it panicked: {stderr}"));
        }
        wrong
    }

    /// Takes in that an item was reported as completed, perhaps by which attempt; wrong is if it was so before.
    pub fn completed(&mut self, id: &str, attempt: Option<usize>) -> Option<String> {
        self.acknowledged.completed.insert(id.to_owned());
        let before = self.acknowledged.completed_by.insert(id.to_owned(), attempt?);
        before.map(|_| format!("item `{id}` was reported as completed twice"))
    }

    /// Takes in what agents noted since. `done` are items that were completed before: none of them may start.
    ///
    /// # Errors
    ///
    /// If the file cannot be read; it need not be there.
    pub fn starts(&mut self, file: &Path, done: &BTreeSet<String>) -> io::Result<Vec<String>> {
        let text = match fs::read_to_string(file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            text => text?,
        };
        let mut wrong = Vec::new();
        for line in text.lines().skip(self.noted) {
            self.noted += 1;
            // Who it was may follow, and what is for others.
            let mut words = line.split(' ');
            let (Some(id), Some(attempt)) = (words.next(), words.next()) else { continue };
            let Ok(attempt) = attempt.parse::<usize>() else { continue };
            if !self.started.insert((id.to_owned(), attempt)) {
                wrong.push(format!("attempt {attempt} at item `{id}` has started twice"));
            }
            if let Some(starter) = words.next() {
                self.acknowledged.starters.insert((id.to_owned(), attempt), starter.to_owned());
            }
            if done.contains(id) {
                wrong.push(format!(
                    "item `{id}` was completed, and attempt {attempt} at it has started since"
                ));
            }
            let last = self.acknowledged.started.entry(id.to_owned()).or_default();
            *last = attempt.max(*last);
        }
        Ok(wrong)
    }

    /// Takes in what the store says now: it must say so for ever.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it cannot be read.
    pub fn saw(&mut self, store: &dyn Store, name: &str) -> Result<(), StoreError> {
        let job = match store.job(name) {
            Err(StoreError::NoJob { .. }) => return Ok(()),
            job => job?,
        };
        let all = ItemQuery { status: None, after: 0, limit: 1_000_000 };
        let items = store.items(job.id, &all)?;
        if job.is_sealed() {
            self.items(Some(items.len() as u64));
        }
        for item in items {
            let id = item.record.id.to_string();
            match item.record.status.kind() {
                StatusKind::Completed => _ = self.acknowledged.completed.insert(id),
                StatusKind::DeadLettered => _ = self.acknowledged.given_up.insert(id),
                StatusKind::Pending | StatusKind::InProgress | StatusKind::Failed => {}
            }
        }
        Ok(())
    }

    /// Agents that have started so far.
    pub fn agents(&self) -> usize {
        self.started.len()
    }

    /// Takes in that so many items were said to be stored.
    pub fn items(&mut self, items: Option<u64>) {
        let items = items.and_then(|items| usize::try_from(items).ok());
        self.acknowledged.items = self.acknowledged.items.max(items);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_acknowledged_and_may_be_printed_once() {
        let mut heard = Heard::default();
        assert!(heard.run(b"1 done\n   \n2~1 done\n3 d", "").is_empty());
        assert_eq!(heard.acknowledged.completed, ["1", "2~1", "3"].map(String::from).into());
        assert!(heard.run(b"4", "").is_empty(), "`4` may be the beginning of `42`");
        assert_eq!(heard.run(b"3 done\n", ""), ["the output of item `3` was printed twice"]);
    }

    #[test]
    fn events_acknowledge_too() {
        let mut heard = Heard::default();
        let events = concat!(
            r#"{"event":"submitted","job":"j","items":7}"#,
            "\n",
            r#"{"event":"dead_lettered","id":"2"}"#,
            "\n",
            r#"{"event":"completed","id":"1"}"#,
            "\n",
            r#"{"event":"compl"#
        );
        assert!(heard.run(b"", events).is_empty());
        let Acknowledged { items, completed, given_up, .. } = &heard.acknowledged;
        assert_eq!((*items, completed.len(), given_up.len()), (Some(7), 1, 1));
    }

    #[test]
    fn starts_are_noted_once_and_never_after_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let (file, mut heard) = (folder.path().join("started"), Heard::default());
        assert!(heard.starts(&file, &BTreeSet::new()).unwrap().is_empty());
        fs::write(&file, "1 1\n1 2\n2 1\n").unwrap();
        assert!(heard.starts(&file, &BTreeSet::new()).unwrap().is_empty());
        assert_eq!(heard.acknowledged.started["1"], 2);
        fs::write(&file, "1 1\n1 2\n2 1\n2 1\n1 3\n").unwrap();
        let wrong = heard.starts(&file, &["1".to_owned()].into()).unwrap();
        assert_eq!(wrong.len(), 2, "{wrong:?}");
    }
}
