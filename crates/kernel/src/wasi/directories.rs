//! Preopens and `fd_readdir`.
//!
//! A listing is read whole when the guest starts at cookie 0, sorted by name, and kept with the
//! descriptor, so that entries removed while the guest reads do not shift the others. A process
//! keeps [`limits::LISTING_BYTES_MAX`] of them; one listing more drops the others, which are read
//! again when their readers come back.

use cap_std::fs::Dir;
use rustix::fs::FileType;

use super::context::WasiContext;
use super::descriptors::{Descriptor, Directory};
use super::errno::Errno;
use super::limits;
use super::memory::{GuestBytes, GuestMemory};
use super::metadata::Kind;

/// The names in a directory at one moment, `.` and `..` first, then in order.
pub(super) struct Listing {
    entries: Vec<Entry>,
    bytes: usize,
}

struct Entry {
    name: Box<[u8]>,
    kind: Kind,
    inode: u64,
}

const DIRENT_BYTES: usize = 24;

pub(super) fn fd_prestat_get(
    context: &mut WasiContext,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    result: u32,
) -> Result<(), Errno> {
    let name = preopen_name(context, fd)?;
    let length = u32::try_from(name.len()).map_err(|_| Errno::Overflow)?;
    // The tag of a directory is 0.
    memory.write_u32(result, 0)?;
    memory.write_u32(result.checked_add(4).ok_or(Errno::Fault)?, length)
}

pub(super) fn fd_prestat_dir_name(
    context: &mut WasiContext,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    buffer: GuestBytes,
) -> Result<(), Errno> {
    let name = preopen_name(context, fd)?;
    if (buffer.length as usize) < name.len() {
        return Err(Errno::Nametoolong);
    }
    memory.write(buffer.pointer, name.as_bytes())
}

/// A descriptor that is not a preopen is `EBADF`, which ends a C library's search for preopens.
fn preopen_name(context: &WasiContext, fd: u32) -> Result<&str, Errno> {
    match context.descriptors.get(fd)? {
        Descriptor::Directory(Directory { preopen: Some(name), .. }) => Ok(name),
        _ => Err(Errno::Badf),
    }
}

pub(super) fn fd_readdir(
    context: &mut WasiContext,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    buffer: GuestBytes,
    cookie: u64,
    result: u32,
) -> Result<(), Errno> {
    memory.check(result, 4)?;
    memory.check(buffer.pointer, buffer.length)?;
    let deterministic = context.deterministic;
    let directory = context.descriptors.directory_mut(fd)?;
    if cookie == 0 || directory.listing.is_none() {
        directory.listing = None;
        let listing = Listing::read(directory, deterministic)?;
        memory.count(listing.bytes);
        evict(context, listing.bytes);
        context.descriptors.directory_mut(fd)?.listing = Some(listing);
    }
    let length = (buffer.length as usize).min(limits::CALL_BYTES_MAX as usize);
    let used = match &context.descriptors.directory(fd)?.listing {
        Some(listing) => listing.copy(memory, buffer.pointer, length, cookie)?,
        None => 0,
    };
    memory.write_u32(result, u32::try_from(used).map_err(|_| Errno::Overflow)?)
}

/// Makes room for a listing of `bytes`.
fn evict(context: &mut WasiContext, bytes: usize) {
    let listed = |directory: &Directory| directory.listing.as_ref().map_or(0, |kept| kept.bytes);
    let kept: usize =
        context.descriptors.directories_mut().map(|directory| listed(directory)).sum();
    if kept + bytes > limits::LISTING_BYTES_MAX {
        for directory in context.descriptors.directories_mut() {
            directory.listing = None;
        }
    }
}

impl Listing {
    fn read(directory: &Directory, deterministic: bool) -> Result<Self, Errno> {
        let mut entries = Vec::new();
        let mut bytes = 0;
        for entry in rustix::fs::Dir::read_from(&directory.dir)? {
            let entry = entry?;
            let name: Box<[u8]> = entry.file_name().to_bytes().into();
            bytes += size_of::<Entry>() + name.len();
            if bytes > limits::LISTING_BYTES_MAX {
                return Err(Errno::Overflow);
            }
            let kind = kind(&directory.dir, &name, entry.file_type());
            let inode = match (deterministic, &*name) {
                (false, _) => entry.ino(),
                (true, b"." | b"..") => directory.identity.inode(),
                (true, _) => directory.identity.component(&name).inode(),
            };
            entries.push(Entry { name, kind, inode });
        }
        entries.sort_unstable_by(|left, right| {
            let key = |entry: &Entry| !matches!(&*entry.name, b"." | b"..");
            (key(left), &left.name).cmp(&(key(right), &right.name))
        });
        Ok(Self { entries, bytes })
    }

    /// Copies entries from `cookie` on until `length` bytes are full; the last may be cut off.
    fn copy(
        &self,
        memory: &mut GuestMemory<'_>,
        pointer: u32,
        length: usize,
        cookie: u64,
    ) -> Result<usize, Errno> {
        let start = usize::try_from(cookie).unwrap_or(usize::MAX).min(self.entries.len());
        let mut used = 0;
        for (index, entry) in self.entries.iter().enumerate().skip(start) {
            if used == length {
                break;
            }
            let head = entry.head(index as u64 + 1)?;
            for part in [&head[..], &entry.name[..]] {
                let part = &part[..part.len().min(length - used)];
                let at = u32::try_from(used).map_err(|_| Errno::Overflow)?;
                memory.write(pointer.checked_add(at).ok_or(Errno::Fault)?, part)?;
                used += part.len();
            }
        }
        Ok(used)
    }
}

impl Entry {
    /// The `dirent` before the name.
    fn head(&self, next_cookie: u64) -> Result<[u8; DIRENT_BYTES], Errno> {
        let length = u32::try_from(self.name.len()).map_err(|_| Errno::Overflow)?;
        let mut bytes = [0; DIRENT_BYTES];
        bytes[0..8].copy_from_slice(&next_cookie.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.inode.to_le_bytes());
        bytes[16..20].copy_from_slice(&length.to_le_bytes());
        bytes[20] = self.kind as u8;
        Ok(bytes)
    }
}

/// Some file systems do not say in a listing what an entry is.
fn kind(dir: &Dir, name: &[u8], listed: FileType) -> Kind {
    match listed {
        FileType::RegularFile => Kind::RegularFile,
        FileType::Directory => Kind::Directory,
        FileType::Symlink => Kind::SymbolicLink,
        FileType::Socket => Kind::Socket,
        FileType::CharacterDevice => Kind::CharacterDevice,
        FileType::BlockDevice => Kind::BlockDevice,
        FileType::Fifo => Kind::Unknown,
        FileType::Unknown => str::from_utf8(name)
            .ok()
            .and_then(|name| dir.symlink_metadata(name).ok())
            .map_or(Kind::Unknown, |metadata| Kind::new(metadata.file_type())),
    }
}
