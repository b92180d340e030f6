//! Admission for Python.

use std::path::PathBuf;

use maxwell_kernel::admission;
use maxwell_kernel::engine::Metering;
use pyo3::prelude::*;

use crate::errors::guarded;

/// What admission learnt about a module.
#[pyclass(frozen, get_all, module = "maxwell._native")]
pub(crate) struct ModuleInfo {
    module_bytes: u64,
    functions: u64,
    function_bytes_max: u64,
    memory_bytes_min: u64,
    memory_bytes_max: Option<u64>,
    has_start: bool,
    imports: Vec<String>,
    counted: Vec<String>,
    artifact_bytes: u64,
    cached: bool,
}

impl From<admission::ModuleInfo> for ModuleInfo {
    fn from(info: admission::ModuleInfo) -> Self {
        Self {
            module_bytes: info.module_bytes,
            functions: info.functions,
            function_bytes_max: info.function_bytes_max,
            memory_bytes_min: info.memory_bytes_min,
            memory_bytes_max: info.memory_bytes_max,
            has_start: info.has_start,
            imports: info.imports,
            counted: info.counted,
            artifact_bytes: info.artifact_bytes,
            cached: info.cached,
        }
    }
}

#[pyfunction]
pub(crate) fn inspect(py: Python<'_>, wasm: Vec<u8>) -> PyResult<ModuleInfo> {
    guarded(py, move || admission::inspect(&wasm)).map(Into::into)
}

#[pyfunction]
#[pyo3(signature = (wasm, artifact, *, cache_dir = None, metered = true))]
pub(crate) fn admit(
    py: Python<'_>,
    wasm: Vec<u8>,
    artifact: PathBuf,
    cache_dir: Option<PathBuf>,
    metered: bool,
) -> PyResult<ModuleInfo> {
    let metering = if metered { Metering::Fuel } else { Metering::Off };
    guarded(py, move || admission::admit(&wasm, &artifact, metering, cache_dir.as_deref()))
        .map(Into::into)
}
