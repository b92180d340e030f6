//! Loading compiled code that the admission process wrote into the run's private folder.

use std::path::Path;

use wasmtime::{Engine, Module};

use crate::error::{KernelError, Result};

/// Loads a compiled module by mapping its file; cells share its pages.
///
/// # Errors
/// [`KernelError::Engine`] when the file is missing or was made by another engine, another version
/// of the price table or other settings.
#[allow(unsafe_code)]
pub(crate) fn load(engine: &Engine, path: &Path) -> Result<Module> {
    // SAFETY: the file holds native code and must come from `Module::serialize`. It was written by
    // this run's own admission process into a folder with mode 0700 that only this user reaches,
    // under a name that no guest can see or write, and is not changed while the run lasts.
    // JUSTIFICATION: a cell must not compile (contracts 13, 10), and mapping a file is how one
    // machine shares compiled code; the engine offers no safe form of it.
    let module = unsafe { Module::deserialize_file(engine, path) };
    module
        .map_err(|error| KernelError::Engine(format!("cannot load {}: {error:#}", path.display())))
}
