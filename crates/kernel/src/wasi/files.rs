//! Calls on open descriptors other than reading, writing and listing.

use std::os::fd::AsFd;

use rustix::fs::AtFlags;
use rustix::fs::{FallocateFlags, OFlags, fallocate, fcntl_setfl, futimens, utimensat};

use super::context::WasiContext;
use super::descriptors::{Descriptor, OpenFile};
use super::errno::Errno;
use super::memory::GuestMemory;
use super::metadata::{Kind, Status, timestamps};

/// `fdflags`: writes go to the end of the file.
pub(super) const FLAG_APPEND: u16 = 1 << 0;
/// `fdflags`: append, dsync, nonblock, rsync, sync.
pub(super) const FLAGS_ALL: u16 = (1 << 5) - 1;

/// Flags that the host's descriptors always have: no open or read of ours ever waits.
pub(super) const HOST_FLAGS: OFlags = OFlags::NONBLOCK;

mod rights {
    //! `rights`, reported to programs that compute with them.
    pub(super) const FD_DATASYNC: u64 = 1 << 0;
    pub(super) const FD_READ: u64 = 1 << 1;
    pub(super) const FD_SEEK: u64 = 1 << 2;
    pub(super) const FD_FDSTAT_SET_FLAGS: u64 = 1 << 3;
    pub(super) const FD_SYNC: u64 = 1 << 4;
    pub(super) const FD_TELL: u64 = 1 << 5;
    pub(super) const FD_WRITE: u64 = 1 << 6;
    pub(super) const FD_ADVISE: u64 = 1 << 7;
    pub(super) const FD_ALLOCATE: u64 = 1 << 8;
    pub(super) const FD_READDIR: u64 = 1 << 14;
    pub(super) const FD_FILESTAT_GET: u64 = 1 << 21;
    pub(super) const FD_FILESTAT_SET_SIZE: u64 = 1 << 22;
    pub(super) const FD_FILESTAT_SET_TIMES: u64 = 1 << 23;
    pub(super) const POLL_FD_READWRITE: u64 = 1 << 27;

    /// `path_*` (9 to 13, 15 to 20, 24 to 26) without `path_filestat_set_size`, which no call
    /// uses, and what a directory's own descriptor can do.
    pub(super) const DIRECTORY: u64 = (0x1f << 9)
        | (0x1f << 15 & !(1 << 19))
        | (1 << 20)
        | (0x7 << 24)
        | FD_READDIR
        | FD_FILESTAT_GET
        | FD_FILESTAT_SET_TIMES;
    pub(super) const FILE: u64 = FD_SEEK
        | FD_TELL
        | FD_FDSTAT_SET_FLAGS
        | FD_SYNC
        | FD_ADVISE
        | FD_FILESTAT_GET
        | FD_FILESTAT_SET_TIMES
        | POLL_FD_READWRITE;
    pub(super) const FILE_READABLE: u64 = FD_READ;
    pub(super) const FILE_WRITABLE: u64 =
        FD_DATASYNC | FD_WRITE | FD_ALLOCATE | FD_FILESTAT_SET_SIZE;
    pub(super) const STREAM: u64 = FD_FDSTAT_SET_FLAGS | FD_FILESTAT_GET | POLL_FD_READWRITE;
}

/// `rights` that make `path_open` ask the host for reading.
pub(super) const RIGHT_READ: u64 = rights::FD_READ;
/// `rights` that make `path_open` ask the host for writing.
pub(super) const RIGHT_WRITE: u64 = rights::FD_WRITE;

pub(super) fn fd_advise(
    context: &mut WasiContext,
    fd: u32,
    offset: u64,
    length: u64,
    advice: u32,
) -> Result<(), Errno> {
    context.descriptors.file_mut(fd, Errno::Badf)?;
    let _end = offset.checked_add(length).ok_or(Errno::Inval)?;
    // Advice is never worth a call to the host.
    if advice <= 5 { Ok(()) } else { Err(Errno::Inval) }
}

pub(super) fn fd_allocate(
    context: &mut WasiContext,
    fd: u32,
    offset: u64,
    length: u64,
) -> Result<(), Errno> {
    let file = context.descriptors.file_mut(fd, Errno::Badf)?;
    let end = offset.checked_add(length).ok_or(Errno::Fbig)?;
    if !file.writable {
        return Err(Errno::Badf);
    }
    if length == 0 {
        return Err(Errno::Inval);
    }
    context.disk.check(length)?;
    check_end(file, offset, end, context.disk.bytes_max())?;
    fallocate(file.file.as_fd(), FallocateFlags::empty(), offset, length)?;
    context.disk.book(length);
    Ok(())
}

/// Refuses to leave a hole past what the process may write: a file's size stays within the larger
/// of the disk budget and what the file already has.
pub(super) fn check_end(
    file: &OpenFile,
    start: u64,
    end: u64,
    bytes_max: u64,
) -> Result<(), Errno> {
    assert!(start <= end);
    if end <= bytes_max || start <= file.file.metadata()?.len() { Ok(()) } else { Err(Errno::Fbig) }
}

/// `fd_sync` and `fd_datasync`: the disk is not waited for.
pub(super) fn fd_sync(context: &mut WasiContext, fd: u32) -> Result<(), Errno> {
    context.descriptors.get(fd).map(|_| ())
}

