//! Proofs that hide their input, for Python: proving, verifying, and the commitment to an input.

use maxwell_proofs::{Header, ProofError, Seed, Statement, commit_input, merkle::Digest, verifier};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::proofs::{ProofModel, guarded, integers, to_bytes};

/// Proof, output, commitment and seed.
type Proved<'py> =
    (Bound<'py, PyBytes>, Bound<'py, PyBytes>, Bound<'py, PyBytes>, Bound<'py, PyBytes>);

#[pyfunction]
#[pyo3(signature = (model, input, *, context, batch = 1))]
pub(crate) fn proof_prove_hidden_input<'py>(
    py: Python<'py>,
    model: &ProofModel,
    input: &[u8],
    context: &[u8],
    batch: usize,
) -> PyResult<Proved<'py>> {
    let proof =
        guarded(py, || model.prepared().prove_hidden_input(&integers(input)?, batch, context))?;
    Ok((
        PyBytes::new(py, &proof.bytes),
        PyBytes::new(py, &to_bytes(&proof.output)),
        PyBytes::new(py, &proof.commitment),
        PyBytes::new(py, &proof.seed),
    ))
}

#[pyfunction]
#[pyo3(signature = (header, proof, *, commitment, output, context, batch = 1))]
pub(crate) fn proof_verify_hidden_input(
    py: Python<'_>,
    header: &[u8],
    proof: &[u8],
    commitment: &[u8],
    output: &[u8],
    context: &[u8],
    batch: usize,
) -> PyResult<()> {
    guarded(py, || {
        let header = Header::from_bytes(header)?;
        let commitment: &Digest = fixed(commitment, "a commitment")?;
        let output = integers(output)?;
        let statement = Statement { batch, input: &[], output: &output, context };
        verifier::verify_hidden_input(&header, &statement, commitment, proof)
    })
}

#[pyfunction]
#[pyo3(signature = (header, input, *, seed, batch = 1))]
pub(crate) fn proof_commit_input<'py>(
    py: Python<'py>,
    header: &[u8],
    input: &[u8],
    seed: &[u8],
    batch: usize,
) -> PyResult<Bound<'py, PyBytes>> {
    let commitment = guarded(py, || {
        let header = Header::from_bytes(header)?;
        let seed: &Seed = fixed(seed, "a seed")?;
        commit_input(&header, &integers(input)?, batch, seed)
    })?;
    Ok(PyBytes::new(py, &commitment))
}

fn fixed<'a>(bytes: &'a [u8], what: &str) -> Result<&'a [u8; 32], ProofError> {
    let wrong = |_| ProofError::InvalidData(format!("{what} of another length than 32 bytes"));
    bytes.try_into().map_err(wrong)
}
