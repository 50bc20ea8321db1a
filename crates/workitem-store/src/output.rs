//! What an attempt printed, and where it is kept: little in the store's rows, much in blobs beside them.

use std::fmt;
use std::io::{self, Read, Write};

use crate::{JobId, StoreError};

/// Most bytes of one stream that are kept inside a row: 32 KiB. More goes into a blob.
pub const INLINE_OUTPUT: usize = 32 << 10;

/// The two streams of one attempt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AttemptOutput {
    /// Standard output.
    pub stdout: Captured,
    /// Standard error.
    pub stderr: Captured,
}

impl AttemptOutput {
    /// Whether the attempt printed nothing at all.
    pub const fn is_empty(&self) -> bool {
        self.stdout.total == 0 && self.stderr.total == 0
    }
}

/// One stream: what was kept of it, and how much there was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captured {
    /// The bytes, or where they are.
    pub kept: Kept,
    /// Bytes the agent wrote; more than were kept if it passed the limit.
    pub total: u64,
}

impl Captured {
    /// Bytes that were kept.
    pub const fn kept_len(&self) -> u64 {
        match &self.kept {
            Kept::Inline(bytes) => bytes.len() as u64,
            Kept::Blob { len } => *len,
        }
    }

    /// Whether the agent wrote more than was kept.
    pub const fn is_cut(&self) -> bool {
        self.kept_len() < self.total
    }
}

impl Default for Captured {
    fn default() -> Self {
        Self { kept: Kept::Inline(Vec::new()), total: 0 }
    }
}

impl From<Vec<u8>> for Captured {
    fn from(bytes: Vec<u8>) -> Self {
        Self { total: bytes.len() as u64, kept: Kept::Inline(bytes) }
    }
}

/// The kept bytes of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// At most [`INLINE_OUTPUT`] bytes, here.
    Inline(Vec<u8>),
    /// `len` bytes in the blob named by the item, the attempt and the stream.
    Blob {
        /// Bytes in the blob.
        len: u64,
    },
}

/// Which of the two streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StreamKind {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// The name of a blob: one stream of one attempt of one item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BlobName {
    /// The job.
    pub job: JobId,
    /// The item's position in the job.
    pub seq: u64,
    /// The attempt, from 1.
    pub attempt: usize,
    /// The stream.
    pub stream: StreamKind,
}

impl fmt::Display for BlobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stream = match self.stream {
            StreamKind::Stdout => "stdout",
            StreamKind::Stderr => "stderr",
        };
        write!(f, "{}/{}-{}.{stream}", self.job, self.seq, self.attempt)
    }
}

/// Where long output goes. Every store has one.
pub trait Blobs: Send + Sync {
    /// Starts a blob; one of the same name, left over from a crash, is replaced.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it cannot be made.
    fn create(&self, name: BlobName) -> Result<Box<dyn BlobWriter>, StoreError>;

    /// Opens a finished blob.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if there is none or it cannot be read.
    fn open(&self, name: BlobName) -> Result<Box<dyn Read + Send>, StoreError>;
}

/// A blob being written.
pub trait BlobWriter: Write + Send {
    /// Makes the blob durable. One that is dropped without it, or for which it failed, is removed.
    ///
    /// # Errors
    ///
    /// The error of the medium; the blob must then not be referred to.
    fn finish(self: Box<Self>) -> io::Result<()>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_a_stream_is_told_from_what_there_was() {
        let all = Captured::from(b"abc".to_vec());
        assert_eq!((all.kept_len(), all.is_cut()), (3, false));
        let blob = |len| Captured { kept: Kept::Blob { len }, total: 9 };
        assert_eq!((blob(9).kept_len(), blob(9).is_cut()), (9, false));
        assert_eq!((blob(5).kept_len(), blob(5).is_cut()), (5, true));
        assert_eq!(Captured::default().kept_len(), 0);
    }

    #[test]
    fn a_row_has_room_for_a_page_of_text_and_not_for_a_book() {
        assert!((4_096..=65_536).contains(&INLINE_OUTPUT));
    }
}
