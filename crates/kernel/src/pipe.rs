//! The control pipe: frames of a length and a body over a non-blocking socket, nothing dropped.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;

use crate::error::{KernelError, Result};

/// Bytes of one frame from the parent.
const FRAME_BYTES_MAX: usize = 64 << 20;
/// Bytes read from the socket at once.
const READ_BYTES: usize = 64 << 10;
/// Bytes that may wait for a slow parent before what guests say is left in their own queues.
pub const BACKLOG_BYTES_MAX: usize = 8 << 20;

/// A cell's end of the control pipe.
#[derive(Debug)]
pub struct Pipe {
    stream: UnixStream,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    /// Where the socket is read to; kept, because clearing it costs more than an empty read.
    buffer: Box<[u8]>,
    closed: bool,
}

impl Pipe {
    /// Takes the cell's end of the socket pair.
    ///
    /// # Errors
    /// [`KernelError::Protocol`] when it cannot be made non-blocking.
    pub fn new(stream: UnixStream) -> Result<Self> {
        stream.set_nonblocking(true).map_err(|error| KernelError::Protocol(error.to_string()))?;
        Ok(Self {
            stream,
            incoming: Vec::new(),
            outgoing: Vec::new(),
            buffer: vec![0; READ_BYTES].into_boxed_slice(),
            closed: false,
        })
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
        self.read();
        let mut frames = Vec::new();
        while let Some(frame) = self.take_frame()? {
            frames.push(frame);
        }
        Ok(frames)
    }

    /// Reads what is there and returns the body of the first whole frame; the others stay.
    ///
    /// # Errors
    /// As [`Pipe::receive`].
    pub fn receive_first(&mut self) -> Result<Option<Vec<u8>>> {
        self.read();
        self.take_frame()
    }

    fn read(&mut self) {
        while !self.closed {
            match self.stream.read(&mut self.buffer) {
                Ok(0) => self.closed = true,
                Ok(read) => self.incoming.extend_from_slice(&self.buffer[..read]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.closed = true,
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: what follows the first frame in the same read is not lost (a cell that was started
    /// again may find its first orders there).
    #[test]
    fn frames_that_arrive_together_all_arrive() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut pipe = Pipe::new(theirs).unwrap();
        let frames = [vec![1u8], vec![2, 2], Vec::new(), vec![3; 70_000]];
        let mut bytes = Vec::new();
        for frame in &frames {
            bytes.extend_from_slice(&u32::try_from(frame.len()).unwrap().to_le_bytes());
            bytes.extend_from_slice(frame);
        }
        (&ours).write_all(&bytes).unwrap();
        assert_eq!(pipe.receive_first().unwrap().as_ref(), Some(&frames[0]));
        assert_eq!(pipe.receive().unwrap(), frames[1..].to_vec());
        drop(ours);
        assert!(pipe.receive().unwrap().is_empty());
        assert!(pipe.is_closed());
    }
}
