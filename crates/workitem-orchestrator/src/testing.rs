//! What the tests of agents share: a task to run, and blobs in memory.

use std::collections::HashMap;
use std::fmt::Debug;
use std::io::{self, Cursor, Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use workitem_store::{BlobName, BlobWriter, Blobs, JobId, Payload, StoreError, StreamKind};
use workitem_types::ItemId;

use crate::agent::Task;
use crate::cancel::Cancel;

/// Everything a task refers to.
pub(crate) struct Bench {
    pub(crate) item: ItemId,
    pub(crate) payload: Payload,
    pub(crate) timeout: Option<Duration>,
    pub(crate) cancel: Cancel,
    /// Unlike that of any other bench, also in other processes.
    pub(crate) run: String,
    pub(crate) blobs: MemoryBlobs,
}

impl Bench {
    pub(crate) fn new(payload: impl TryInto<Payload, Error: Debug>) -> Self {
        static BENCHES: AtomicUsize = AtomicUsize::new(0);
        let number = BENCHES.fetch_add(1, Ordering::Relaxed);
        Self {
            item: "item-7".into(),
            payload: payload.try_into().unwrap(),
            timeout: None,
            cancel: Cancel::new().unwrap(),
            run: format!("test-{}-{number}", std::process::id()),
            blobs: MemoryBlobs::default(),
        }
    }

    /// A task that starts now.
    pub(crate) fn task(&self) -> Task<'_> {
        Task {
            job: "census",
            job_id: JobId(1),
            item: &self.item,
            seq: 7,
            attempt: 2,
            payload: &self.payload,
            run: &self.run,
            started: Instant::now(),
            timeout: self.timeout,
            cancel: &self.cancel,
            blobs: &self.blobs,
        }
    }

    /// The finished blob of one of the task's streams.
    pub(crate) fn blob(&self, stream: StreamKind) -> Option<Vec<u8>> {
        self.blobs.finished(BlobName { job: JobId(1), seq: 7, attempt: 2, stream })
    }
}

/// Blobs in memory.
#[derive(Default)]
pub(crate) struct MemoryBlobs {
    finished: Arc<Mutex<HashMap<BlobName, Vec<u8>>>>,
    is_full: bool,
}

impl MemoryBlobs {
    /// Blobs on a full disk.
    pub(crate) fn full() -> Self {
        Self { is_full: true, ..Self::default() }
    }

    pub(crate) fn finished(&self, name: BlobName) -> Option<Vec<u8>> {
        self.finished.lock().unwrap().get(&name).cloned()
    }
}

impl Blobs for MemoryBlobs {
    fn create(&self, name: BlobName) -> Result<Box<dyn BlobWriter>, StoreError> {
        let finished = Arc::clone(&self.finished);
        Ok(Box::new(Writer { name, bytes: Vec::new(), finished, is_full: self.is_full }))
    }

    fn open(&self, name: BlobName) -> Result<Box<dyn Read + Send>, StoreError> {
        Ok(Box::new(Cursor::new(self.finished(name).expect("the test wrote it"))))
    }
}

struct Writer {
    name: BlobName,
    bytes: Vec<u8>,
    finished: Arc<Mutex<HashMap<BlobName, Vec<u8>>>>,
    is_full: bool,
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl BlobWriter for Writer {
    fn finish(self: Box<Self>) -> io::Result<()> {
        self.finished.lock().unwrap().insert(self.name, self.bytes);
        Ok(())
    }
}
