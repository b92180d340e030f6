//! Standard output and standard error: bounded buffers that a cell drains once an epoch.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One of a guest's two output streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Descriptor 1 at the start.
    Stdout,
    /// Descriptor 2 at the start.
    Stderr,
}

/// What a guest wrote to one stream since the last [`take`](OutputBuffer::take).
///
/// A guest never waits for a reader: what does not fit is dropped, counted, and reported to the
/// guest as written, since it was accepted and charged.
///
/// A clone is another handle of the same buffer. The cell keeps one outside the store, because a
/// suspended call holds the store; one thread uses both, so that the lock is never waited for.
#[derive(Clone, Debug)]
pub struct OutputBuffer(Arc<Mutex<Buffer>>);

#[derive(Debug)]
struct Buffer {
    bytes: Vec<u8>,
    bytes_max: usize,
    written_bytes: u64,
    lost_bytes: u64,
}

impl OutputBuffer {
    pub(super) fn new(bytes_max: usize) -> Self {
        let buffer = Buffer { bytes: Vec::new(), bytes_max, written_bytes: 0, lost_bytes: 0 };
        Self(Arc::new(Mutex::new(buffer)))
    }

    /// Bytes that the guest has written over its life, lost ones included.
    #[must_use]
    pub fn written_bytes(&self) -> u64 {
        self.lock().written_bytes
    }

    /// Bytes that were dropped over the guest's life because the buffer was full.
    #[must_use]
    pub fn lost_bytes(&self) -> u64 {
        self.lock().lost_bytes
    }

    /// Bytes that wait for the next [`take`](Self::take).
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.lock().bytes.len()
    }

    /// Takes the buffer's contents and leaves it empty; the counters go on.
    #[must_use]
    pub fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.lock().bytes)
    }

    pub(super) fn write(&self, bytes: &[u8]) {
        let mut buffer = self.lock();
        let room = buffer.bytes_max.saturating_sub(buffer.bytes.len());
        let kept = bytes.len().min(room);
        buffer.bytes.extend_from_slice(&bytes[..kept]);
        buffer.written_bytes = buffer.written_bytes.saturating_add(bytes.len() as u64);
        buffer.lost_bytes = buffer.lost_bytes.saturating_add((bytes.len() - kept) as u64);
        assert!(buffer.bytes.len() <= buffer.bytes_max);
        assert!(buffer.lost_bytes <= buffer.written_bytes);
    }

    /// A buffer is whole between any two statements above, so a poisoned lock is as good.
    fn lock(&self) -> MutexGuard<'_, Buffer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
