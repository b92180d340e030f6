//! Calls that name files by path. `cap-std` resolves every path beneath its directory: one that
//! leads out, by `..`, as an absolute path or through a symbolic link, is `EPERM`.

use std::os::fd::AsFd;
use std::path::Path;

use cap_std::fs::{Dir, File, OpenOptions, OpenOptionsExt};
use rustix::fs::{AtFlags, OFlags, Timestamps, utimensat};

use super::context::WasiContext;
use super::descriptors::{Descriptor, Directory, OpenFile};
use super::errno::Errno;
use super::files::{FLAG_APPEND, HOST_FLAGS, RIGHT_READ, RIGHT_WRITE, fdflags};
use super::limits;
use super::memory::{GuestBytes, GuestMemory};
use super::metadata::{Status, timestamps};

/// A path and the directory that it starts from.
#[derive(Clone, Copy, Debug)]
pub(super) struct GuestPath {
    pub(super) fd: u32,
    pub(super) path: GuestBytes,
}

/// What `path_open` is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct OpenRequest {
    pub(super) lookup: u32,
    pub(super) oflags: u32,
    pub(super) rights: u64,
    pub(super) fdflags: u32,
}

const O_CREATE: u32 = 1 << 0;
const O_DIRECTORY: u32 = 1 << 1;
const O_EXCLUSIVE: u32 = 1 << 2;
const O_TRUNCATE: u32 = 1 << 3;

/// Whether a lookup follows a symbolic link at the path's end.
fn follow(lookup: u32) -> Result<bool, Errno> {
    match lookup {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Errno::Inval),
    }
}

pub(super) fn path_open(
    context: &mut WasiContext,
    memory: &mut GuestMemory<'_>,
    at: GuestPath,
    request: OpenRequest,
    result: u32,
) -> Result<(), Errno> {
    memory.check(result, 4)?;
    context.descriptors.check_room()?;
    let path = memory.path(at.path)?;
    let plan = OpenPlan::new(request)?;
    let directory = context.descriptors.directory(at.fd)?;
    let (file, created) = plan.open(directory, &path, context.disk.remaining_bytes())?;
    let metadata = file.metadata()?;
    let identity = if context.deterministic {
        directory.identity.resolve(&directory.dir, &path, plan.follow)
    } else {
        directory.identity
    };
    let read_only = directory.read_only;
    let descriptor = if metadata.is_dir() {
        let dir = Dir::from_std_file(file.into_std());
        Descriptor::Directory(Directory { dir, preopen: None, read_only, identity, listing: None })
    } else if metadata.is_file() {
        let OpenPlan { readable, writable, flags, .. } = plan;
        let file = OpenFile { file, offset: 0, readable, writable, read_only, flags, identity };
        Descriptor::File(file)
    } else {
        return Err(Errno::Acces);
    };
    if created {
        context.disk.book(limits::ENTRY_BYTES);
    }
    let fd = context.descriptors.insert(descriptor)?;
    memory.write_u32(result, fd)
}

/// A checked [`OpenRequest`].
#[derive(Clone, Copy, Debug)]
struct OpenPlan {
    follow: bool,
    create: bool,
    exclusive: bool,
    truncate: bool,
    directory: bool,
    readable: bool,
    writable: bool,
    flags: u16,
}

impl OpenPlan {
    fn new(request: OpenRequest) -> Result<Self, Errno> {
        let asked = |flag| request.oflags & flag != 0;
        let plan = Self {
            follow: follow(request.lookup)?,
            create: asked(O_CREATE),
            exclusive: asked(O_CREATE) && asked(O_EXCLUSIVE),
            truncate: asked(O_TRUNCATE),
            directory: asked(O_DIRECTORY),
            readable: request.rights & RIGHT_READ != 0,
            writable: request.rights & RIGHT_WRITE != 0,
            flags: fdflags(request.fdflags)?,
        };
        if request.oflags >= 1 << 4 || plan.directory && (plan.create || plan.truncate) {
            return Err(Errno::Inval);
        }
        Ok(plan)
    }

