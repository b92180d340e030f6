//! `maxwell._native`: the kernel for Python. It converts types and errors and holds no policy.

mod admission;
mod cell;
mod errors;
mod hidden_input;
mod measure;
mod proofs;
mod secret;
mod slots;

use pyo3::prelude::*;

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("KernelError", module.py().get_type::<errors::KernelError>())?;
    module.add("ENGINE_VERSION", maxwell_kernel::engine::ENGINE_VERSION)?;
    module.add("PRICE_TABLE_VERSION", maxwell_kernel::prices::PRICE_TABLE_VERSION)?;
    module.add("HOST_CALL_FUEL", maxwell_kernel::prices::HOST_CALL_FUEL)?;
    module.add("HOST_BYTE_FUEL", maxwell_kernel::prices::HOST_BYTE_FUEL)?;
    module.add_class::<admission::ModuleInfo>()?;
    module.add_class::<slots::Slot>()?;
    module.add_class::<slots::Slots>()?;
    module.add_class::<measure::Measurement>()?;
    module.add_function(wrap_pyfunction!(admission::inspect, module)?)?;
    module.add_function(wrap_pyfunction!(admission::admit, module)?)?;
    module.add_function(wrap_pyfunction!(cell::run_cell, module)?)?;
    module.add_function(wrap_pyfunction!(measure::measure, module)?)?;
    module.add("ProofFailure", module.py().get_type::<proofs::ProofFailure>())?;
    module.add_class::<proofs::ProofModel>()?;
    module.add_class::<secret::SecretVector>()?;
    module.add_function(wrap_pyfunction!(proofs::proof_verify, module)?)?;
    module.add_function(wrap_pyfunction!(proofs::proof_digest, module)?)?;
    module.add_function(wrap_pyfunction!(proofs::proof_verify_link, module)?)?;
    module.add_function(wrap_pyfunction!(hidden_input::proof_prove_hidden_input, module)?)?;
    module.add_function(wrap_pyfunction!(hidden_input::proof_verify_hidden_input, module)?)?;
    module.add_function(wrap_pyfunction!(hidden_input::proof_commit_input, module)?)?;
    Ok(())
}
