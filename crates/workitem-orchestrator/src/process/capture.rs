//! Keeping what an agent prints: little in memory, much in a blob, too much not at all.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::event::PollFlags;
use rustix::io::{Errno, ioctl_fionbio, read};
use workitem_store::{BlobName, BlobWriter, Blobs, Captured, INLINE_OUTPUT, Kept, StoreError};

/// Bytes read at once: what a pipe holds.
const CHUNK: usize = 64 << 10;

/// Bytes remembered of the end of a stream, for the error text.
const TAIL: usize = 1 << 10;

/// One output stream of a running agent: its pipe, and what was kept of it.
pub(super) struct Stream<'a> {
    pipe: Option<OwnedFd>,
    capture: Capture<'a>,
}

impl<'a> Stream<'a> {
    /// `pipe` will be read without ever blocking.
    pub(super) fn new(pipe: Option<OwnedFd>, capture: Capture<'a>) -> Self {
        // An error would mean that it is no pipe.
        let pipe = pipe.filter(|pipe| ioctl_fionbio(pipe, true).is_ok());
        Self { pipe, capture }
    }

    /// The pipe, until it has ended.
    pub(super) fn pipe(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    /// Does what `poll` found to be possible.
    pub(super) fn react(&mut self, events: PollFlags, scratch: &mut Vec<u8>) -> Result<(), StoreError> {
        if events.contains(PollFlags::IN) {
            self.read(scratch)?;
        } else if !events.is_empty() {
            // Nobody has the other end any more, and nothing is left in the pipe.
            self.pipe = None;
        }
        Ok(())
    }

    /// Takes what is in the pipe, at most [`CHUNK`] bytes; whether there was anything.
    pub(super) fn read(&mut self, scratch: &mut Vec<u8>) -> Result<bool, StoreError> {
        let Some(pipe) = &self.pipe else { return Ok(false) };
        scratch.clear();
        scratch.reserve_exact(CHUNK);
        match read(pipe, spare_capacity(scratch)) {
            Ok(1..) => {
                self.capture.push(scratch)?;
                Ok(true)
            }
            Err(Errno::INTR) => Ok(true),
            Err(Errno::AGAIN) => Ok(false),
            // The end; any other error of a pipe is one, too.
            Ok(0) | Err(_) => {
                self.pipe = None;
                Ok(false)
            }
        }
    }

    pub(super) fn into_capture(self) -> Capture<'a> {
        self.capture
    }
}

/// What is kept of one stream.
pub(crate) struct Capture<'a> {
    blobs: &'a dyn Blobs,
    name: BlobName,
    /// Most bytes to be kept.
    limit: u64,
    total: u64,
    kept: Keeping,
    tail: Vec<u8>,
}

enum Keeping {
    Inline(Vec<u8>),
    Blob { writer: Box<dyn BlobWriter>, len: u64 },
}

impl<'a> Capture<'a> {
    pub(crate) fn new(blobs: &'a dyn Blobs, name: BlobName, limit: u64) -> Self {
        Self { blobs, name, limit, total: 0, kept: Keeping::Inline(Vec::new()), tail: Vec::new() }
    }

    /// The stream goes on with `bytes`. What is over the limit is counted and forgotten.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let room = usize::try_from(self.limit.saturating_sub(self.total)).unwrap_or(usize::MAX);
        self.total += bytes.len() as u64;
        self.keep(&bytes[..bytes.len().min(room)])?;
        self.tail.extend_from_slice(&bytes[bytes.len().saturating_sub(TAIL)..]);
        self.tail.drain(..self.tail.len().saturating_sub(TAIL));
        Ok(())
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        if let Keeping::Inline(inline) = &mut self.kept {
            if inline.len() + bytes.len() <= INLINE_OUTPUT {
                inline.extend_from_slice(bytes);
                return Ok(());
            }
            let inline = std::mem::take(inline);
            self.kept = Keeping::Blob { writer: self.blobs.create(self.name)?, len: 0 };
            self.write(&inline)?;
        }
        self.write(bytes)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        if let Keeping::Blob { writer, len } = &mut self.kept {
            writer.write_all(bytes).map_err(|error| blob_error(self.name, "write", error))?;
            *len += bytes.len() as u64;
        }
        Ok(())
    }

    /// The last [`TAIL`] bytes of the stream, kept or not.
    pub(crate) fn tail(&self) -> &[u8] {
        &self.tail
    }

    /// The stream has ended: what was kept is durable, or waits to be put into a row.
    pub(crate) fn finish(self) -> Result<Captured, StoreError> {
        let kept = match self.kept {
            Keeping::Inline(inline) => Kept::Inline(inline),
            Keeping::Blob { writer, len } => {
                writer.finish().map_err(|error| blob_error(self.name, "finish", error))?;
                Kept::Blob { len }
            }
        };
        Ok(Captured { kept, total: self.total })
    }
}