    /// Opens a file or directory, and says whether it was created.
    ///
    /// What exists is opened first without creating it, so that only new entries are booked.
    fn open(
        &self,
        directory: &Directory,
        path: &str,
        remaining_bytes: u64,
    ) -> Result<(File, bool), Errno> {
        if (self.writable || self.truncate) && directory.read_only {
            // The kernel's order: what does not exist, or is a directory, says so first.
            let metadata = directory.dir.metadata(path);
            return Err(match metadata {
                Ok(metadata) if metadata.is_dir() => Errno::Isdir,
                Err(error) if !self.create => error.into(),
                _ => Errno::Rofs,
            });
        }
        if !self.exclusive {
            match directory.dir.open_with(path, &self.options(false)) {
                Ok(file) => return Ok((file, false)),
                Err(error) => match Errno::from(error) {
                    Errno::Noent if self.create => {}
                    errno => return Err(errno),
                },
            }
        } else if directory.dir.symlink_metadata(path).is_ok() {
            return Err(Errno::Exist);
        }
        directory.check_writable()?;
        if remaining_bytes < limits::ENTRY_BYTES {
            return Err(Errno::Dquot);
        }
        Ok((directory.dir.open_with(path, &self.options(true))?, true))
    }

    fn options(&self, create: bool) -> OpenOptions {
        let append = self.flags & FLAG_APPEND != 0 && self.writable;
        let mut flags = HOST_FLAGS | OFlags::NOCTTY;
        flags.set(OFlags::DIRECTORY, self.directory);
        flags.set(OFlags::NOFOLLOW, !self.follow);
        flags.set(OFlags::APPEND, append);
        let mut options = OpenOptions::new();
        options
            // The host opens nothing without access; the descriptor's own flags decide.
            .read(self.readable || !self.writable)
            .write(self.writable || self.truncate || create)
            .truncate(self.truncate)
            .create(create)
            .create_new(create && self.exclusive)
            .custom_flags(flags.bits().cast_signed());
        options
    }
}

pub(super) fn path_create_directory(
    context: &mut WasiContext,
    memory: &mut GuestMemory<'_>,
    at: GuestPath,
) -> Result<(), Errno> {
    let path = memory.path(at.path)?;
    let directory = context.descriptors.directory(at.fd)?;
    directory.check_writable()?;
    context.disk.check(limits::ENTRY_BYTES)?;
    directory.dir.create_dir(path)?;
    context.disk.book(limits::ENTRY_BYTES);
    Ok(())
}

pub(super) fn path_filestat_get(
    context: &mut WasiContext,
    memory: &mut GuestMemory<'_>,
    lookup: u32,
    at: GuestPath,
    result: u32,
) -> Result<(), Errno> {
    memory.check(result, 64)?;
    let path = memory.path(at.path)?;
    let follow = follow(lookup)?;
    let directory = context.descriptors.directory(at.fd)?;
    let dir = &directory.dir;
    let metadata = if follow { dir.metadata(&path) } else { dir.symlink_metadata(&path) }?;
    let hidden_by = context.deterministic.then(|| directory.identity.resolve(dir, &path, follow));
    memory.write(result, &Status::new(&metadata, hidden_by).encode())
}

/// `path_filestat_set_times`' times and flags.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimesRequest {
    pub(super) lookup: u32,
    pub(super) accessed_ns: u64,
    pub(super) modified_ns: u64,
    pub(super) flags: u32,
}

pub(super) fn path_filestat_set_times(
    context: &mut WasiContext,
    memory: &mut GuestMemory<'_>,
    at: GuestPath,
    request: TimesRequest,
) -> Result<(), Errno> {
    let times = timestamps(request.accessed_ns, request.modified_ns, request.flags)?;
    let path = memory.path(at.path)?;
    let follow = follow(request.lookup)?;
    let directory = context.descriptors.directory(at.fd)?;
    directory.check_writable()?;
    set_times(&directory.dir, &path, follow, &times)
}

