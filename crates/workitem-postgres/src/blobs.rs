//! Output too long for a row, in pieces of a quarter of a megabyte.

use std::io::{self, Read, Write};
use std::mem;
use std::sync::Arc;

use workitem_store::{BlobName, BlobWriter, Blobs, StoreError};

use crate::PostgresStore;
use crate::codes::stream_code;
use crate::error::{Failure, refused};
use crate::pool::{Pool, Tx};
use crate::rows::{Fields, number};

/// Bytes of a piece.
const PIECE: usize = 256 << 10;

/// The columns of a blob's name.
pub struct Name {
    pub job: i64,
    pub seq: i64,
    pub attempt: i64,
    pub stream: i16,
}

impl Name {
    pub fn of(name: BlobName) -> Result<Self, Failure> {
        let BlobName { job, seq, attempt, stream } = name;
        Ok(Self { job: job.0, seq: number(seq)?, attempt: number(attempt)?, stream: stream_code(stream) })
    }
}

impl Blobs for PostgresStore {
    fn create(&self, name: BlobName) -> Result<Box<dyn BlobWriter>, StoreError> {
        let columns =
            Name::of(name).map_err(|failure| failure.while_doing(self.pool.name(), "keeping output"))?;
        Ok(Box::new(Unfinished {
            pool: Arc::clone(&self.pool),
            what: format!("keeping output {name}"),
            name: columns,
            writer: fastrand::i64(..),
            pieces: 0,
            length: 0,
            buffer: Vec::new(),
            is_broken: false,
            is_finished: false,
        }))
    }

    fn open(&self, name: BlobName) -> Result<Box<dyn Read + Send>, StoreError> {
        let what = format!("reading output {name}");
        let found = self.read(&what, |tx| {
            let Name { job, seq, attempt, stream } = Name::of(name)?;
            let query = "SELECT seq, writer, length FROM blobs WHERE job = $1 AND seq = $2 AND attempt = $3 AND stream = $4";
            let row = tx.query_opt(query, &[&job, &seq, &attempt, &stream])?;
            let row = row.ok_or_else(|| tx.damaged(format!("there is no output {name}")))?;
            let fields = Fields::of("item", "blobs", &row);
            Ok((Name { job, seq, attempt, stream }, fields.get(1)?, fields.number(2)?))
        })?;
        let (name, writer, left) = found;
        let pool = Arc::clone(&self.pool);
        Ok(Box::new(Reader { pool, what, name, writer, pieces: 0, left, piece: io::Cursor::default() }))
    }
}

struct Unfinished {
    pool: Arc<Pool>,
    what: String,
    name: Name,
    /// Tells its pieces from those of others who write under this name, or have.
    writer: i64,
    pieces: i64,
    length: i64,
    buffer: Vec<u8>,
    /// A piece may be missing.
    is_broken: bool,
    is_finished: bool,
}

impl Unfinished {
    /// Stores what is buffered as a piece.
    fn store(&mut self, tx: &mut Tx<'_>) -> Result<(), Failure> {
        let Name { job, seq, attempt, stream } = &self.name;
        tx.execute(
            "INSERT INTO pieces (job, seq, attempt, stream, writer, part, bytes) VALUES ($1, $2, $3, $4, $5, $6, $7)",
            &[job, seq, attempt, stream, &self.writer, &self.pieces, &self.buffer],
        )?;
        self.pieces += 1;
        self.length += number(self.buffer.len())?;
        self.buffer.clear();
        Ok(())
    }

    /// A server that went down meanwhile, or left its place to another, may have forgotten pieces: none was waited for.
    fn expect_all(&self, tx: &mut Tx<'_>) -> Result<(), Failure> {
        let Name { job, seq, attempt, stream } = &self.name;
        let there = tx.query_one(
            "SELECT count(*) FROM pieces WHERE job = $1 AND seq = $2 AND attempt = $3 AND stream = $4 AND writer = $5",
            &[job, seq, attempt, stream, &self.writer],
        )?;
        let there: i64 = Fields::of("item", "pieces", &there).get(0)?;
        if there == self.pieces {
            return Ok(());
        }
        let lost = format!(
            "{}: the server has lost some of it: of {} pieces {there} are there",
            self.what, self.pieces
        );
        Err(refused(tx.store, lost).into())
    }

