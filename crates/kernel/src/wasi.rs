//! WASI preview 1 for guests: a shim of our own over `cap-std`, charged by call and by byte.
//!
//! A guest gets arguments, an environment, a finite standard input, two bounded output buffers,
//! two clocks, random bytes and the directories that its configuration names, with regular files
//! and directories in them and nothing else. No call waits for the host: the two that let a guest
//! wait (`poll_oneoff`, `sched_yield`) hand a [`Pause`] to the slice loop.
//!
//! # What a hostile guest meets
//! Every pointer is checked against the guest's own memory (`EFAULT`; alignment does not matter),
//! every path is resolved beneath its preopen by `cap-std` (`EPERM` when it leads out), and every
//! number that a guest chooses has a bound: see [`limits`]. A call moves at most
//! [`limits::CALL_BYTES_MAX`] and the host allocates no more for it than the bounds say.
//!
//! # Deterministic mode
//! With [`WasiConfig::deterministic`] and [`RandomSource::Seeded`] everything that a guest sees is
//! a function of its inputs: file times, device ids and link counts are constants, inode numbers
//! are hashes of guest paths, directories list in order of names (always), sizes of directories
//! are 0.
//!
//! # What differs from other hosts
//! - Reads, writes and `random_get` above 1 MiB are short (reads, writes) or `EINVAL` (random).
//! - `fd_sync` and `fd_datasync` succeed without waiting for the disk, which would stop a cell.
//! - Rights are reported and not kept: `fd_fdstat_set_rights` is `ENOTSUP`. Read-only preopens
//!   are enforced (`EROFS`).
//! - A closed standard stream's number is not given to the next file; `fd_renumber` may fill it.
//!   Onto any other closed number it is `EBADF`.
//! - There are no sockets: `sock_*` is `EBADF` for a closed descriptor and `ENOTSOCK` for an open
//!   one, and `proc_raise` is `ENOSYS`; all are named by [`WasiContext::unsupported`].
//! - A guest may create symbolic links with relative targets. They never lead a guest out of its
//!   preopen, but a host program that follows them may be led anywhere: do not follow them.

mod args;
mod clocks;
mod context;
mod descriptors;
mod directories;
mod errno;
mod files;
pub mod limits;
mod linker;
mod memory;
mod metadata;
mod output;
mod paths;
mod poll;
mod process;
mod random;
mod transfer;
mod unsupported;

use std::path::PathBuf;

use wasmtime::Caller;

use crate::pause::{Pause, PauseFuture};

pub use context::{WasiContext, WasiError};
pub use linker::add_to_linker;
pub use output::{OutputBuffer, Stream};
pub use process::Exit;

/// What the shim needs from the process whose host call it serves; the store's data implements it.
pub trait WasiView: Send + 'static {
    /// The process's files, arguments, environment, output and randomness.
    fn wasi(&mut self) -> &mut WasiContext;
    /// Charges one host call that moved `bytes` between guest and host.
    fn charge(&mut self, bytes: u64);
    /// Notes wall time of a host call, which may have waited for a disk.
    fn host_time(&mut self, ns: u64) {
        let _ = ns;
    }
    /// The guest's monotonic clock, ns.
    fn monotonic_ns(&mut self) -> u64;
    /// The guest's wall clock, ns since 1970-01-01.
    fn realtime_ns(&mut self) -> u64;
    /// A future that waits; it must be awaited without holding the store.
    fn pause(&mut self, pause: Pause) -> PauseFuture;
    /// Called before a guest waits for longer than the rest of its slice.
    fn before_wait(caller: &mut Caller<'_, Self>)
    where
        Self: Sized,
    {
        let _ = caller;
    }
}

/// What a process's [`WasiContext`] is made of.
#[derive(Clone, Debug)]
pub struct WasiConfig {
    /// Arguments; the first is the program's name.
    pub args: Vec<String>,
    /// Environment variables, in the order in which the guest sees them.
    pub env: Vec<(String, String)>,
    /// Directories that the guest finds open, as descriptors 3, 4, ….
    pub preopens: Vec<Preopen>,
    /// What the guest reads on descriptor 0 before it meets the end of the file.
    pub stdin: Vec<u8>,
    /// Where `random_get` takes its bytes.
    pub random: RandomSource,
    /// Bytes that each output stream holds between two drains; what is past it is lost and counted.
    pub output_bytes_max: usize,
    /// Bytes that the process may write to files over its life, counting
    /// [`limits::ENTRY_BYTES`] for each entry it creates; past it, `EDQUOT`.
    pub disk_bytes_max: u64,
    /// Descriptors that may be open at once, stdio and preopens included; at most
    /// [`limits::OPEN_FILES_MAX`].
    pub open_files_max: usize,
    /// Hides whatever of the host's files is not a function of the inputs: times, inode numbers,
    /// device ids, link counts.
    pub deterministic: bool,
}

impl Default for WasiConfig {
    /// No arguments, no files, an empty standard input, random bytes of the operating system.
    fn default() -> Self {
        Self {
            args: Vec::new(),
            env: Vec::new(),
            preopens: Vec::new(),
            stdin: Vec::new(),
            random: RandomSource::Os,
            output_bytes_max: limits::OUTPUT_BYTES_DEFAULT,
            disk_bytes_max: limits::DISK_BYTES_DEFAULT,
            open_files_max: limits::OPEN_FILES_MAX,
            deterministic: false,
        }
    }
}

/// A host directory that a guest finds open under a name of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preopen {
    /// The guest's name for it, such as `/` or `/data`.
    pub guest_path: String,
    /// The directory on the host; it must exist.
    pub host_path: PathBuf,
    /// Refuses every change beneath it with `EROFS`.
    pub read_only: bool,
}

/// Where a guest's random bytes come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RandomSource {
    /// A ChaCha20 stream of this key, for deterministic mode.
    Seeded([u8; 32]),
    /// A ChaCha20 stream keyed once by the operating system.
    Os,
}
