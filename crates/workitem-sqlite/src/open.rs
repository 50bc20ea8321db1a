//! Opening the file: who may read it, is it ours, and which schema it has.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use workitem_store::StoreError;

use crate::error::{Failure, medium};

#[cfg(test)]
mod plans;

/// Marks a file as ours: "wrki".
const APPLICATION_ID: i64 = 0x7772_6B69;
/// The schema this program writes.
pub(crate) const SCHEMA_VERSION: i64 = 2;
/// How long a writer waits for another process's transaction.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
/// Pages in the write-ahead log before it is folded back into the file: 16 MiB.
const CHECKPOINT_PAGES: i64 = 4_096;

/// The embedded store: one SQLite file. Shared between threads; writers take turns.
pub struct SqliteStore {
    /// As its opener calls it, for messages.
    name: String,
    /// The file itself, by whichever link and from whichever folder it was opened.
    path: PathBuf,
    identity: String,
    owner: u32,
    writer: Mutex<Connection>,
    reader: Mutex<Connection>,
}

impl SqliteStore {
    /// Opens the store at `path`, and makes it, with its folder, if there is none.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] if the file is no store, [`StoreError::NewerSchema`] if a newer program
    /// wrote it, [`StoreError::Engine`] if it cannot be opened.
    pub fn create(path: &Path) -> Result<Self, StoreError> {
        make_private(path).map_err(|error| medium(&path.display().to_string(), "making it", error))?;
        Self::open(path)
    }

