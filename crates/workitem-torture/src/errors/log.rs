//! What `strace` tells of calls that it made fail.

use std::collections::{BTreeMap, BTreeSet};

/// Calls that were made, in the order in which they ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// How many were made to fail.
    pub failed: usize,
    /// Attempts with long output that was not made durable: the item's number, and that of the attempt.
    pub unsynced: BTreeSet<(u64, usize)>,
    /// The folders of a new store could not be synced. SQLite syncs the one of its files, too, and passes over errors
    /// there: that is not meant.
    pub names_unsynced: bool,
}

impl Log {
    /// Reads it. Descriptors must be told with their paths.
    pub fn read(text: &str) -> Self {
        let mut log = Self::default();
        let mut begun: BTreeMap<&str, &str> = BTreeMap::new();
        // What each thread has synced last: the folders that it syncs next are those in which the name of that stands.
        let mut last: BTreeMap<&str, (u64, usize)> = BTreeMap::new();
        let mut use_sqlite: BTreeSet<&str> = BTreeSet::new();
        for line in text.lines() {
            let Some((thread, call)) = line.split_once(' ') else { continue };
            let call = call.trim_start();
            if call.ends_with("<unfinished ...>") {
                begun.insert(thread, call);
                continue;
            }
            let has_failed = call.contains("(INJECTED)");
            log.failed += usize::from(has_failed);
            let call = if call.starts_with("<... ") { begun.remove(thread).unwrap_or(call) } else { call };
            if !call.starts_with("fsync") && !call.starts_with("fdatasync") {
                continue;
            }
            let path =
                call.split_once('<').and_then(|(_, path)| path.split_once('>')).map_or("", |(path, _)| path);
            if let Some(attempt) = attempt(path) {
                last.insert(thread, attempt);
            } else if path.contains("workitem.db-") || path.ends_with("workitem.db") {
                // Whether that was told to anybody, the store itself says.
                use_sqlite.insert(thread);
                continue;
            }
            if has_failed {
                match last.get(thread) {
                    Some(attempt) => _ = log.unsynced.insert(*attempt),
                    None => log.names_unsynced |= !use_sqlite.contains(thread),
                }
            }
        }
        log
    }
}

/// Of the file of an output, `…output/1/7-2.stdout`, the item's number and that of the attempt.
fn attempt(path: &str) -> Option<(u64, usize)> {
    let (folder, name) = path.rsplit_once('/')?;
    let (numbers, _) = name.split_once('.').filter(|_| folder.contains(".output/"))?;
    let (seq, attempt) = numbers.split_once('-')?;
    Some((seq.parse().ok()?, attempt.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_synced_is_known() {
        let log = Log::read(
            "70 fsync(4</w/.workitem>) = -1 EIO (Input/output error) (INJECTED)
71 fsync(9</w/.workitem/workitem.db.output/1/7-2.stdout>) = 0
72 fsync(9</w/.workitem/workitem.db.output/1/8-1.stdout> <unfinished ...>
71 fsync(9</w/.workitem/workitem.db.output>) = -1 EIO (Input/output error) (INJECTED)
72 <... fsync resumed>)              = -1 EIO (Input/output error) (INJECTED)
74 fsync(5</w/.workitem/workitem.db-wal>) = -1 EIO (Input/output error) (INJECTED)
74 fsync(4</w/.workitem>) = -1 EIO (Input/output error) (INJECTED)
73 fsync(9</w/.workitem/workitem.db.output/1/9-1.stderr>) = 0
",
        );
        assert_eq!(log, Log { failed: 5, unsynced: [(7, 2), (8, 1)].into(), names_unsynced: true });
        let of_sqlite = "7 fsync(3</w/workitem.db-wal>) = 0\n7 fsync(4</w>) = -1 EIO (Error) (INJECTED)\n";
        assert_eq!(Log::read(of_sqlite), Log { failed: 1, ..Log::default() });
    }
}
