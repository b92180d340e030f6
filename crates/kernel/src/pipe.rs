//! The control pipe: frames of a length and a body over a non-blocking socket, nothing dropped.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;

use crate::error::{KernelError, Result};

/// Bytes of one frame from the parent.
const FRAME_BYTES_MAX: usize = 64 << 20;
/// Bytes that may wait for a slow parent before guests' output is dropped instead of queued.
pub const BACKLOG_BYTES_MAX: usize = 8 << 20;

/// A cell's end of the control pipe.
#[derive(Debug)]
pub struct Pipe {
    stream: UnixStream,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    closed: bool,
}

impl Pipe {
    /// Takes the cell's end of the socket pair.
    ///
    /// # Errors
    /// [`KernelError::Protocol`] when it cannot be made non-blocking.
    pub fn new(stream: UnixStream) -> Result<Self> {
        stream.set_nonblocking(true).map_err(|error| KernelError::Protocol(error.to_string()))?;
        Ok(Self { stream, incoming: Vec::new(), outgoing: Vec::new(), closed: false })
    }

    /// Whether the parent is gone.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Bytes that wait for the parent.
    #[must_use]
    pub fn backlog(&self) -> usize {
        self.outgoing.len()
    }

    /// Queues a frame and sends what the socket takes.
    pub fn send(&mut self, frame: &[u8]) {
        self.outgoing.extend_from_slice(frame);
        self.flush();
    }

    /// Sends what the socket takes.
    pub fn flush(&mut self) {
        while !self.outgoing.is_empty() && !self.closed {
            match self.stream.write(&self.outgoing) {
                Ok(0) => self.closed = true,
                Ok(sent) => {
                    self.outgoing.drain(..sent);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.closed = true,
            }
        }
    }

    /// Reads what is there and returns the bodies of whole frames.
    ///
    /// # Errors
    /// [`KernelError::Protocol`] for a frame over the limit.
    pub fn receive(&mut self) -> Result<Vec<Vec<u8>>> {
        let mut buffer = [0u8; 64 << 10];
        while !self.closed {
            match self.stream.read(&mut buffer) {
                Ok(0) => self.closed = true,
                Ok(read) => self.incoming.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.closed = true,
            }
        }
        let mut frames = Vec::new();
        while let Some(frame) = self.take_frame()? {
            frames.push(frame);
        }
        Ok(frames)
    }

    fn take_frame(&mut self) -> Result<Option<Vec<u8>>> {
        let Some(header) = self.incoming.get(..4) else { return Ok(None) };
        let length = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
        if length > FRAME_BYTES_MAX {
            return Err(KernelError::Protocol(format!("a frame of {length} bytes")));
        }
        if self.incoming.len() < 4 + length {
            return Ok(None);
        }
        let frame = self.incoming[4..4 + length].to_vec();
        self.incoming.drain(..4 + length);
        Ok(Some(frame))
    }

    /// Waits until there is something to read, the socket takes more, or `timeout_ns` have passed.
    pub fn wait(&mut self, timeout_ns: u64) {
        let mut flags = PollFlags::IN;
        if !self.outgoing.is_empty() {
            flags |= PollFlags::OUT;
        }
        let seconds = i64::try_from(timeout_ns / 1_000_000_000).unwrap_or(i64::MAX);
        let nanos = i64::try_from(timeout_ns % 1_000_000_000).unwrap_or(0);
        let timeout = Timespec { tv_sec: seconds, tv_nsec: nanos };
        // An interrupted wait is a short wait; the loop looks at its clock anyway.
        let _ = poll(&mut [PollFd::new(&self.stream.as_fd(), flags)], Some(&timeout));
    }
}
