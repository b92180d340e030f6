//! The bounds of every number that a guest chooses.

/// Bytes that one call moves at most; longer reads and writes are short. 1 MiB is about 100 µs of
/// copying, which keeps a call well inside a slice's kill bound.
pub const CALL_BYTES_MAX: u32 = 1 << 20;

/// Buffers of one scattered read or write (Linux's `IOV_MAX`); past it, `EINVAL`.
pub const VECTORS_MAX: u32 = 1024;

/// Bytes of a path or of a symbolic link's target (Linux's `PATH_MAX`); past it, `ENAMETOOLONG`.
pub const PATH_BYTES_MAX: u32 = 4096;

/// Descriptors of one process, whatever its configuration says; past it, `EMFILE`.
pub const OPEN_FILES_MAX: usize = 256;

/// Subscriptions of one `poll_oneoff`: four for each descriptor; past it, `EINVAL`.
pub const SUBSCRIPTIONS_MAX: u32 = 1024;

/// Host memory for the directory listings that one process has open at once: about 65,000 entries
/// with short names. A single directory past it is `EOVERFLOW`.
pub const LISTING_BYTES_MAX: usize = 4 << 20;

/// What a new file, directory or link takes of the disk budget: an inode and its entry.
pub const ENTRY_BYTES: u64 = 4096;

/// Bytes of arguments, and of environment variables, that a configuration may hold.
pub const STRINGS_BYTES_MAX: usize = 1 << 20;

/// Bytes that each output stream holds between two drains, unless the configuration says more.
pub const OUTPUT_BYTES_DEFAULT: usize = 256 << 10;

/// Bytes that a process may write to files, unless the configuration says otherwise.
pub const DISK_BYTES_DEFAULT: u64 = 64 << 20;
