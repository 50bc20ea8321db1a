//! A store that the program has made, copies of it, and the program that reads them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};
use workitem_sqlite::SqliteStore;
use workitem_store::{BlobName, HistoryRow, Kept, Store as _, StreamKind};

use crate::place::{Ended, Place};
use crate::power::record::{Step, TWO, clean, step};

/// A job with letters, retries and items that were added, and one that is killed, so that the write-ahead log stays.
const LIFE: &[Step] = &[
    step(
        &["map", "--job", "one", "-j", "2", "--max-attempts", "2", "--skip-bad"],
        "a\nbig\nbad\nb\nflaky\nbig\nbad\n\u{0}\nc\nd\n",
        3,
    ),
    step(&["dlq", "retry", "one", "3"], "", 3),
    step(&["add", "one"], "e\nbig\n", 0),
    step(TWO, "a\nb\nbig\nc\nkiller\nd\nbig\n", -9),
];

/// A store in a folder of its own, and the place where its jobs run.
pub struct Store<'a> {
    place: &'a Place,
    program: &'a Path,
    path: PathBuf,
}

impl<'a> Store<'a> {
    /// Makes one, as users do.
    pub fn live(place: &'a Place, program: &'a Path) -> Result<Self> {
        let store = Self { place, program, path: place.store() };
        for step in LIFE {
            let ended =
                store.wait(step.command(Command::new("env"), program), step.input, step.is_mended())?;
            let (code, said) = (ended.code, ended.stderr);
            ensure!(code == step.code, "{:?} exits with {code}: {said}", step.arguments);
        }
        ensure!(fs::metadata(store.file("-wal"))?.len() > 0, "there is no write-ahead log");
        // Whoever opens the store makes it anew.
        fs::remove_file(store.file("-shm"))?;
        Ok(store)
    }

    /// Copies its files into a folder.
    pub fn copy(&self, folder: &Path) -> Result<Self> {
        let copied = Self { path: folder.join("store/workitem.db"), ..*self };
        if let (Some(from), Some(to)) = (self.path.parent(), copied.path.parent()) {
            copy(from, to)?;
        }
        Ok(copied)
    }

    /// The store's file, or what has its name with something behind it.
    pub fn file(&self, suffix: &str) -> PathBuf {
        format!("{}{suffix}", self.path.display()).into()
    }

    /// The files in the folders beside it.
    pub fn beside(&self) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        let mut folders = vec![self.file(".locks"), self.file(".output")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder)? {
                let path = entry?.path();
                if path.is_dir() { folders.push(path) } else { files.push(path) }
            }
        }
        files.sort();
        Ok(files)
    }

    /// Everything that happened to any item, as far as it can be read.
    pub fn histories(&self) -> Result<Vec<HistoryRow>> {
        let store = SqliteStore::open(&self.path)?;
        let jobs = store.jobs()?.into_iter();
        let histories = jobs.map(|job| store.history(job.id, 0..=u64::MAX)).collect::<Result<Vec<_>, _>>()?;
        Ok(histories.concat())
    }

    /// The jobs with a long output of which more or less is there than was recorded.
    pub fn cut_outputs(&self) -> Result<BTreeSet<String>> {
        let store = SqliteStore::open(&self.path)?;
        let mut cut = BTreeSet::new();
        for job in store.jobs()? {
            for row in store.attempts(job.id, 0..=u64::MAX)? {
                for (stream, captured) in
                    [(StreamKind::Stdout, &row.output.stdout), (StreamKind::Stderr, &row.output.stderr)]
                {
                    let Kept::Blob { len } = captured.kept else { continue };
                    let name = BlobName { job: job.id, seq: row.seq, attempt: row.attempt, stream };
                    let found = fs::metadata(self.file(".output").join(name.to_string()));
                    if found.map_or(true, |found| found.len() != len) {
                        cut.insert(job.name.clone());
                    }
                }
            }
        }
        Ok(cut)
    }

    /// Runs the program on it.
    pub fn run(&self, arguments: &[&str]) -> Result<Ended> {
        let mut command = Command::new(self.program);
        command.args(arguments);
        self.wait(command, "", true)
    }

    fn wait(&self, mut command: Command, input: &str, mended: bool) -> Result<Ended> {
        let file = self.place.write("../runs/input", input)?;
        clean(&mut command, self.place.path(), mended);
        command.env("WORKITEM_STORE", &self.path).current_dir(self.place.file(""));
        self.place.start(command, Some(&file))?.wait()
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}