pub(super) fn fd_fdstat_get(
    context: &mut WasiContext,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    result: u32,
) -> Result<(), Errno> {
    let (kind, flags, base, inheriting) = match context.descriptors.get(fd)? {
        Descriptor::Stdin => (Kind::Unknown, 0, rights::STREAM | rights::FD_READ, 0),
        Descriptor::Output(_) => (Kind::Unknown, FLAG_APPEND, rights::STREAM | rights::FD_WRITE, 0),
        Descriptor::File(file) => {
            let read = if file.readable { rights::FILE_READABLE } else { 0 };
            let write = if file.writable { rights::FILE_WRITABLE } else { 0 };
            (Kind::RegularFile, file.flags, rights::FILE | read | write, 0)
        }
        Descriptor::Directory(_) => {
            let files = rights::FILE | rights::FILE_READABLE | rights::FILE_WRITABLE;
            (Kind::Directory, 0, rights::DIRECTORY, rights::DIRECTORY | files)
        }
    };
    let mut bytes = [0; 24];
    bytes[0] = kind as u8;
    bytes[2..4].copy_from_slice(&flags.to_le_bytes());
    bytes[8..16].copy_from_slice(&base.to_le_bytes());
    bytes[16..24].copy_from_slice(&inheriting.to_le_bytes());
    memory.write(result, &bytes)
}

pub(super) fn fd_fdstat_set_flags(
    context: &mut WasiContext,
    fd: u32,
    flags: u32,
) -> Result<(), Errno> {
    let flags = fdflags(flags)?;
    match context.descriptors.get_mut(fd)? {
        // A stream never waits and always appends: whatever is asked for holds.
        Descriptor::Stdin | Descriptor::Output(_) => Ok(()),
        Descriptor::File(file) => {
            let append = if flags & FLAG_APPEND != 0 { OFlags::APPEND } else { OFlags::empty() };
            fcntl_setfl(file.file.as_fd(), HOST_FLAGS | append)?;
            file.flags = flags;
            Ok(())
        }
        Descriptor::Directory(_) => Err(Errno::Badf),
    }
}

/// Checks `fdflags`.
pub(super) fn fdflags(flags: u32) -> Result<u16, Errno> {
    let flags = u16::try_from(flags).map_err(|_| Errno::Inval)?;
    if flags & !FLAGS_ALL == 0 { Ok(flags) } else { Err(Errno::Inval) }
}

pub(super) fn fd_filestat_get(
    context: &mut WasiContext,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    result: u32,
) -> Result<(), Errno> {
    memory.check(result, 64)?;
    let hidden = |identity| context.deterministic.then_some(identity);
    let status = match context.descriptors.get(fd)? {
        Descriptor::Stdin | Descriptor::Output(_) => Status::stream(),
        Descriptor::File(file) => Status::new(&file.file.metadata()?, hidden(file.identity)),
        Descriptor::Directory(directory) => {
            Status::new(&directory.dir.dir_metadata()?, hidden(directory.identity))
        }
    };
    memory.write(result, &status.encode())
}

pub(super) fn fd_filestat_set_size(
    context: &mut WasiContext,
    fd: u32,
    size_bytes: u64,
) -> Result<(), Errno> {
    let file = context.descriptors.file_mut(fd, Errno::Badf)?;
    if !file.writable {
        return Err(Errno::Badf);
    }
    let growth = size_bytes.saturating_sub(file.file.metadata()?.len());
    context.disk.check(growth)?;
    file.file.set_len(size_bytes)?;
    context.disk.book(growth);
    Ok(())
}

pub(super) fn fd_filestat_set_times(
    context: &mut WasiContext,
    fd: u32,
    accessed_ns: u64,
    modified_ns: u64,
    flags: u32,
) -> Result<(), Errno> {
    let times = timestamps(accessed_ns, modified_ns, flags)?;
    match context.descriptors.get(fd)? {
        Descriptor::Stdin | Descriptor::Output(_) => Err(Errno::Badf),
        Descriptor::File(file) if file.read_only => Err(Errno::Rofs),
        Descriptor::File(file) => Ok(futimens(file.file.as_fd(), &times)?),
        Descriptor::Directory(directory) => {
            directory.check_writable()?;
            Ok(utimensat(directory.dir.as_fd(), ".", &times, AtFlags::empty())?)
        }
    }
}

pub(super) fn fd_seek(
    context: &mut WasiContext,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    delta: i64,
    whence: u32,
    result: u32,
) -> Result<(), Errno> {
    memory.check(result, 8)?;
    let file = seekable(context, fd)?;
    let base = match whence {
        0 => 0,
        1 => file.offset,
        2 => file.file.metadata()?.len(),
        _ => return Err(Errno::Inval),
    };
    let offset = base.checked_add_signed(delta).ok_or(Errno::Inval)?;
    if i64::try_from(offset).is_err() {
        return Err(Errno::Overflow);
    }
    file.offset = offset;
    memory.write_u64(result, offset)
}

pub(super) fn fd_tell(
    context: &mut WasiContext,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    result: u32,
) -> Result<(), Errno> {
    let offset = seekable(context, fd)?.offset;
    memory.write_u64(result, offset)
}

fn seekable(context: &mut WasiContext, fd: u32) -> Result<&mut OpenFile, Errno> {
    match context.descriptors.get_mut(fd)? {
        Descriptor::File(file) => Ok(file),
        Descriptor::Directory(_) => Err(Errno::Badf),
        Descriptor::Stdin | Descriptor::Output(_) => Err(Errno::Spipe),
    }
}
