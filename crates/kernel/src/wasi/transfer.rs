//! Reading and writing: bytes go straight between the host and the guest's own memory.

use std::io::{Seek, Write};

use cap_std::fs::FileExt;

use super::context::{DiskBudget, WasiContext};
use super::descriptors::{Descriptor, OpenFile};
use super::errno::Errno;
use super::files::{FLAG_APPEND, check_end};
use super::limits;
use super::memory::{GuestBytes, GuestMemory, Vectors};

/// The array of buffers of one call, and where the number of bytes goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Transfer {
    pub(super) vectors: u32,
    pub(super) count: u32,
    pub(super) result: u32,
}

pub(super) fn fd_read(
    context: &mut WasiContext,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    transfer: Transfer,
) -> Result<(), Errno> {
    memory.check(transfer.result, 4)?;
    let vectors = memory.vectors(transfer.vectors, transfer.count)?;
    let total = match context.descriptors.get_mut(fd)? {
        Descriptor::Stdin => fill(memory, vectors, |bytes, _| Ok(context.stdin.read(bytes)))?,
        Descriptor::File(file) => {
            let total = read_at(file, memory, vectors, file.offset)?;
            file.offset += u64::from(total);
            total
        }
        Descriptor::Output(_) | Descriptor::Directory(_) => return Err(Errno::Badf),
    };
    memory.write_u32(transfer.result, total)
}

pub(super) fn fd_pread(
    context: &mut WasiContext,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    transfer: Transfer,
    offset: u64,
) -> Result<(), Errno> {
    memory.check(transfer.result, 4)?;
    let vectors = memory.vectors(transfer.vectors, transfer.count)?;
    let file = positioned(context.descriptors.get_mut(fd)?)?;
    let total = read_at(file, memory, vectors, offset)?;
    memory.write_u32(transfer.result, total)
}

pub(super) fn fd_write(
    context: &mut WasiContext,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    transfer: Transfer,
) -> Result<(), Errno> {
    memory.check(transfer.result, 4)?;
    let vectors = memory.vectors(transfer.vectors, transfer.count)?;
    let total = match context.descriptors.get_mut(fd)? {
        Descriptor::Output(stream) => {
            let output = context.outputs.get(*stream);
            drain(memory, vectors, |bytes, _| {
                output.write(bytes);
                Ok(bytes.len())
            })?
        }
        Descriptor::File(file) if file.flags & FLAG_APPEND != 0 => {
            let total = append(file, &mut context.disk, memory, vectors)?;
            file.offset = file.file.stream_position()?;
            total
        }
        Descriptor::File(file) => {
            let total = write_at(file, &mut context.disk, memory, vectors, file.offset)?;
            file.offset += u64::from(total);
            total
        }
        Descriptor::Stdin | Descriptor::Directory(_) => return Err(Errno::Badf),
    };
    memory.write_u32(transfer.result, total)
}

/// With `APPEND` it writes at the end, as Linux does.
pub(super) fn fd_pwrite(
    context: &mut WasiContext,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    transfer: Transfer,
    offset: u64,
) -> Result<(), Errno> {
    memory.check(transfer.result, 4)?;
    let vectors = memory.vectors(transfer.vectors, transfer.count)?;
    let file = positioned(context.descriptors.get_mut(fd)?)?;
    let total = write_at(file, &mut context.disk, memory, vectors, offset)?;
    memory.write_u32(transfer.result, total)
}

fn positioned(descriptor: &mut Descriptor) -> Result<&mut OpenFile, Errno> {
    match descriptor {
        Descriptor::File(file) => Ok(file),
        Descriptor::Directory(_) => Err(Errno::Badf),
        Descriptor::Stdin | Descriptor::Output(_) => Err(Errno::Spipe),
    }
}

fn read_at(
    file: &OpenFile,
    memory: &mut GuestMemory<'_>,
    vectors: Vectors,
    offset: u64,
) -> Result<u32, Errno> {
    if !file.readable {
        return Err(Errno::Badf);
    }
    fill(memory, vectors, |bytes, done| {
        let start = offset.checked_add(done).ok_or(Errno::Overflow)?;
        Ok(file.file.read_at(bytes, start)?)
    })
}

fn write_at(
    file: &OpenFile,
    disk: &mut DiskBudget,
    memory: &mut GuestMemory<'_>,
    vectors: Vectors,
    offset: u64,
) -> Result<u32, Errno> {
    if !file.writable {
        return Err(Errno::Badf);
    }
    drain(memory, vectors, |bytes, done| {
        let bytes = affordable(disk, bytes)?;
        let start = offset.checked_add(done).ok_or(Errno::Fbig)?;
        let end = start.checked_add(bytes.len() as u64).ok_or(Errno::Fbig)?;
        check_end(file, start, end, disk.bytes_max())?;
        let written = file.file.write_at(bytes, start)?;
        disk.book(written as u64);
        Ok(written)
    })
}

fn append(
    file: &mut OpenFile,
    disk: &mut DiskBudget,
    memory: &mut GuestMemory<'_>,
    vectors: Vectors,
) -> Result<u32, Errno> {
    if !file.writable {
        return Err(Errno::Badf);
    }
    drain(memory, vectors, |bytes, _| {
        let written = file.file.write(affordable(disk, bytes)?)?;
        disk.book(written as u64);
        Ok(written)
    })
}

/// The part of `bytes` that the process may still write; nothing left is an error.
fn affordable<'a>(disk: &DiskBudget, bytes: &'a [u8]) -> Result<&'a [u8], Errno> {
    let remaining = usize::try_from(disk.remaining_bytes()).unwrap_or(usize::MAX);
    if remaining == 0 { Err(Errno::Dquot) } else { Ok(&bytes[..bytes.len().min(remaining)]) }
}

/// Fills the guest's buffers in order, with as many bytes as one call may move. `read` gets each
/// buffer and the bytes moved before it, and returns how many bytes it put there.
fn fill(
    memory: &mut GuestMemory<'_>,
    vectors: Vectors,
    mut read: impl FnMut(&mut [u8], u64) -> Result<usize, Errno>,
) -> Result<u32, Errno> {
    each(memory, vectors, |memory, buffer, done| read(memory.slice_mut(buffer)?, done))
}

/// As [`fill`], from the guest's buffers.
fn drain(
    memory: &mut GuestMemory<'_>,
    vectors: Vectors,
    mut write: impl FnMut(&[u8], u64) -> Result<usize, Errno>,
) -> Result<u32, Errno> {
    each(memory, vectors, |memory, buffer, done| write(memory.slice(buffer)?, done))
}

fn each(
    memory: &mut GuestMemory<'_>,
    vectors: Vectors,
    mut transfer: impl FnMut(&mut GuestMemory<'_>, GuestBytes, u64) -> Result<usize, Errno>,
) -> Result<u32, Errno> {
    let mut total: u32 = 0;
    for index in 0..vectors.count() {
        let mut buffer = memory.vector(vectors, index)?;
        buffer.length = buffer.length.min(limits::CALL_BYTES_MAX - total);
        if buffer.length == 0 {
            continue;
        }
        let moved = match transfer(memory, buffer, u64::from(total)) {
            Ok(moved) => u32::try_from(moved).map_err(|_| Errno::Overflow)?,
            // What was moved before the error is reported now, the error at the next call.
            Err(_) if total > 0 => break,
            Err(error) => return Err(error),
        };
        assert!(moved <= buffer.length);
        memory.count(moved as usize);
        total += moved;
        if moved < buffer.length {
            break;
        }
    }
    assert!(total <= limits::CALL_BYTES_MAX);
    Ok(total)
}
