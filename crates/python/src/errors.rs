//! The one place where the kernel's errors become Python exceptions, and where panics stop.

use std::panic::{AssertUnwindSafe, catch_unwind};

use maxwell_kernel::KernelError as Kernel;
use pyo3::create_exception;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;

create_exception!(
    maxwell._native,
    KernelError,
    PyException,
    "An error of the kernel; `args` is `(kind, message)`."
);

/// The stable name of an error's kind; `maxwell.errors` turns it into a typed exception.
fn kind(error: &Kernel) -> &'static str {
    match error {
        Kernel::InvalidModule(_) => "invalid_module",
        Kernel::UnknownImport { .. } => "unknown_import",
        Kernel::OverLimit { .. } => "over_limit",
        Kernel::Engine(_) => "engine",
        Kernel::Io { .. } => "io",
        Kernel::Protocol(_) => "protocol",
        Kernel::Setup(_) => "setup",
        Kernel::Trapped(_) => "trapped",
        _ => "bug",
    }
}

pub(crate) fn to_py(error: &Kernel) -> PyErr {
    KernelError::new_err((kind(error), error.to_string()))
}

/// Runs `work` without the GIL and stops its panics: `Err` is what the panic said.
pub(crate) fn detached<T: Send>(
    py: Python<'_>,
    work: impl FnOnce() -> T + Send,
) -> Result<T, String> {
    py.detach(|| catch_unwind(AssertUnwindSafe(work))).map_err(|panic| {
        panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no message".to_owned())
    })
}

/// Runs `work` without the GIL; its errors become exceptions, and so does a panic, as a bug.
pub(crate) fn guarded<T: Send>(
    py: Python<'_>,
    work: impl FnOnce() -> Result<T, Kernel> + Send,
) -> PyResult<T> {
    match detached(py, work) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(to_py(&error)),
        Err(said) => {
            Err(KernelError::new_err(("bug", format!("BUG: the kernel panicked: {said}"))))
        }
    }
}
