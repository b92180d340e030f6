//! A guest's memory as the shim sees it: every access is checked, every byte that crosses counted.
//!
//! Pointers need no alignment. A guest that exports no memory has an empty one, so that each of
//! its pointers is `EFAULT`.

use std::ops::Range;

use super::errno::Errno;
use super::limits;

/// A guest's linear memory during one call, and the bytes that the call has moved.
pub(super) struct GuestMemory<'a> {
    bytes: &'a mut [u8],
    moved_bytes: u64,
}

/// A guest's pointer and length.
#[derive(Clone, Copy, Debug)]
pub(super) struct GuestBytes {
    pub(super) pointer: u32,
    pub(super) length: u32,
}

/// A guest's array of buffers, whose every element has been checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vectors {
    pointer: u32,
    count: u32,
}

const VECTOR_BYTES: u32 = 8;

impl<'a> GuestMemory<'a> {
    pub(super) fn new(bytes: &'a mut [u8]) -> Self {
        Self { bytes, moved_bytes: 0 }
    }

    /// Bytes moved between guest and host so far.
    pub(super) fn moved_bytes(&self) -> u64 {
        self.moved_bytes
    }

    /// Counts bytes that a bulk operation moved through [`Self::slice`] or [`Self::slice_mut`].
    pub(super) fn count(&mut self, bytes: usize) {
        self.moved_bytes = self.moved_bytes.saturating_add(bytes as u64);
    }

    fn range(&self, pointer: u32, length: u32) -> Result<Range<usize>, Errno> {
        let start = pointer as usize;
        let end = start.checked_add(length as usize).ok_or(Errno::Fault)?;
        if end <= self.bytes.len() { Ok(start..end) } else { Err(Errno::Fault) }
    }

    /// Checks a buffer before anything happens that could not be undone.
    pub(super) fn check(&self, pointer: u32, length: u32) -> Result<(), Errno> {
        self.range(pointer, length).map(|_| ())
    }

    /// A buffer to be read; the caller counts what it moves.
    pub(super) fn slice(&self, buffer: GuestBytes) -> Result<&[u8], Errno> {
        let range = self.range(buffer.pointer, buffer.length)?;
        Ok(&self.bytes[range])
    }

    /// A buffer to be written; the caller counts what it moves.
    pub(super) fn slice_mut(&mut self, buffer: GuestBytes) -> Result<&mut [u8], Errno> {
        let range = self.range(buffer.pointer, buffer.length)?;
        Ok(&mut self.bytes[range])
    }

    /// Copies `N` bytes from the guest.
    pub(super) fn read<const N: usize>(&mut self, pointer: u32) -> Result<[u8; N], Errno> {
        let start = pointer as usize;
        let rest = self.bytes.get(start..).ok_or(Errno::Fault)?;
        let bytes = *rest.first_chunk::<N>().ok_or(Errno::Fault)?;
        self.count(N);
        Ok(bytes)
    }

    /// Copies `bytes` to the guest.
    pub(super) fn write(&mut self, pointer: u32, bytes: &[u8]) -> Result<(), Errno> {
        let start = pointer as usize;
        let end = start.checked_add(bytes.len()).ok_or(Errno::Fault)?;
        self.bytes.get_mut(start..end).ok_or(Errno::Fault)?.copy_from_slice(bytes);
        self.count(bytes.len());
        Ok(())
    }

    pub(super) fn write_u32(&mut self, pointer: u32, value: u32) -> Result<(), Errno> {
        self.write(pointer, &value.to_le_bytes())
    }

    pub(super) fn write_u64(&mut self, pointer: u32, value: u64) -> Result<(), Errno> {
        self.write(pointer, &value.to_le_bytes())
    }

    /// Copies a path or link target: UTF-8, no NUL, at most [`limits::PATH_BYTES_MAX`] bytes.
    pub(super) fn path(&mut self, path: GuestBytes) -> Result<String, Errno> {
        if path.length > limits::PATH_BYTES_MAX {
            return Err(Errno::Nametoolong);
        }
        let text = str::from_utf8(self.slice(path)?).map_err(|_| Errno::Ilseq)?;
        if text.is_empty() {
            return Err(Errno::Noent);
        }
        if text.contains('\0') {
            return Err(Errno::Ilseq);
        }
        let text = text.to_owned();
        self.count(text.len());
        Ok(text)
    }

    /// Checks an array of buffers and each buffer in it.
    pub(super) fn vectors(&mut self, pointer: u32, count: u32) -> Result<Vectors, Errno> {
        if count > limits::VECTORS_MAX {
            return Err(Errno::Inval);
        }
        self.check(pointer, count * VECTOR_BYTES)?;
        let vectors = Vectors { pointer, count };
        for index in 0..count {
            let buffer = self.vector(vectors, index)?;
            self.check(buffer.pointer, buffer.length)?;
        }
        self.count((count * VECTOR_BYTES) as usize);
        Ok(vectors)
    }

    /// One buffer of an array. It is read again, not remembered, because a call that fills the
    /// buffers may also overwrite the array: the accessors check whatever it then says.
    pub(super) fn vector(&self, vectors: Vectors, index: u32) -> Result<GuestBytes, Errno> {
        assert!(index < vectors.count);
        let start = (vectors.pointer + index * VECTOR_BYTES) as usize;
        let rest = self.bytes.get(start..).ok_or(Errno::Fault)?;
        let [p0, p1, p2, p3, l0, l1, l2, l3] = *rest.first_chunk().ok_or(Errno::Fault)?;
        Ok(GuestBytes {
            pointer: u32::from_le_bytes([p0, p1, p2, p3]),
            length: u32::from_le_bytes([l0, l1, l2, l3]),
        })
    }
}

impl Vectors {
    /// How many buffers there are.
    pub(super) fn count(self) -> u32 {
        self.count
    }
}