    fn write_out(&mut self) -> io::Result<()> {
        let (pool, what) = (Arc::clone(&self.pool), mem::take(&mut self.what));
        let stored = pool.write(&what, |tx| {
            // Nobody refers to a piece before the blob is finished, and that commit takes this one with it to the disk.
            tx.execute("SET LOCAL synchronous_commit = off", &[])?;
            self.store(tx)
        });
        self.what = what;
        self.is_broken |= stored.is_err();
        stored.map_err(io::Error::other)
    }
}

impl Write for Unfinished {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PIECE - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        if self.buffer.len() == PIECE {
            self.write_out()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl BlobWriter for Unfinished {
    fn finish(mut self: Box<Self>) -> io::Result<()> {
        if self.is_broken {
            return Err(io::Error::other(format!("{}: a part of it could not be written", self.what)));
        }
        let (pool, what) = (Arc::clone(&self.pool), mem::take(&mut self.what));
        let writer = &mut *self;
        let finished = pool.write(&what, |tx| {
            if !writer.buffer.is_empty() {
                writer.store(tx)?;
            }
            writer.expect_all(tx)?;
            let Name { job, seq, attempt, stream } = &writer.name;
            tx.execute(
                "INSERT INTO blobs (job, seq, attempt, stream, writer, length) VALUES ($1, $2, $3, $4, $5, $6)
                 ON CONFLICT (job, seq, attempt, stream)
                 DO UPDATE SET writer = excluded.writer, length = excluded.length",
                &[job, seq, attempt, stream, &writer.writer, &writer.length],
            )?;
            // What a crash has left of another one under this name.
            tx.execute(
                "DELETE FROM pieces WHERE job = $1 AND seq = $2 AND attempt = $3 AND stream = $4 AND writer <> $5",
                &[job, seq, attempt, stream, &writer.writer],
            )?;
            Ok(())
        });
        self.is_finished = finished.is_ok();
        finished.map_err(io::Error::other)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if self.is_finished || self.pieces == 0 {
            return;
        }
        let Name { job, seq, attempt, stream } = &self.name;
        // Nobody refers to it. If it cannot be removed either, it only takes up room, and upkeep finds it.
        let _ = self.pool.write("removing output", |tx| {
            tx.execute(
                "DELETE FROM pieces WHERE job = $1 AND seq = $2 AND attempt = $3 AND stream = $4 AND writer = $5",
                &[job, seq, attempt, stream, &self.writer],
            )
        });
    }
}

struct Reader {
    pool: Arc<Pool>,
    what: String,
    name: Name,
    writer: i64,
    pieces: i64,
    /// Bytes of pieces that were not fetched yet.
    left: u64,
    piece: io::Cursor<Vec<u8>>,
}

impl Read for Reader {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.piece.read(bytes)?;
            if read > 0 || self.left == 0 || bytes.is_empty() {
                return Ok(read);
            }
            let piece = self.fetch().map_err(io::Error::other)?;
            self.left = self.left.saturating_sub(piece.len() as u64);
            self.pieces += 1;
            self.piece = io::Cursor::new(piece);
        }
    }
}

impl Reader {
    fn fetch(&self) -> Result<Vec<u8>, StoreError> {
        let Name { job, seq, attempt, stream } = &self.name;
        self.pool.read(&self.what, |tx| {
            let row = tx.query_opt(
                "SELECT seq, bytes FROM pieces WHERE job = $1 AND seq = $2 AND attempt = $3 AND stream = $4
                 AND writer = $5 AND part = $6 AND octet_length(bytes) > 0",
                &[job, seq, attempt, stream, &self.writer, &self.pieces],
            )?;
            let row = row.ok_or_else(|| tx.damaged(format!("piece {} of it is gone", self.pieces)))?;
            Fields::of("item", "pieces", &row).get(1)
        })
    }
}
