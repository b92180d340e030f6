//! The kernel's errors: one enum, each variant says its cause, what changed and what to do.

use std::path::PathBuf;

/// What can go wrong in the kernel. No variant leaves money moved half way.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KernelError {
    /// The bytes are no valid WebAssembly module. Nothing changed; fix or rebuild the module.
    #[error("not a valid WebAssembly module: {0}")]
    InvalidModule(String),
    /// The module asks for an import that no process is given. Nothing changed.
    #[error("unknown import `{module}.{name}`: {why}")]
    UnknownImport {
        /// Import module name.
        module: String,
        /// Import item name.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// The module passes a limit of admission. Nothing changed; shrink it or raise the limit.
    #[error("module is over a limit: {what} is {value}, the limit is {limit}")]
    OverLimit {
        /// Which limit.
        what: &'static str,
        /// What the module has.
        value: u64,
        /// What is allowed.
        limit: u64,
    },
    /// The engine could not be set up or refused a compiled module. Nothing changed.
    #[error("engine: {0}")]
    Engine(String),
    /// A file or a mapping could not be opened, read or written.
    #[error("{what} `{path}`: {source}")]
    Io {
        /// What was attempted.
        what: &'static str,
        /// On which path.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The parent sent a message that this cell does not understand. The cell stops.
    #[error("control message: {0}")]
    Protocol(String),
    /// A guest could not be prepared (arguments, directories, environment). Nothing changed.
    #[error("guest set-up: {0}")]
    Setup(String),
    /// A guest stopped with a trap while it was measured alone.
    #[error("guest trapped: {0}")]
    Trapped(String),
    /// An invariant does not hold: a bug. The cell stops; its slots still hold the truth.
    #[error("BUG: {0}; please report it with the run's seed")]
    Bug(String),
}

impl KernelError {
    pub(crate) fn engine(error: impl std::fmt::Display) -> Self {
        Self::Engine(format!("{error:#}"))
    }
}

/// A result of the kernel.
pub type Result<T, E = KernelError> = std::result::Result<T, E>;
