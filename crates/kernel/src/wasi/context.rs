//! A process's side of WASI: what it was given, what it has open, what it may still use.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use cap_std::fs::Dir;
use rand_chacha::ChaCha20Rng;
use rustix::fs::OFlags;
use thiserror::Error;

use super::args::StringTable;
use super::descriptors::{Descriptor, Descriptors, Directory};
use super::errno::Errno;
use super::metadata::Identity;
use super::output::{OutputBuffer, Stream};
use super::unsupported::Unsupported;
use super::{Preopen, WasiConfig, limits, random};

/// Why a [`WasiContext`] could not be made. Nothing was opened or changed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WasiError {
    /// A preopened directory cannot be opened. Create it, or correct its path or permissions.
    #[error("cannot open the directory {host_path} for the guest's {guest_path}: {source}")]
    Preopen {
        /// The directory on the host.
        host_path: PathBuf,
        /// The guest's name for it.
        guest_path: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// A preopen's guest path is empty, holds a NUL, is longer than a path may be, or is used
    /// twice. Give each directory one name of its own.
    #[error("the guest path {guest_path:?} is empty, too long, used twice or holds a NUL")]
    GuestPath {
        /// The refused name.
        guest_path: String,
    },
    /// Arguments or environment variables hold a NUL, or together exceed
    /// [`limits::STRINGS_BYTES_MAX`]. Pass large inputs in files.
    #[error("{what} hold a NUL or exceed {bytes_max} bytes in all")]
    Strings {
        /// `arguments` or `environment variables`.
        what: &'static str,
        /// The bound.
        bytes_max: usize,
    },
    /// Standard streams and preopens need more descriptors than `open_files_max`, or it exceeds
    /// [`limits::OPEN_FILES_MAX`]. Raise it, or preopen fewer directories.
    #[error("{needed} descriptors are needed; open_files_max is {open_files_max}, at most {limit}")]
    OpenFiles {
        /// Standard streams and preopens.
        needed: usize,
        /// What the configuration allows.
        open_files_max: usize,
        /// What any configuration may allow.
        limit: usize,
    },
    /// The operating system gave no random key. Mount `/dev/urandom`, or use a seeded source.
    #[error("cannot read a key from /dev/urandom: {source}")]
    Random {
        /// What the operating system said.
        source: io::Error,
    },
}

/// A process's side of WASI preview 1.
///
/// It lives as long as the process. The cell drains its [`output`](Self::output) once an epoch.
pub struct WasiContext {
    pub(super) args: StringTable,
    pub(super) env: StringTable,
    pub(super) descriptors: Descriptors,
    pub(super) stdin: Stdin,
    pub(super) outputs: Outputs,
    pub(super) random: ChaCha20Rng,
    pub(super) disk: DiskBudget,
    pub(super) deterministic: bool,
    unsupported: [bool; Unsupported::ALL.len()],
}

impl WasiContext {
    /// Opens the preopened directories and lays out the strings of `config`.
    ///
    /// # Errors
    /// See [`WasiError`].
    pub fn new(config: WasiConfig) -> Result<Self, WasiError> {
        let args = strings("arguments", config.args.iter().map(String::as_str))?;
        let pairs: Vec<String> = config.env.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let env = strings("environment variables", pairs.iter().map(String::as_str))?;
        let descriptors = open_descriptors(&config.preopens, config.open_files_max)?;
        let random =
            random::generator(config.random).map_err(|source| WasiError::Random { source })?;
        Ok(Self {
            args,
            env,
            descriptors,
            stdin: Stdin { bytes: config.stdin, offset: 0 },
            outputs: Outputs {
                stdout: OutputBuffer::new(config.output_bytes_max),
                stderr: OutputBuffer::new(config.output_bytes_max),
            },
            random,
            disk: DiskBudget { written_bytes: 0, bytes_max: config.disk_bytes_max },
            deterministic: config.deterministic,
            unsupported: [false; Unsupported::ALL.len()],
        })
    }

    /// The buffer of one output stream, to be drained and read.
    pub fn output(&mut self, stream: Stream) -> &mut OutputBuffer {
        self.outputs.get(stream)
    }

    /// Names of the calls that the guest made and this shim does not serve, each once.
    pub fn unsupported(&self) -> impl Iterator<Item = &'static str> + '_ {
        Unsupported::ALL
            .into_iter()
            .zip(self.unsupported)
            .filter_map(|(call, noted)| noted.then_some(call.name()))
    }

