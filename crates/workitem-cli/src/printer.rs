//! Items' output on standard output, each whole, from a thread of its own: a slow reader does not keep
//! outcomes from being recorded, until so many wait that memory would grow.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, SendTimeoutError, Sender, bounded};
use indicatif::ProgressBar;
use workitem_orchestrator::{Stop, Stopping};
use workitem_store::{BlobName, Captured, ItemQuery, ItemRow, JobId, Kept, Store, StoreError, StreamKind};

use crate::error::Error;

/// Outputs that may wait for a slow reader.
const WAITING: usize = 256;
/// How long a reader may keep a run from stopping.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often to look whether the run is to stop.
const TICK: Duration = Duration::from_millis(50);
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
    stop: Stop,
    /// Outputs that nobody took in time once the run was told to stop.
    unread: usize,
}

impl Printer {
    /// Prints to standard output, out of the way of `bar`. If the reader goes away, `stop` is used: there
    /// is nobody left to print for.
    pub fn start(store: Arc<dyn Store>, bar: ProgressBar, stop: Stop) -> io::Result<Self> {
        let (sender, pieces) = bounded(WAITING);
        let stopper = stop.clone();
        let thread = thread::Builder::new().name("printer".to_owned()).spawn(move || {
            let printed = print_all(&*store, &pieces, &bar);
            if printed.is_err() {
                stopper.interrupt();
                // What still comes is in the store; the orchestrator must not wait for it to be taken.
                for _ in pieces {}
            }
            printed
        })?;
        Ok(Self { pieces: Some(sender), thread: Some(thread), stop, unread: 0 })
    }

    /// Prints one stream after those before it. Waits for a slow reader, unless the run is to stop: then
    /// what nobody takes is left in the store.
    pub fn print(&mut self, name: BlobName, captured: Captured) {
        let Some(pieces) = self.pieces.as_ref().filter(|_| captured.kept_len() > 0) else { return };
        let mut piece = Piece { name, captured };
        let mut waiting_since = None;
        while let Err(SendTimeoutError::Timeout(back)) = pieces.send_timeout(piece, TICK) {
            piece = back;
            if self.stop.stopping() > Stopping::No {
                let since = *waiting_since.get_or_insert_with(Instant::now);
                if self.unread > 0 || since.elapsed() >= PATIENCE {
                    self.unread += 1;
                    return;
                }
            }
        }
    }

    /// Waits until everything is printed; once the run is to stop, only for a moment.
    pub fn finish(mut self) -> Result<(), Error> {
        drop(self.pieces.take());
        let thread = self.thread.take().expect("it is joined once");
        let mut waiting_since = None;
        while !thread.is_finished() {
            if self.stop.stopping() > Stopping::No {
                let since = *waiting_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= PATIENCE {
                    return Err(Error::unread());
                }
            }
            thread::sleep(TICK / 10);
        }
        let printed = thread.join().unwrap_or_else(|_| Err(Error::system("the printing thread panicked")));
        if self.unread > 0 { Err(Error::unread()) } else { printed }
    }
}

fn print_all(store: &dyn Store, pieces: &Receiver<Piece>, bar: &ProgressBar) -> Result<(), Error> {
    let mut out = Lines { to: io::stdout().lock(), in_line: false };
    // A bar must get out of the way on the same terminal only. Elsewhere a slow reader must not hold it up.
    let beside_bar = io::stdout().is_terminal() && !bar.is_hidden();
    for piece in pieces {
        let mut print = || -> Result<(), Error> {
            write_stream(store, &mut out, piece.name, &piece.captured)?;
            if beside_bar {
                // It would be drawn over a line that has no end.
                out.end_line().map_err(|error| Error::output(&error))?;
            }
            if pieces.is_empty() { out.flush().map_err(|error| Error::output(&error)) } else { Ok(()) }
        };
        if beside_bar { bar.suspend(print)? } else { print()? }
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
    /// Items whose turn has not come, in order.
    turns: VecDeque<u64>,
    /// The last item that was ever given a turn.
    last: u64,
    /// Items that are settled before their turn, with the attempt whose output is to be printed.
    settled: BTreeMap<u64, Option<usize>>,
}

impl InOrder {
    /// Starts with the items of `job` that are not settled yet. What an earlier run has settled is not
    /// printed again.
    pub fn new(store: &dyn Store, job: JobId) -> Result<Self, StoreError> {
        let mut in_order = Self { job, turns: VecDeque::new(), last: 0, settled: BTreeMap::new() };
        in_order.give_turns(store, u64::MAX, |row| !row.record.status.is_terminal())?;
        Ok(in_order)
    }

    /// An item is settled, by this attempt if it completed: prints every output whose turn has come.
    pub fn settled(
        &mut self,
        seq: u64,
        completed: Option<usize>,
        store: &dyn Store,
        printer: &mut Printer,
    ) -> Result<(), StoreError> {
        // Items that were added since, this one perhaps among them.
        if seq > self.last {
            self.give_turns(store, seq, |_| true)?;
        }
        self.settled.insert(seq, completed);
        while let Some(turn) = self.turns.front().copied()
            && let Some(completed) = self.settled.remove(&turn)
        {
            self.turns.pop_front();
            self.print(turn, completed, store, printer)?;
        }
        Ok(())
    }

    /// What is settled and waits for its turn.
    #[cfg(test)]
    pub fn waiting(&self) -> Vec<u64> {
        self.settled.keys().copied().collect()
    }

    /// No turn comes any more: prints what is still waiting, in order.
    pub fn finish(mut self, store: &dyn Store, printer: &mut Printer) -> Result<(), StoreError> {
        while let Some((seq, completed)) = self.settled.pop_first() {
            self.print(seq, completed, store, printer)?;
        }
        Ok(())
    }

    /// Gives a turn to the items up to `until` that have none and are `wanted`.
    fn give_turns(
        &mut self,
        store: &dyn Store,
        until: u64,
        wanted: impl Fn(&ItemRow) -> bool,
    ) -> Result<(), StoreError> {
        while self.last < until {
            let page = store.items(self.job, &ItemQuery { status: None, after: self.last, limit: PAGE })?;
            let Some(last) = page.iter().map(|row| row.seq).take_while(|seq| *seq <= until).last() else {
                break;
            };
            self.last = last;
            self.turns.extend(page.iter().filter(|row| row.seq <= until && wanted(row)).map(|row| row.seq));
        }
        Ok(())
    }

    fn print(
        &self,
        seq: u64,
        completed: Option<usize>,
        store: &dyn Store,
        printer: &mut Printer,
    ) -> Result<(), StoreError> {
        let Some(attempt) = completed else { return Ok(()) };
        for row in store.attempts(self.job, seq..=seq)? {
            if row.attempt == attempt {
                let name = BlobName { job: self.job, seq, attempt, stream: StreamKind::Stdout };
                printer.print(name, row.output.stdout);
            }
        }
        Ok(())
    }
}
