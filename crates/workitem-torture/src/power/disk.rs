//! A disk that keeps what it was told to keep, and of the rest whatever it likes.
//!
//! It promises what POSIX does, and no more than ext4: a file's bytes and its length are durable once the file is
//! synced, a name once its folder is. Of what was written since, each sector of 512 bytes is there or not, and so is
//! every name made or removed, in whatever order that was.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fastrand::Rng;

use super::trace::{Call, What};

/// What a disk writes at once.
const SECTOR: u64 = 512;

/// What is there after power was lost: bytes of files, and folders without.
pub type Files = BTreeMap<PathBuf, Option<Vec<u8>>>;

/// How much survives of what was not synced.
#[derive(Debug, Clone, Copy)]
pub enum Survival {
    /// What was begun before that line, all of it, and nothing since.
    Until(usize),
    /// Each piece with this chance.
    Chance(f64),
}

/// The disk at one moment.
#[derive(Debug, Default)]
pub struct Disk<'a> {
    files: Vec<File<'a>>,
    names: BTreeMap<&'a Path, Name>,
}

#[derive(Debug, Default)]
struct File<'a> {
    durable: Vec<u8>,
    since: Vec<&'a Call>,
}

#[derive(Debug, Default)]
struct Name {
    durable: Option<Entry>,
    /// What it became, and when that began and ended.
    since: Vec<(usize, usize, Option<Entry>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    Folder,
    File(usize),
}

impl<'a> Disk<'a> {
    /// What it was told until a moment.
    pub fn at(moment: usize, calls: &'a [Call]) -> Self {
        let mut disk = Self::default();
        // A sync holds from its end on, and all others from their beginning.
        let mut syncs: Vec<&Call> = Vec::new();
        for call in calls.iter().take_while(|call| call.begun <= moment) {
            disk.sync(&mut syncs, call.begun);
            match &call.what {
                What::Sync(_) => syncs.push(call),
                _ => disk.take(call),
            }
        }
        disk.sync(&mut syncs, moment + 1);
        disk
    }

    /// What is left when power is lost now.
    pub fn lose(&self, survival: Survival, rng: &mut Rng) -> Files {
        let mut files = Files::new();
        // A folder stands before what is in it.
        for (path, name) in &self.names {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            if parent.is_some_and(|parent| files.get(parent) != Some(&None)) {
                continue;
            }
            let mut entry = name.durable;
            for (begun, _, changed) in &name.since {
                if survives(survival, *begun, rng) {
                    entry = *changed;
                }
            }
            match entry {
                None => {}
                Some(Entry::Folder) => _ = files.insert(path.to_path_buf(), None),
                Some(Entry::File(number)) => {
                    files.insert(path.to_path_buf(), Some(self.files[number].lose(survival, rng)));
                }
            }
        }
        files
    }

    fn take(&mut self, call: &'a Call) {
        match &call.what {
            What::Make(path) => {
                if self.entry(path).is_none() {
                    self.files.push(File::default());
                    self.name(path, call, Some(Entry::File(self.files.len() - 1)));
                }
            }
            What::Folder(path) => self.name(path, call, Some(Entry::Folder)),
            What::Remove(path) => self.name(path, call, None),
            What::Write { file, .. } | What::Cut { file, .. } => {
                if let Some(Entry::File(number)) = self.entry(file) {
                    self.files[number].since.push(call);
                }
            }
            What::Sync(_) | What::Say { .. } | What::Start(_) => {}
        }
    }

    fn name(&mut self, path: &'a Path, call: &Call, entry: Option<Entry>) {
        self.names.entry(path).or_default().since.push((call.begun, call.ended, entry));
    }

    /// What a name leads to for programs, which see all of it.
    fn entry(&self, path: &Path) -> Option<Entry> {
        let name = self.names.get(path)?;
        name.since.last().map_or(name.durable, |(_, _, entry)| *entry)
    }

    /// Makes durable what was done before those syncs began that have ended.
    fn sync(&mut self, syncs: &mut Vec<&Call>, now: usize) {
        for call in syncs.extract_if(.., |call| call.ended < now) {
            let What::Sync(path) = &call.what else { continue };
            if let Some(Entry::File(number)) = self.entry(path) {
                self.files[number].sync(call.begun);
            }
            for (_, name) in self.names.iter_mut().filter(|(name, _)| name.parent() == Some(path)) {
                for (_, _, entry) in name.since.extract_if(.., |(_, ended, _)| *ended < call.begun) {
                    name.durable = entry;
                }
            }
        }
    }
}

impl File<'_> {
    fn sync(&mut self, begun: usize) {
        for call in self.since.extract_if(.., |call| call.ended < begun) {
            apply(&mut self.durable, &call.what, &mut || true);
        }
    }

    fn lose(&self, survival: Survival, rng: &mut Rng) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        for call in &self.since {
            apply(&mut bytes, &call.what, &mut || survives(survival, call.begun, rng));
        }
        bytes
    }
}

