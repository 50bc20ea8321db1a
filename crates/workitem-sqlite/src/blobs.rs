//! Output too long for a row, a file for each stream.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::PathBuf;

use workitem_store::{BlobName, BlobWriter, Blobs, JobId, StoreError};

use crate::error::medium;
use crate::{SqliteStore, private};

impl SqliteStore {
    fn blob_path(&self, name: BlobName) -> PathBuf {
        self.beside(".output").join(name.to_string())
    }

    pub(crate) fn delete_blobs(&self, job: JobId) -> Result<(), StoreError> {
        let folder = self.beside(".output").join(job.to_string());
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(self.file_error("deleting output", error))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn file_error(&self, what: &str, error: io::Error) -> StoreError {
        medium(self.path_name(), what, error)
    }
}

impl Blobs for SqliteStore {
    fn create(&self, name: BlobName) -> Result<Box<dyn BlobWriter>, StoreError> {
        let path = self.blob_path(name);
        let create = || {
            private::folder(&self.beside(".output"), self.owner())?;
            if let Some(folder) = path.parent() {
                private::folder(folder, self.owner())?;
            }
            private::options().write(true).create(true).truncate(true).open(&path)
        };
        let file = create()
            .map_err(|error| self.file_error(&format!("keeping output in {}", path.display()), error))?;
        Ok(Box::new(BlobFile { file: BufWriter::new(file), path, is_finished: false }))
    }

    fn open(&self, name: BlobName) -> Result<Box<dyn Read + Send>, StoreError> {
        let path = self.blob_path(name);
        let opened = private::options().read(true).open(&path);
        let file = opened
            .map_err(|error| self.file_error(&format!("reading output from {}", path.display()), error))?;
        Ok(Box::new(file))
    }
}

struct BlobFile {
    file: BufWriter<File>,
    path: PathBuf,
    is_finished: bool,
}

impl BlobFile {
    fn sync(&mut self) -> io::Result<()> {
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        // The folders too, up to the one the store's file stands in: a name is durable when its folder is.
        for folder in self.path.ancestors().skip(1).take(3) {
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    }

    /// The error with the file's name: whoever writes knows a blob by its numbers only.
    fn named(&self, error: &io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("{}: {error}", self.path.display()))
    }
}

impl Write for BlobFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes).map_err(|error| self.named(&error))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush().map_err(|error| self.named(&error))
    }
}

impl BlobWriter for BlobFile {
    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.sync().map_err(|error| self.named(&error))?;
        self.is_finished = true;
        Ok(())
    }
}

impl Drop for BlobFile {
    fn drop(&mut self) {
        if !self.is_finished {
            // Nobody refers to it. If it cannot be removed either, it only takes up room.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_a_file_that_holds_output_names_it() {
        let path = tempfile::tempdir().unwrap().path().join("store.db.output/1/7-1.stdout");
        let full = || {
            let file = BufWriter::new(File::options().write(true).open("/dev/full").unwrap());
            BlobFile { file, path: path.clone(), is_finished: false }
        };
        let mut short = Box::new(full());
        short.write_all(b"short").unwrap();
        let errors = [full().write_all(&vec![0; 100_000]).unwrap_err(), short.finish().unwrap_err()];
        for error in errors {
            assert_eq!(error.kind(), io::ErrorKind::StorageFull);
            assert!(error.to_string().starts_with(&path.display().to_string()), "{error}");
        }
    }
}