/// Resolves everything but the last name beneath `dir`, then sets the times of that name without
/// following it: a link put there meanwhile gets the times itself.
fn set_times(dir: &Dir, path: &str, follow: bool, times: &Timestamps) -> Result<(), Errno> {
    let canonical = if follow { Some(dir.canonicalize(path)?) } else { None };
    let path = canonical.as_deref().unwrap_or(Path::new(path));
    let Some(name) = path.file_name() else {
        let dir = dir.open_dir(if path.as_os_str().is_empty() { Path::new(".") } else { path })?;
        return Ok(utimensat(dir.as_fd(), ".", times, AtFlags::empty())?);
    };
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => {
            let parent = dir.open_dir(parent)?;
            Ok(utimensat(parent.as_fd(), name, times, AtFlags::SYMLINK_NOFOLLOW)?)
        }
        None => Ok(utimensat(dir.as_fd(), name, times, AtFlags::SYMLINK_NOFOLLOW)?),
    }
}

pub(super) fn path_link(
    context: &mut WasiContext,
    memory: &mut GuestMemory<'_>,
    lookup: u32,
    old: GuestPath,
    new: GuestPath,
) -> Result<(), Errno> {
    if follow(lookup)? {
        return Err(Errno::Inval);
    }
    let (old_path, new_path) = (memory.path(old.path)?, memory.path(new.path)?);
    let old_directory = context.descriptors.directory(old.fd)?;
    let new_directory = context.descriptors.directory(new.fd)?;
    // A link to a file of a read-only directory would make the file writable by another name.
    old_directory.check_writable()?;
    new_directory.check_writable()?;
    context.disk.check(limits::ENTRY_BYTES)?;
    old_directory.dir.hard_link(old_path, &new_directory.dir, new_path)?;
    context.disk.book(limits::ENTRY_BYTES);
    Ok(())
}

pub(super) fn path_readlink(
    context: &mut WasiContext,
    memory: &mut GuestMemory<'_>,
    at: GuestPath,
    buffer: GuestBytes,
    result: u32,
) -> Result<(), Errno> {
    memory.check(result, 4)?;
    memory.check(buffer.pointer, buffer.length)?;
    let path = memory.path(at.path)?;
    let target = context.descriptors.directory(at.fd)?.dir.read_link_contents(path)?;
    let bytes = target.as_os_str().as_encoded_bytes();
    let length = bytes.len().min(buffer.length as usize);
    memory.write(buffer.pointer, &bytes[..length])?;
    memory.write_u32(result, u32::try_from(length).map_err(|_| Errno::Overflow)?)
}

pub(super) fn path_remove_directory(
    context: &mut WasiContext,
    memory: &mut GuestMemory<'_>,
    at: GuestPath,
) -> Result<(), Errno> {
    let path = memory.path(at.path)?;
    let directory = context.descriptors.directory(at.fd)?;
    directory.check_writable()?;
    // `cap-std` would ask the host to remove `path/.`, which is invalid.
    let name = path.trim_end_matches('/');
    Ok(directory.dir.remove_dir(if name.is_empty() { &path } else { name })?)
}

pub(super) fn path_rename(
    context: &mut WasiContext,
    memory: &mut GuestMemory<'_>,
    old: GuestPath,
    new: GuestPath,
) -> Result<(), Errno> {
    let (old_path, new_path) = (memory.path(old.path)?, memory.path(new.path)?);
    let old_directory = context.descriptors.directory(old.fd)?;
    let new_directory = context.descriptors.directory(new.fd)?;
    old_directory.check_writable()?;
    new_directory.check_writable()?;
    Ok(old_directory.dir.rename(old_path, &new_directory.dir, new_path)?)
}

pub(super) fn path_symlink(
    context: &mut WasiContext,
    memory: &mut GuestMemory<'_>,
    target: GuestBytes,
    new: GuestPath,
) -> Result<(), Errno> {
    let (target, path) = (memory.path(target)?, memory.path(new.path)?);
    let directory = context.descriptors.directory(new.fd)?;
    directory.check_writable()?;
    if target.starts_with('/') {
        return Err(Errno::Perm);
    }
    context.disk.check(limits::ENTRY_BYTES)?;
    directory.dir.symlink(target, path)?;
    context.disk.book(limits::ENTRY_BYTES);
    Ok(())
}

pub(super) fn path_unlink_file(
    context: &mut WasiContext,
    memory: &mut GuestMemory<'_>,
    at: GuestPath,
) -> Result<(), Errno> {
    let path = memory.path(at.path)?;
    let directory = context.descriptors.directory(at.fd)?;
    directory.check_writable()?;
    Ok(directory.dir.remove_file(path)?)
}