fn blob_error(name: BlobName, verb: &str, error: io::Error) -> StoreError {
    StoreError::Engine {
        store: "of outputs".to_owned(),
        what: format!("could not {verb} blob {name}: {error}"),
        cause: Some(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use workitem_store::{JobId, StreamKind};

    use super::*;
    use crate::testing::MemoryBlobs;

    const NAME: BlobName = BlobName { job: JobId(1), seq: 7, attempt: 1, stream: StreamKind::Stdout };

    fn capture(limit: u64, chunks: &[&[u8]]) -> (Captured, Option<Vec<u8>>, Vec<u8>) {
        let blobs = MemoryBlobs::default();
        let mut capture = Capture::new(&blobs, NAME, limit);
        for chunk in chunks {
            capture.push(chunk).unwrap();
        }
        let tail = capture.tail().to_vec();
        (capture.finish().unwrap(), blobs.finished(NAME), tail)
    }

    #[test]
    fn little_stays_in_memory() {
        let (captured, blob, tail) = capture(1 << 20, &[b"ab", b"", b"\xff\0c"]);
        assert_eq!(captured, b"ab\xff\0c".to_vec().into());
        assert_eq!((blob, tail), (None, b"ab\xff\0c".to_vec()));
    }

    #[test]
    fn the_inline_limit_is_exact() {
        let full = vec![b'x'; INLINE_OUTPUT];
        let (captured, blob, _) = capture(1 << 20, &[&full]);
        assert_eq!((captured.kept_len(), blob), (INLINE_OUTPUT as u64, None));

        let (captured, blob, _) = capture(1 << 20, &[&full, b"y"]);
        assert_eq!(captured.kept, Kept::Blob { len: INLINE_OUTPUT as u64 + 1 });
        assert_eq!(blob.unwrap(), [full.as_slice(), b"y"].concat());
    }

    #[test]
    fn what_is_over_the_limit_is_counted_and_its_end_is_known() {
        let limit = 3 * INLINE_OUTPUT as u64;
        let chunk = vec![b'x'; INLINE_OUTPUT];
        let (captured, blob, tail) = capture(limit, &[&chunk, &chunk, &chunk[1..], b"ab", b"last line"]);
        assert_eq!((captured.kept_len(), captured.total), (limit, limit + 10));
        assert!(captured.is_cut());
        assert!(blob.unwrap().ends_with(b"xxxa"));
        assert!(tail.ends_with(b"xablast line") && tail.len() == TAIL);
    }

    #[test]
    fn a_limit_below_the_inline_limit_keeps_that_much_in_memory() {
        let (captured, blob, tail) = capture(3, &[b"ab", b"cd", b"ef"]);
        assert_eq!(captured, Captured { kept: Kept::Inline(b"abc".to_vec()), total: 6 });
        assert_eq!((blob, tail), (None, b"abcdef".to_vec()));
    }

    #[test]
    fn a_failing_medium_is_an_error_of_the_store() {
        let blobs = MemoryBlobs::full();
        let mut capture = Capture::new(&blobs, NAME, 1 << 20);
        let error = capture.push(&vec![0; INLINE_OUTPUT + 1]).unwrap_err().to_string();
        assert!(error.starts_with("store of outputs: could not write blob 1/7-1.stdout: "), "{error}");
    }
}
