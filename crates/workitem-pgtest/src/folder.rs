//! The server's folder. Its path is short, because that of a Unix socket must be.

use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::find::User;

/// Removed when it is dropped, until it is handed to the watcher.
pub struct Folder(TempDir);

impl Folder {
    pub fn new(user: &User) -> io::Result<Self> {
        // A temporary folder of one's own may be nested so deep that a socket in it has no name.
        let folder = tempfile::Builder::new().prefix("wi-pg-").rand_bytes(8).tempdir_in("/tmp")?;
        user.give(folder.path())?;
        Ok(Self(folder))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// From now on somebody else removes it.
    pub fn into_path(self) -> PathBuf {
        self.0.keep()
    }
}
