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
/// How long the holder of a lock may take to say who it is. That is one write; a busy machine may come in between.
const SPEECH: Duration = Duration::from_secs(2);
/// How often to look again.
const TICK: Duration = Duration::from_millis(5);

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
            TryLockError::WouldBlock if started.elapsed() < PATIENCE => sleep(TICK),
            TryLockError::WouldBlock => match said(&mut file) {
                Ok(runner) => return Ok(Err(runner)),
                Err(error) if started.elapsed() >= SPEECH => return Err(error),
                Err(_) => sleep(TICK),
            },
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
    let started = Instant::now();
    loop {
        match file.try_lock_shared() {
            Ok(()) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
            // Asked again each time: it may have died before it could say anything.
            Err(TryLockError::WouldBlock) => match said(&mut file) {
                Ok(runner) => return Ok(Some(runner)),
                Err(error) if started.elapsed() >= SPEECH => return Err(error),
                Err(_) => sleep(TICK),
            },
        }
    }
}

fn open(path: &Path, owner: u32) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        private::folder(folder, owner)?;
    }
    private::options().read(true).write(true).create(true).truncate(false).open(path)
}

/// What the holder of the lock has written. For a moment after it took the lock, that is nothing.
fn said(file: &mut File) -> io::Result<Runner> {
    let mut text = String::new();
    file.rewind()?;
    file.read_to_string(&mut text)?;
    Ok(serde_json::from_str(&text)?)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// Long enough to be seen, and shorter than anybody's patience.
    const MOMENT: Duration = Duration::from_millis(50);

    fn runner() -> Runner {
        Runner { process: 4_711, since: chrono::DateTime::UNIX_EPOCH, settled_before: 3 }
    }

    fn owner() -> u32 {
        rustix::process::geteuid().as_raw()
    }

    #[test]
    fn one_who_only_looks_is_waited_for_and_not_taken_for_the_last_one_who_ran_the_job() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("locks/1");
        drop(take(&path, owner(), &runner()).unwrap().unwrap());
        let looking = open(&path, owner()).unwrap();
        looking.lock_shared().unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                sleep(MOMENT);
                looking.unlock().unwrap();
            });
            assert!(take(&path, owner(), &runner()).unwrap().is_ok());
        });
    }

    #[test]
    fn one_who_has_just_taken_it_is_given_time_to_say_who_he_is() {
        let ask: [fn(&Path) -> Option<Runner>; 2] =
            [|path| look(path).unwrap(), |path| take(path, owner(), &runner()).unwrap().err()];
        for ask in ask {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("locks/1");
            let mut taken = open(&path, owner()).unwrap();
            taken.lock().unwrap();
            thread::scope(|scope| {
                scope.spawn(|| {
                    // Later than one who only looks is waited for.
                    sleep(PATIENCE + MOMENT);
                    taken.write_all(&serde_json::to_vec(&runner()).unwrap()).unwrap();
                });
                assert_eq!(ask(&path), Some(runner()));
            });
        }
    }

    #[test]
    fn one_who_dies_before_he_has_said_who_he_is_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("locks/1");
        let taken = open(&path, owner()).unwrap();
        taken.lock().unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                sleep(MOMENT);
                drop(taken);
            });
            assert_eq!(look(&path).unwrap(), None);
        });
    }

    #[test]
    fn one_who_never_says_who_he_is_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("locks/1");
        let taken = open(&path, owner()).unwrap();
        taken.lock().unwrap();
        assert!(look(&path).is_err());
        assert!(take(&path, owner(), &runner()).is_err());
    }

    #[test]
    fn where_nobody_was_there_is_no_runner_and_where_nobody_can_look_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(look(&folder.path().join("locks/1")).unwrap(), None);
        let file = folder.path().join("locks");
        std::fs::write(&file, "").unwrap();
        assert!(look(&file.join("1")).is_err());
    }
}