fn survives(survival: Survival, begun: usize, rng: &mut Rng) -> bool {
    match survival {
        Survival::Until(line) => begun < line,
        Survival::Chance(chance) => rng.f64() < chance,
    }
}

/// Does to the bytes of a file what a call did, sector by sector, as far as these survive.
fn apply(file: &mut Vec<u8>, what: &What, survives: &mut dyn FnMut() -> bool) {
    match what {
        What::Write { at, bytes, .. } => {
            let (mut at, mut bytes) = (*at, bytes.as_slice());
            while !bytes.is_empty() {
                let room = usize::try_from(SECTOR - at % SECTOR).expect("it is at most a sector");
                let (sector, rest) = bytes.split_at(room.min(bytes.len()));
                if survives() {
                    let begin = usize::try_from(at).expect("files of a torture are small");
                    file.resize(file.len().max(begin + sector.len()), 0);
                    file[begin..begin + sector.len()].copy_from_slice(sector);
                }
                (at, bytes) = (at + sector.len() as u64, rest);
            }
        }
        What::Cut { len, .. } => {
            if survives() {
                file.resize(usize::try_from(*len).expect("files of a torture are small"), 0);
            }
        }
        What::Make(_)
        | What::Folder(_)
        | What::Remove(_)
        | What::Sync(_)
        | What::Say { .. }
        | What::Start(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(whats: Vec<What>) -> Vec<Call> {
        whats.into_iter().enumerate().map(|(line, what)| Call { begun: line, ended: line, what }).collect()
    }

    fn write(file: &str, at: u64, bytes: &[u8]) -> What {
        What::Write { file: file.into(), at, bytes: bytes.to_vec() }
    }

    fn left(calls: &[Call], survival: Survival) -> Vec<(String, Option<usize>)> {
        let files = Disk::at(calls.len(), calls).lose(survival, &mut Rng::with_seed(1));
        files
            .into_iter()
            .map(|(path, bytes)| (path.display().to_string(), bytes.map(|bytes| bytes.len())))
            .collect()
    }

    const NOTHING: Survival = Survival::Chance(0.0);
    const ALL: Survival = Survival::Chance(1.0);

    #[test]
    fn a_synced_file_is_lost_with_its_name_and_a_name_keeps_no_bytes() {
        let mut calls = calls(vec![
            What::Make("a".into()),
            write("a", 0, b"abc"),
            What::Sync("a".into()),
            write("a", 3, b"d"),
        ]);
        assert!(left(&calls, NOTHING).is_empty());
        calls.push(Call { begun: 4, ended: 4, what: What::Sync(PathBuf::new()) });
        assert_eq!(left(&calls, NOTHING), [("a".to_owned(), Some(3))]);
        assert_eq!(left(&calls, ALL), [("a".to_owned(), Some(4))]);
    }

    #[test]
    fn nothing_is_in_a_folder_that_is_lost() {
        let calls = calls(vec![
            What::Folder("f".into()),
            What::Make("f/a".into()),
            write("f/a", 0, b"abc"),
            What::Sync("f/a".into()),
            What::Sync("f".into()),
        ]);
        assert!(left(&calls, NOTHING).is_empty());
        assert_eq!(left(&calls, ALL).len(), 2);
    }

    #[test]
    fn a_removal_that_is_not_synced_may_not_have_happened() {
        let calls = calls(vec![What::Make("a".into()), What::Sync(PathBuf::new()), What::Remove("a".into())]);
        assert_eq!(left(&calls, NOTHING).len(), 1);
        assert!(left(&calls, ALL).is_empty());
    }

    #[test]
    fn a_sync_holds_once_it_has_ended_and_for_what_had_ended_before_it() {
        let mut calls = calls(vec![
            What::Make("a".into()),
            What::Sync(PathBuf::new()),
            write("a", 0, b"abc"),
            What::Sync("a".into()),
        ]);
        calls[3].ended = 9;
        assert_eq!(left(&calls, NOTHING), [("a".to_owned(), Some(0))]);
        calls[3].ended = 3;
        calls[2].ended = 3;
        assert_eq!(left(&calls, NOTHING), [("a".to_owned(), Some(0))]);
    }

    #[test]
    fn a_write_is_torn_at_sectors() {
        let calls =
            calls(vec![What::Make("a".into()), What::Sync(PathBuf::new()), write("a", 500, &[1; 1_000])]);
        let disk = Disk::at(3, &calls);
        let mut rng = Rng::with_seed(7);
        for _ in 0..200 {
            let files = disk.lose(Survival::Chance(0.5), &mut rng);
            let bytes = files[Path::new("a")].clone().unwrap();
            for part in [500..512, 512..1_024, 1_024..1_500] {
                let mut part = part.map(|at| bytes.get(at).copied().unwrap_or_default());
                let first = part.next();
                assert!(part.all(|byte| Some(byte) == first));
            }
        }
    }
}