    /// Opens the store at `path`.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoStore`] if there is no file, and those of [`create`](Self::create).
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let name = path.display().to_string();
        let unreadable = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => StoreError::NoStore { store: name.clone() },
            _ => medium(&name, "opening it", error),
        };
        let path = path.canonicalize().map_err(unreadable)?;
        let opened = || -> Result<Self, Failure> {
            let writer = connect(&path)?;
            set_up(&name, &writer)?;
            let reader = Mutex::new(connect(&path)?);
            sync_log(&path).map_err(|error| medium(&name, "syncing its log", error))?;
            let file = fs::metadata(&path).map_err(unreadable)?;
            let identity = format!("{:x}-{:x}", file.dev(), file.ino());
            let (name, path) = (name.clone(), path.clone());
            Ok(Self { name, path, identity, owner: file.uid(), writer: Mutex::new(writer), reader })
        };
        let started = Instant::now();
        loop {
            match opened() {
                // While another process makes the file, SQLite does not wait for it by itself.
                Err(failure) if failure.is_busy() && started.elapsed() < BUSY_TIMEOUT => {
                    sleep(Duration::from_millis(5));
                }
                opened => return opened.map_err(|failure| failure.while_doing(&name, "opening it")),
            }
        }
    }

    /// The path of the file, and what stands beside it: `workitem.db` and `.locks`.
    pub(crate) fn beside(&self, suffix: &str) -> PathBuf {
        beside(&self.path, suffix)
    }

    /// Device and inode of the file: they stay when it is moved, and a copy has others.
    pub(crate) fn file_identity(&self) -> &str {
        &self.identity
    }

    /// Whom the file belongs to.
    pub(crate) const fn owner(&self) -> u32 {
        self.owner
    }

    pub(crate) fn path_name(&self) -> &str {
        &self.name
    }

    /// Runs `write` in a transaction that is durable when this returns.
    pub(crate) fn write<T>(
        &self,
        what: &str,
        write: impl FnOnce(&Transaction<'_>) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        let mut connection = lock(&self.writer);
        let transact = || {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let value = write(&transaction)?;
            transaction.commit()?;
            Ok(value)
        };
        transact().map_err(|failure: Failure| failure.while_doing(self.path_name(), what))
    }

    /// Makes what is read now final. Who is killed while a transaction is synced leaves it whole in the log, but not in the
    /// index by which others know of it: nobody sees it, yet it comes back when the log is read anew. What is written in
    /// its place ends that; page 1 is, whenever the version is set.
    pub(crate) fn forget_untold(&self) -> Result<(), StoreError> {
        self.write("writing to the log", |tx| Ok(tx.pragma_update(None, "user_version", SCHEMA_VERSION)?))
    }

    /// Runs what cannot be in a transaction.
    pub(crate) fn with_writer<T>(
        &self,
        run: impl FnOnce(&Connection) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        run(&lock(&self.writer))
    }

    /// Runs `read` on one snapshot.
    pub(crate) fn read<T>(
        &self,
        what: &str,
        read: impl FnOnce(&Transaction<'_>) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        let mut connection = lock(&self.reader);
        let transact = || read(&connection.transaction()?);
        transact().map_err(|failure: Failure| failure.while_doing(self.path_name(), what))
    }
}

fn lock(connection: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes the folder and an empty file that only their owner may read; SQLite gives its own files the
/// same mode.
fn make_private(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let file = match made.and_then(|file| file.metadata()) {
        Err(error) => fs::metadata(path).map_err(|_| error)?,
        Ok(file) => file,
    };
    // Until it has been set up, for which it must be longer, nobody relies on it; whoever made it may have been killed.
    if file.len() == 0 { keep_names(path, file.dev()) } else { Ok(()) }
}

/// A name survives a power cut once its folder is synced, and so does each name on the way there: a folder made with the
/// store would be lost with all that is in it. A folder that cannot be opened, or on another file system, was not made here.
fn keep_names(path: &Path, device: u64) -> io::Result<()> {
    for folder in path.canonicalize()?.ancestors().skip(1) {
        let Ok(folder) = File::open(folder) else { continue };
        if folder.metadata()?.dev() != device {
            break;
        }
        folder.sync_all()?;
    }
    Ok(())
}

/// Who was killed before its last transaction was synced has left it in the log, from where it is read here, and told.
fn sync_log(path: &Path) -> io::Result<()> {
    match File::open(beside(path, "-wal")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        log => log?.sync_data(),
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn connect(path: &Path) -> Result<Connection, Failure> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "cache_size", -16_384)?;
    Ok(connection)
}

fn set_up(store: &str, connection: &Connection) -> Result<(), Failure> {
    // On one snapshot: while another process makes the file, it would see half of it.
    let snapshot = Transaction::new_unchecked(connection, TransactionBehavior::Deferred)?;
    let found = version(store, &snapshot)?;
    snapshot.finish()?;
    if found != Some(SCHEMA_VERSION) {
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
        let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
        match version(store, &transaction)? {
            None => {
                transaction.execute_batch(include_str!("schema.sql"))?;
                transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
            }
            Some(old) => migrate(&transaction, old)?,
        }
        transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
        transaction.commit()?;
    }
    Ok(())
}

/// Which of our schemas the file has; nothing if it is empty, an error if it is anything else.
fn version(store: &str, connection: &Connection) -> Result<Option<i64>, Failure> {
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (application, version) = (pragma("application_id")?, pragma("user_version")?);
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let store = || store.to_owned();
    if application == 0 && version == 0 && tables == 0 {
        return Ok(None);
    }
    if application != APPLICATION_ID {
        let what = "it is an SQLite database of another program".to_owned();
        return Err(StoreError::Damaged { store: store(), what }.into());
    }
    if version > SCHEMA_VERSION {
        return Err(StoreError::NewerSchema { store: store(), found: version, known: SCHEMA_VERSION }.into());
    }
    Ok(Some(version))
}

/// From an older schema to this one, within the caller's transaction: other processes see the one or the other.
fn migrate(transaction: &Transaction<'_>, from: i64) -> Result<(), Failure> {
    if from < 2 {
        transaction.execute_batch(
            "ALTER TABLE jobs ADD COLUMN input_items INTEGER NOT NULL DEFAULT 0;
             ALTER TABLE items ADD COLUMN dropped INTEGER NOT NULL DEFAULT 0;
             ALTER TABLE jobs ADD COLUMN control INTEGER NOT NULL DEFAULT 0;
             UPDATE jobs SET input_items =
                 (SELECT count(*) FROM items WHERE items.job = jobs.id AND items.origin IS NULL)
             WHERE digest IS NOT NULL;",
        )?;
    }
    Ok(())
}