    /// Bytes written to files so far, with [`limits::ENTRY_BYTES`] for each entry created.
    #[must_use]
    pub fn disk_written_bytes(&self) -> u64 {
        self.disk.written_bytes
    }

    /// Descriptors that are open now, stdio and preopens included.
    #[must_use]
    pub fn open_files(&self) -> usize {
        self.descriptors.open()
    }

    pub(super) fn note_unsupported(&mut self, call: Unsupported) {
        for (noted, candidate) in self.unsupported.iter_mut().zip(Unsupported::ALL) {
            *noted |= candidate == call;
        }
    }
}

fn strings<'a>(
    what: &'static str,
    strings: impl Iterator<Item = &'a str>,
) -> Result<StringTable, WasiError> {
    let bytes_max = limits::STRINGS_BYTES_MAX;
    StringTable::new(strings, bytes_max).ok_or(WasiError::Strings { what, bytes_max })
}

fn open_descriptors(preopens: &[Preopen], open_max: usize) -> Result<Descriptors, WasiError> {
    let needed = preopens.len() + 3;
    let limit = limits::OPEN_FILES_MAX;
    if needed > open_max || open_max > limit {
        return Err(WasiError::OpenFiles { needed, open_files_max: open_max, limit });
    }
    let mut initial = vec![
        Descriptor::Stdin,
        Descriptor::Output(Stream::Stdout),
        Descriptor::Output(Stream::Stderr),
    ];
    for (index, preopen) in preopens.iter().enumerate() {
        let guest_path = preopen.guest_path.clone();
        let length_max = limits::PATH_BYTES_MAX as usize;
        let twice = preopens[..index].iter().any(|other| other.guest_path == guest_path);
        let bad = guest_path.is_empty() || guest_path.len() > length_max;
        if twice || bad || guest_path.contains('\0') {
            return Err(WasiError::GuestPath { guest_path });
        }
        let dir = open_directory(&preopen.host_path).map_err(|source| WasiError::Preopen {
            host_path: preopen.host_path.clone(),
            guest_path: guest_path.clone(),
            source,
        })?;
        let identity = Identity::preopen(&guest_path);
        let read_only = preopen.read_only;
        let preopen = Some(guest_path);
        let directory = Directory { dir, preopen, read_only, identity, listing: None };
        initial.push(Descriptor::Directory(directory));
    }
    Ok(Descriptors::new(initial, open_max))
}

/// Opens a directory for listing too, which `Dir::open_ambient_dir` (`O_PATH`) would not.
fn open_directory(path: &Path) -> io::Result<Dir> {
    let flags = OFlags::DIRECTORY.bits().cast_signed();
    OpenOptions::new().read(true).custom_flags(flags).open(path).map(Dir::from_std_file)
}

/// A finite standard input.
#[derive(Debug)]
pub(super) struct Stdin {
    bytes: Vec<u8>,
    offset: usize,
}

impl Stdin {
    pub(super) fn remaining(&self) -> &[u8] {
        &self.bytes[self.offset..]
    }

    pub(super) fn read(&mut self, buffer: &mut [u8]) -> usize {
        let count = buffer.len().min(self.remaining().len());
        buffer[..count].copy_from_slice(&self.remaining()[..count]);
        self.offset += count;
        assert!(self.offset <= self.bytes.len());
        count
    }
}

/// The two output streams.
#[derive(Debug)]
pub(super) struct Outputs {
    stdout: OutputBuffer,
    stderr: OutputBuffer,
}

impl Outputs {
    pub(super) fn get(&mut self, stream: Stream) -> &mut OutputBuffer {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }
}

/// What a process may still write to the host's disk.
#[derive(Debug)]
pub(super) struct DiskBudget {
    written_bytes: u64,
    bytes_max: u64,
}

impl DiskBudget {
    pub(super) fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    pub(super) fn remaining_bytes(&self) -> u64 {
        self.bytes_max - self.written_bytes
    }

    /// Refuses what would not fit, before it is done.
    pub(super) fn check(&self, bytes: u64) -> Result<(), Errno> {
        if bytes <= self.remaining_bytes() { Ok(()) } else { Err(Errno::Dquot) }
    }

    /// Books what was done, after [`check`](Self::check) allowed it.
    pub(super) fn book(&mut self, bytes: u64) {
        self.written_bytes = self.written_bytes.saturating_add(bytes);
        assert!(self.written_bytes <= self.bytes_max, "BUG: unchecked disk write");
    }
}
