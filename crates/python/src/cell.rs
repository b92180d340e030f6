//! A cell's main loop for Python.

use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use maxwell_kernel::{KernelError, cell};
use pyo3::prelude::*;

use crate::errors::guarded;

/// Runs a cell on the socket `fd` (owned from now on) until the parent stops it or goes away.
#[pyfunction]
#[allow(unsafe_code)]
pub(crate) fn run_cell(py: Python<'_>, fd: RawFd) -> PyResult<()> {
    if fd < 0 {
        return Err(crate::errors::to_py(&KernelError::Protocol(format!("descriptor {fd}"))));
    }
    // SAFETY: the caller detached `fd` from its Python socket and hands it over; nothing else in
    // this process closes or uses it.
    // JUSTIFICATION: a descriptor inherited from the parent process has no safe owner yet.
    let owned = unsafe { OwnedFd::from_raw_fd(fd) };
    guarded(py, move || cell::run(UnixStream::from(owned)))
}
