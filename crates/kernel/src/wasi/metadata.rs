//! What a guest is told of a file, and the same without the host's accidents.

use cap_std::fs::{Dir, FileType, FileTypeExt, Metadata, MetadataExt};
use rustix::fs::{Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};

use super::errno::Errno;

/// WASI's `filetype`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Unknown = 0,
    BlockDevice = 1,
    CharacterDevice = 2,
    Directory = 3,
    RegularFile = 4,
    Socket = 6,
    SymbolicLink = 7,
}

impl Kind {
    pub(super) fn new(kind: FileType) -> Self {
        if kind.is_dir() {
            Self::Directory
        } else if kind.is_file() {
            Self::RegularFile
        } else if kind.is_symlink() {
            Self::SymbolicLink
        } else if kind.is_block_device() {
            Self::BlockDevice
        } else if kind.is_char_device() {
            Self::CharacterDevice
        } else if kind.is_socket() {
            Self::Socket
        } else {
            Self::Unknown
        }
    }
}

/// A file's inode number in deterministic mode: FNV-1a of its guest path, component by component.
/// Two names of one file differ in it, as they would on two file systems.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity(u64);

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

impl Identity {
    pub(super) fn preopen(guest_path: &str) -> Self {
        Self(FNV_OFFSET).component(guest_path.trim_end_matches('/').as_bytes())
    }

    /// An entry of this directory.
    pub(super) fn component(self, name: &[u8]) -> Self {
        let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME);
        Self(name.iter().fold(step(self.0, b'/'), |hash, byte| step(hash, *byte)))
    }

    /// What `path` leads to from this directory, after symbolic links when `follow`.
    pub(super) fn resolve(self, dir: &Dir, path: &str, follow: bool) -> Self {
        let canonical = if follow { dir.canonicalize(path).ok() } else { None };
        let text = canonical.as_deref().and_then(|path| path.to_str()).unwrap_or(path);
        let mut names: Vec<&str> = Vec::new();
        for name in text.split('/') {
            match name {
                "" | "." => {}
                ".." => drop(names.pop()),
                _ => names.push(name),
            }
        }
        names.into_iter().fold(self, |identity, name| identity.component(name.as_bytes()))
    }

    pub(super) fn inode(self) -> u64 {
        self.0
    }
}

/// WASI's `filestat`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Status {
    device: u64,
    inode: u64,
    kind: Kind,
    links: u64,
    size_bytes: u64,
    accessed_ns: u64,
    modified_ns: u64,
    changed_ns: u64,
}

impl Status {
    /// A standard stream.
    pub(super) fn stream() -> Self {
        Self {
            device: 0,
            inode: 0,
            kind: Kind::Unknown,
            links: 1,
            size_bytes: 0,
            accessed_ns: 0,
            modified_ns: 0,
            changed_ns: 0,
        }
    }

    /// The host's file, or in deterministic mode what of it is a function of the inputs.
    pub(super) fn new(metadata: &Metadata, hidden_by: Option<Identity>) -> Self {
        let kind = Kind::new(metadata.file_type());
        if let Some(identity) = hidden_by {
            let size_bytes = if kind == Kind::Directory { 0 } else { metadata.len() };
            return Self { inode: identity.inode(), kind, size_bytes, ..Self::stream() };
        }
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            kind,
            links: metadata.nlink(),
            size_bytes: metadata.len(),
            accessed_ns: timestamp_ns(metadata.atime(), metadata.atime_nsec()),
            modified_ns: timestamp_ns(metadata.mtime(), metadata.mtime_nsec()),
            changed_ns: timestamp_ns(metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    pub(super) fn encode(&self) -> [u8; 64] {
        let mut bytes = [0; 64];
        let mut put = |at: usize, value: u64| {
            bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        };
        put(0, self.device);
        put(8, self.inode);
        put(16, self.kind as u64);
        put(24, self.links);
        put(32, self.size_bytes);
        put(40, self.accessed_ns);
        put(48, self.modified_ns);
        put(56, self.changed_ns);
        bytes
    }
}

/// Times before 1970 are shown as 1970, times after 2554 as 2554.
fn timestamp_ns(seconds: i64, nanoseconds: i64) -> u64 {
    let seconds = u64::try_from(seconds).unwrap_or(0);
    let nanoseconds = u64::try_from(nanoseconds).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds)
}

const SET_ACCESSED: u32 = 1 << 0;
const SET_ACCESSED_NOW: u32 = 1 << 1;
const SET_MODIFIED: u32 = 1 << 2;
const SET_MODIFIED_NOW: u32 = 1 << 3;

/// The times that a guest asks for with `fstflags`.
pub(super) fn timestamps(
    accessed_ns: u64,
    modified_ns: u64,
    flags: u32,
) -> Result<Timestamps, Errno> {
    let both = |set, now| flags & set != 0 && flags & now != 0;
    if flags >= 1 << 4
        || both(SET_ACCESSED, SET_ACCESSED_NOW)
        || both(SET_MODIFIED, SET_MODIFIED_NOW)
    {
        return Err(Errno::Inval);
    }
    let choose = |set, now, ns: u64| {
        if flags & set != 0 {
            timespec(ns)
        } else {
            let tv_nsec = if flags & now != 0 { UTIME_NOW } else { UTIME_OMIT };
            Ok(Timespec { tv_sec: 0, tv_nsec })
        }
    };
    Ok(Timestamps {
        last_access: choose(SET_ACCESSED, SET_ACCESSED_NOW, accessed_ns)?,
        last_modification: choose(SET_MODIFIED, SET_MODIFIED_NOW, modified_ns)?,
    })
}

fn timespec(ns: u64) -> Result<Timespec, Errno> {
    let tv_sec = i64::try_from(ns / 1_000_000_000).map_err(|_| Errno::Overflow)?;
    let tv_nsec = i64::try_from(ns % 1_000_000_000).map_err(|_| Errno::Overflow)?;
    Ok(Timespec { tv_sec, tv_nsec })
}
