//! From SQLite's errors to the store's.

use std::io;
use std::path::Path;

use rusqlite::ErrorCode;
use rustix::fs::{Access, access, statvfs};
use rustix::io::Errno;
use workitem_store::StoreError;

/// An error inside a transaction: SQLite's, or one that already is the store's.
pub enum Failure {
    Sql(rusqlite::Error),
    Store(StoreError),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Failure {
    /// Whether another process is in the way.
    pub fn is_busy(&self) -> bool {
        match self {
            Self::Store(_) => false,
            Self::Sql(error) => {
                matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
            }
        }
    }

    /// The error with the store's name and what was attempted.
    pub fn while_doing(self, store: &str, what: &str) -> StoreError {
        match self {
            Self::Store(error) => error,
            Self::Sql(error) => sql(store, what, error),
        }
    }
}

/// The medium failed, outside SQLite.
pub fn medium(store: &str, what: &str, error: io::Error) -> StoreError {
    let what = format!("{what}: {error}");
    StoreError::Engine { store: store.to_owned(), what, cause: Some(Box::new(error)) }
}

/// The column, and what is wrong with the value in it, if that is what the error says.
pub fn misfit(error: &rusqlite::Error) -> Option<(usize, String)> {
    use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, Utf8Error};
    match error {
        FromSqlConversionFailure(column, _, why) => Some((*column, why.to_string())),
        IntegralValueOutOfRange(column, value) => Some((*column, format!("{value} is out of range"))),
        InvalidColumnType(column, _, found) => Some((*column, format!("it is of type {found}"))),
        Utf8Error(column, why) => Some((*column, why.to_string())),
        _ => None,
    }
}

fn sql(store: &str, what: &str, error: rusqlite::Error) -> StoreError {
    if let Some((_, why)) = misfit(&error) {
        return StoreError::Damaged { store: store.to_owned(), what: format!("{what}: {why}") };
    }
    // Counted on from a number that was read, it is none that can be written.
    if let rusqlite::Error::ToSqlConversionFailure(why) = &error {
        return StoreError::Damaged {
            store: store.to_owned(),
            what: format!("{what}: a number in it: {why}"),
        };
    }
    let told = match error.sqlite_error_code() {
        // What is written follows from what was read. If there is no room for it, that was not true.
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::ConstraintViolation) => {
            return StoreError::Damaged { store: store.to_owned(), what: format!("{what}: {error}") };
        }
        Some(ErrorCode::DiskFull) => format!("{what}: the disk is full"),
        Some(ErrorCode::ReadOnly) => format!("{what}: it cannot be written to"),
        Some(ErrorCode::CannotOpen) => {
            format!("{what}: it cannot be opened or made there{}", because(obstacle(store)))
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            format!("{what}: another process has kept it locked for too long")
        }
        // Where it cannot make its index of the write-ahead log, it does not say why.
        Some(ErrorCode::SystemIoFailure) => {
            let is_full = || has_no_room(store).then(|| "the disk is full".to_owned());
            format!("{what}: {error}{}", because(obstacle(store).or_else(is_full)))
        }
        _ => format!("{what}: {error}"),
    };
    StoreError::Engine { store: store.to_owned(), what: told, cause: Some(Box::new(error)) }
}

fn because(why: Option<String>) -> String {
    why.map(|why| format!("; {why}")).unwrap_or_default()
}

/// What is in the way of opening the store's files. None of them is opened for that: to close it again would end the locks
/// that this process has on it.
fn obstacle(store: &str) -> Option<String> {
    ["", "-wal", "-shm"].iter().map(|suffix| format!("{store}{suffix}")).find_map(|file| {
        if Path::new(&file).is_dir() {
            return Some(format!("{file} is a folder"));
        }
        match access(&file, Access::READ_OK | Access::WRITE_OK) {
            Ok(()) | Err(Errno::NOENT) => None,
            Err(error) => Some(format!("{file}: {}", io::Error::from(error))),
        }
    })
}

/// Whether there is no room for another piece of that index around the store's file.
fn has_no_room(store: &str) -> bool {
    const PIECE: u64 = 32 << 10;
    let folder = Path::new(store).parent().filter(|folder| !folder.as_os_str().is_empty());
    let free = statvfs(folder.unwrap_or(Path::new(".")));
    free.is_ok_and(|free| free.f_bavail.saturating_mul(free.f_frsize) < PIECE)
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    #[test]
    fn what_sqlite_says_becomes_what_it_means() {
        let told = |code| {
            let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            sql("jobs.db", "claiming items", error).to_string()
        };
        for (code, words) in [
            (ffi::SQLITE_CORRUPT, "damaged"),
            (ffi::SQLITE_NOTADB, "damaged"),
            (ffi::SQLITE_CONSTRAINT, "damaged"),
            (ffi::SQLITE_FULL, "claiming items: the disk is full"),
            (ffi::SQLITE_READONLY, "claiming items: it cannot be written to"),
            (ffi::SQLITE_CANTOPEN, "claiming items: it cannot be opened or made there"),
            (ffi::SQLITE_BUSY, "claiming items: another process has kept it locked for too long"),
            (ffi::SQLITE_LOCKED, "claiming items: another process has kept it locked for too long"),
            (ffi::SQLITE_IOERR, "claiming items: Error code 10: disk I/O error"),
        ] {
            assert!(told(code).contains(words), "{}", told(code));
        }
    }

    #[test]
    fn a_number_that_cannot_be_counted_on_from_is_damage() {
        let counted = i64::try_from(i64::MAX.unsigned_abs() + 1).unwrap_err();
        let error = rusqlite::Error::ToSqlConversionFailure(Box::new(counted));
        let told = sql("jobs.db", "claiming items", error).to_string();
        assert!(told.contains("damaged: claiming items: a number in it"), "{told}");
    }

    #[test]
    fn where_there_is_room_a_disk_that_fails_is_not_full() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!has_no_room(&folder.path().join("jobs.db").display().to_string()));
        assert!(!has_no_room("jobs.db"));
        // What the system makes up has no room for anything.
        assert!(!cfg!(target_os = "linux") || has_no_room("/proc/jobs.db"));
    }

    #[test]
    fn only_another_process_in_the_way_is_waited_for() {
        let failure = |code| Failure::from(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
        assert!(failure(ffi::SQLITE_BUSY).is_busy() && failure(ffi::SQLITE_LOCKED).is_busy());
        assert!(!failure(ffi::SQLITE_FULL).is_busy());
        assert!(!Failure::from(StoreError::JobExists { name: "job".into() }).is_busy());
    }
}
