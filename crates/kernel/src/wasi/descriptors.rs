//! The table of open descriptors: the lowest free number is given first, as POSIX does.
//!
//! Numbers 0, 1 and 2 are not given when they are closed, so that no file ever receives what a
//! program writes to a stream that it closed; `fd_renumber` alone fills them again. Yosys needs
//! both: it moves its standard output away, runs ABC, and moves it back.

use cap_std::fs::{Dir, File};

use super::directories::Listing;
use super::errno::Errno;
use super::metadata::Identity;
use super::output::Stream;

/// What a descriptor stands for.
pub(super) enum Descriptor {
    Stdin,
    Output(Stream),
    File(OpenFile),
    Directory(Directory),
}

/// A regular file. The offset is kept here, so that seeking costs no call to the host.
pub(super) struct OpenFile {
    pub(super) file: File,
    pub(super) offset: u64,
    pub(super) readable: bool,
    pub(super) writable: bool,
    /// Opened beneath a read-only preopen.
    pub(super) read_only: bool,
    /// `fdflags` as the guest set them; `APPEND` is also set on the host's descriptor.
    pub(super) flags: u16,
    pub(super) identity: Identity,
}

/// A directory, and beneath it whatever its paths can reach.
pub(super) struct Directory {
    pub(super) dir: Dir,
    /// The guest's name for it when it was open from the start.
    pub(super) preopen: Option<String>,
    pub(super) read_only: bool,
    pub(super) identity: Identity,
    /// Names as they were when the guest began to list them.
    pub(super) listing: Option<Listing>,
}

impl Directory {
    /// Refuses a change beneath a read-only preopen.
    pub(super) fn check_writable(&self) -> Result<(), Errno> {
        if self.read_only { Err(Errno::Rofs) } else { Ok(()) }
    }
}

/// Numbers of the standard streams: 0, 1 and 2.
const STREAMS: usize = 3;

/// A process's open descriptors.
pub(super) struct Descriptors {
    slots: Vec<Option<Descriptor>>,
    open: usize,
    open_max: usize,
}

impl Descriptors {
    pub(super) fn new(initial: Vec<Descriptor>, open_max: usize) -> Self {
        assert!(initial.len() >= STREAMS && initial.len() <= open_max);
        let open = initial.len();
        Self { slots: initial.into_iter().map(Some).collect(), open, open_max }
    }

    pub(super) fn open(&self) -> usize {
        self.open
    }

    pub(super) fn get(&self, fd: u32) -> Result<&Descriptor, Errno> {
        self.slots.get(fd as usize).and_then(Option::as_ref).ok_or(Errno::Badf)
    }

    pub(super) fn get_mut(&mut self, fd: u32) -> Result<&mut Descriptor, Errno> {
        self.slots.get_mut(fd as usize).and_then(Option::as_mut).ok_or(Errno::Badf)
    }

    /// A regular file; anything else is `other`.
    pub(super) fn file_mut(&mut self, fd: u32, other: Errno) -> Result<&mut OpenFile, Errno> {
        match self.get_mut(fd)? {
            Descriptor::File(file) => Ok(file),
            _ => Err(other),
        }
    }

    pub(super) fn directory(&self, fd: u32) -> Result<&Directory, Errno> {
        match self.get(fd)? {
            Descriptor::Directory(directory) => Ok(directory),
            _ => Err(Errno::Notdir),
        }
    }

    pub(super) fn directory_mut(&mut self, fd: u32) -> Result<&mut Directory, Errno> {
        match self.get_mut(fd)? {
            Descriptor::Directory(directory) => Ok(directory),
            _ => Err(Errno::Notdir),
        }
    }

    /// Every directory that is open.
    pub(super) fn directories_mut(&mut self) -> impl Iterator<Item = &mut Directory> {
        self.slots.iter_mut().flatten().filter_map(|descriptor| match descriptor {
            Descriptor::Directory(directory) => Some(directory),
            _ => None,
        })
    }

    /// Refuses a descriptor too many, before the host opens anything.
    pub(super) fn check_room(&self) -> Result<(), Errno> {
        if self.open < self.open_max { Ok(()) } else { Err(Errno::Mfile) }
    }

    pub(super) fn insert(&mut self, descriptor: Descriptor) -> Result<u32, Errno> {
        self.check_room()?;
        let free = self.slots.iter().skip(STREAMS).position(Option::is_none);
        let fd = free.map_or(self.slots.len(), |index| STREAMS + index);
        let number = u32::try_from(fd).map_err(|_| Errno::Mfile)?;
        if fd == self.slots.len() {
            self.slots.push(None);
        }
        self.slots[fd] = Some(descriptor);
        self.open += 1;
        assert!(self.open <= self.open_max && self.slots.len() <= self.open_max + STREAMS);
        Ok(number)
    }

    pub(super) fn close(&mut self, fd: u32) -> Result<(), Errno> {
        self.get(fd)?;
        self.slots[fd as usize] = None;
        self.open -= 1;
        Ok(())
    }

    /// Moves `from` onto `to`, which is closed by it; only a stream may be closed before.
    pub(super) fn renumber(&mut self, from: u32, to: u32) -> Result<(), Errno> {
        self.get(from)?;
        if to as usize >= STREAMS {
            self.get(to)?;
        }
        if from != to {
            let moved = self.slots[from as usize].take();
            let closed = std::mem::replace(&mut self.slots[to as usize], moved);
            self.open -= usize::from(closed.is_some());
        }
        assert_eq!(self.open, self.slots.iter().flatten().count());
        Ok(())
    }
}
