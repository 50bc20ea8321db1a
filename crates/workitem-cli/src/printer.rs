//! Items' output on standard output, each whole, from a thread of its own: a slow reader does not keep
//! outcomes from being recorded, until so many wait that memory would grow.

use std::collections::{BTreeSet, VecDeque};
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded};
use indicatif::ProgressBar;
use workitem_orchestrator::Stop;
use workitem_store::{BlobName, Captured, ItemQuery, JobId, Kept, Store, StoreError, StreamKind};

use crate::error::Error;

/// Outputs that may wait for a slow reader.
const WAITING: usize = 256;
/// Items listed at a time.
const PAGE: usize = 1_000;

/// One stream to be printed.
struct Piece {
    name: BlobName,
    captured: Captured,
}

/// Prints outputs in the order in which they come.
pub struct Printer {
    pieces: Option<Sender<Piece>>,
    thread: Option<JoinHandle<Result<(), Error>>>,
}

impl Printer {
    /// Prints to standard output, out of the way of `bar`. If the reader goes away, `stop` is used: there
    /// is nobody left to print for.
    pub fn start(store: Arc<dyn Store>, bar: ProgressBar, stop: Stop) -> io::Result<Self> {
        let (sender, pieces) = bounded(WAITING);
        let thread = thread::Builder::new().name("printer".to_owned()).spawn(move || {
            let printed = print_all(&*store, &pieces, &bar);
            if printed.is_err() {
                stop.interrupt();
                // What still comes is in the store; the orchestrator must not wait for it to be taken.
                for _ in pieces {}
            }
            printed
        })?;
        Ok(Self { pieces: Some(sender), thread: Some(thread) })
    }

    /// Prints one stream after those before it.
    pub fn print(&self, name: BlobName, captured: Captured) {
        if captured.kept_len() > 0
            && let Some(pieces) = &self.pieces
        {
            // It can only fail when the thread is gone, and `finish` tells why.
            let _ = pieces.send(Piece { name, captured });
        }
    }

    /// Waits until everything is printed.
    pub fn finish(mut self) -> Result<(), Error> {
        drop(self.pieces.take());
        let thread = self.thread.take().expect("it is joined once");
        thread.join().unwrap_or_else(|_| Err(Error::system("the printing thread panicked")))
    }
}

fn print_all(store: &dyn Store, pieces: &Receiver<Piece>, bar: &ProgressBar) -> Result<(), Error> {
    let shares_line = !bar.is_hidden() && io::stdout().is_terminal();
    let mut out = Lines { to: io::stdout().lock(), in_line: false };
    for piece in pieces {
        bar.suspend(|| -> Result<(), Error> {
            write_stream(store, &mut out, piece.name, &piece.captured)?;
            if shares_line {
                // The bar would be drawn over a line that has no end.
                out.end_line().map_err(|error| Error::output(&error))?;
            }
            if pieces.is_empty() { out.flush().map_err(|error| Error::output(&error)) } else { Ok(()) }
        })?;
    }
    out.flush().map_err(|error| Error::output(&error))
}

/// Knows whether what was written ends within a line.
struct Lines<W> {
    to: W,
    in_line: bool,
}

impl<W: Write> Lines<W> {
    fn end_line(&mut self) -> io::Result<()> {
        if self.in_line { self.write_all(b"\n") } else { Ok(()) }
    }
}

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        if let Some(last) = bytes[..written].last() {
            self.in_line = *last != b'\n';
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Writes the kept bytes of a stream.
pub fn write_stream(
    store: &dyn Store,
    out: &mut dyn Write,
    name: BlobName,
    captured: &Captured,
) -> Result<(), Error> {
    match &captured.kept {
        Kept::Inline(bytes) => out.write_all(bytes).map_err(|error| Error::output(&error)),
        Kept::Blob { .. } => {
            let mut blob = store.open(name)?;
            io::copy(&mut blob, out).map_err(|error| Error::output(&error)).map(|_| ())
        }
    }
}

/// Puts outputs into input order: an item's turn comes when everything before it is settled.
pub struct InOrder {
    job: JobId,
    /// Items that are not printed yet, in order.
    turns: VecDeque<u64>,
    settled: BTreeSet<u64>,
}

impl InOrder {
    /// Starts with the items of `job` that are not settled yet. What was settled by an earlier run is not
    /// printed again.
    pub fn new(store: &dyn Store, job: JobId) -> Result<Self, StoreError> {
        let mut turns = VecDeque::new();
        let mut after = 0;
        loop {
            let page = store.items(job, &ItemQuery { status: None, after, limit: PAGE })?;
            let Some(last) = page.last() else { break };
            after = last.seq;
            turns.extend(page.iter().filter(|row| !row.record.status.is_terminal()).map(|row| row.seq));
        }
        Ok(Self { job, turns, settled: BTreeSet::new() })
    }

    /// An item is settled: prints every output whose turn has come.
    pub fn settled(&mut self, seq: u64, store: &dyn Store, printer: &Printer) -> Result<(), StoreError> {
        if self.turns.back().is_none_or(|last| *last < seq) {
            self.turns.push_back(seq);
        }
        self.settled.insert(seq);
        while let Some(turn) = self.turns.front().copied()
            && self.settled.remove(&turn)
        {
            self.turns.pop_front();
            print_completed(store, self.job, turn, printer)?;
        }
        Ok(())
    }
}

/// Prints the output with which an item completed, if it did.
fn print_completed(store: &dyn Store, job: JobId, seq: u64, printer: &Printer) -> Result<(), StoreError> {
    let query = ItemQuery { status: Some(workitem_types::StatusKind::Completed), after: seq - 1, limit: 1 };
    let Some(row) = store.items(job, &query)?.pop().filter(|row| row.seq == seq) else { return Ok(()) };
    for attempt in store.attempts(job, seq..=seq)? {
        if attempt.attempt == row.record.attempts {
            let name = BlobName { job, seq, attempt: attempt.attempt, stream: StreamKind::Stdout };
            printer.print(name, attempt.output.stdout);
        }
    }
    Ok(())
}
