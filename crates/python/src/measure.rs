//! Measurements of one guest alone, for calibration, overhead and replay tests.

use maxwell_kernel::engine::Metering;
use maxwell_kernel::solo::{self, SoloOptions};
use maxwell_kernel::wasi::{Preopen, RandomSource, WasiConfig};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors::guarded;

/// What a guest used when it ran alone.
#[pyclass(frozen, module = "maxwell._native")]
pub(crate) struct Measurement(solo::Measurement);

#[pymethods]
impl Measurement {
    #[getter]
    fn fuel(&self) -> u64 {
        self.0.fuel
    }
    #[getter]
    fn wall_ns(&self) -> u64 {
        self.0.wall_ns
    }
    #[getter]
    fn cpu_ns(&self) -> u64 {
        self.0.cpu_ns
    }
    #[getter]
    fn calls(&self) -> u64 {
        self.0.calls
    }
    #[getter]
    fn bytes(&self) -> u64 {
        self.0.bytes
    }
    #[getter]
    fn memory_bytes_max(&self) -> u64 {
        self.0.memory_bytes_max
    }
    #[getter]
    fn exit(&self) -> &str {
        &self.0.exit
    }
    #[getter]
    fn completed(&self) -> bool {
        self.0.completed
    }
    #[getter]
    fn freed_bytes(&self) -> u64 {
        self.0.freed_bytes
    }
    #[getter]
    fn memory_digest(&self) -> Option<u64> {
        self.0.memory_digest
    }
    #[getter]
    fn stdout<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.stdout)
    }
    #[getter]
    fn stderr<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.stderr)
    }
}

/// Compiles `wasm` once and runs it `repeat` times alone on this thread.
#[pyfunction]
#[pyo3(signature = (wasm, *, args, metered = true, dirs = vec![], env = vec![], quantum_fuel = 800_000,
    fuel_max = None, store_fuel = None, calls_max = None, wall_ns_max = None, repeat = 1,
    digest_memory = false, counted = false))]
#[allow(clippy::too_many_arguments)]
pub(crate) fn measure(
    py: Python<'_>,
    wasm: Vec<u8>,
    args: Vec<String>,
    metered: bool,
    dirs: Vec<(String, std::path::PathBuf, bool)>,
    env: Vec<(String, String)>,
    quantum_fuel: u64,
    fuel_max: Option<u64>,
    store_fuel: Option<u64>,
    calls_max: Option<u64>,
    wall_ns_max: Option<u64>,
    repeat: u32,
    digest_memory: bool,
    counted: bool,
) -> PyResult<Vec<Measurement>> {
    let preopens = dirs.into_iter().map(|(guest_path, host_path, read_only)| Preopen {
        guest_path,
        host_path,
        read_only,
    });
    let options = SoloOptions {
        wasi: WasiConfig {
            args,
            env,
            preopens: preopens.collect(),
            random: RandomSource::Seeded([0; 32]),
            ..WasiConfig::default()
        },
        quantum_fuel: if metered { quantum_fuel.max(1) } else { 0 },
        fuel_max: fuel_max.unwrap_or(u64::MAX),
        store_fuel,
        calls_max: calls_max.unwrap_or(u64::MAX),
        wall_ns_max: wall_ns_max.unwrap_or(u64::MAX),
        digest_memory,
        ..SoloOptions::default()
    };
    let metering = if metered { Metering::Fuel } else { Metering::Off };
    let measured = guarded(py, move || {
        let (engine, module) = solo::compile(&wasm, metering, counted)?;
        (0..repeat)
            .map(|_| solo::measure(&engine, &module, &options))
            .collect::<Result<Vec<_>, _>>()
    })?;
    Ok(measured.into_iter().map(Measurement).collect())
}
