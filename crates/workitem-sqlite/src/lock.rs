//! One orchestrator per job: an exclusive lock on a file, which the kernel lets go when its process ends.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use workitem_store::{JobLock, Runner};

use crate::private;

/// How long to wait for a lock: one who only looks holds it for a moment.
const PATIENCE: Duration = Duration::from_millis(250);

/// Held while this process runs the job.
pub struct FileLock(#[expect(dead_code, reason = "closing the file lets go of the lock")] File);

impl JobLock for FileLock {}

/// Takes the lock, or says who has it.
pub fn take(path: &Path, owner: u32, runner: &Runner) -> io::Result<Result<FileLock, Runner>> {
    let mut file = open(path, owner)?;
    let started = Instant::now();
    while let Err(error) = file.try_lock() {
        match error {
            TryLockError::Error(error) => return Err(error),
            TryLockError::WouldBlock if started.elapsed() < PATIENCE => sleep(Duration::from_millis(5)),
            TryLockError::WouldBlock => return Ok(Err(holder(&mut file)?)),
        }
    }
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(&serde_json::to_vec(runner)?)?;
    Ok(Ok(FileLock(file)))
}

/// Who has the lock, if anybody does.
pub fn look(path: &Path) -> io::Result<Option<Runner>> {
    let mut file = match private::options().read(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => holder(&mut file).map(Some),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn open(path: &Path, owner: u32) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        private::folder(folder, owner)?;
    }
    private::options().read(true).write(true).create(true).truncate(false).open(path)
}

/// What the holder of the lock has written. For a moment after it took the lock, that is nothing.
fn holder(file: &mut File) -> io::Result<Runner> {
    let started = Instant::now();
    loop {
        let mut text = String::new();
        file.rewind()?;
        file.read_to_string(&mut text)?;
        match serde_json::from_str(&text) {
            Ok(runner) => return Ok(runner),
            Err(_) if started.elapsed() < PATIENCE => sleep(Duration::from_millis(5)),
            Err(error) => return Err(error.into()),
        }
    }
}
