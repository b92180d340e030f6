//! Proof of inference for Python. Tensors cross as little-endian int16, batch first, row-major.

use maxwell_proofs::params::Security;
use maxwell_proofs::{Header, Prepared, Profile, ProofError, Seed, Statement, model, verifier};
use pyo3::create_exception;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors::detached;

create_exception!(
    maxwell._native,
    ProofFailure,
    PyException,
    "An error of the proof system; `args` is `(kind, message)`."
);

/// The stable name of an error's kind; `maxwell.errors` turns it into a typed exception.
fn to_py(error: &ProofError) -> PyErr {
    let kind = match error {
        ProofError::InvalidModel(_) => "invalid_model",
        ProofError::InvalidData(_) => "invalid_data",
        ProofError::Rejected(_) => "rejected",
        ProofError::BudgetSpent(_) => "budget_spent",
        _ => "bug",
    };
    ProofFailure::new_err((kind, error.to_string()))
}

/// Runs `work` without the GIL; its errors become exceptions, and so does a panic, as a bug.
pub(crate) fn guarded<T: Send>(
    py: Python<'_>,
    work: impl FnOnce() -> Result<T, ProofError> + Send,
) -> PyResult<T> {
    match detached(py, work) {
        Ok(done) => done.map_err(|error| to_py(&error)),
        Err(said) => {
            Err(ProofFailure::new_err(("bug", format!("BUG: the prover panicked: {said}"))))
        }
    }
}

pub(crate) fn integers(bytes: &[u8]) -> Result<Vec<i16>, ProofError> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    if rest.is_empty() {
        Ok(pairs.iter().map(|pair| i16::from_le_bytes(*pair)).collect())
    } else {
        Err(ProofError::InvalidData("an odd number of bytes of int16".to_owned()))
    }
}

pub(crate) fn to_bytes(values: &[i16]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// A registered model with its weights, ready to run and to prove.
#[pyclass(frozen, module = "maxwell._native")]
pub(crate) struct ProofModel {
    prepared: Prepared,
}

impl ProofModel {
    pub(crate) fn prepared(&self) -> &Prepared {
        &self.prepared
    }
}

#[pymethods]
impl ProofModel {
    #[new]
    #[pyo3(signature = (model_json, weights, *, seed = None, openings = 0, opened = 0, security = 100))]
    fn new(
        py: Python<'_>,
        model_json: &str,
        weights: &[u8],
        seed: Option<&[u8]>,
        openings: u32,
        opened: u32,
        security: u32,
    ) -> PyResult<Self> {
        let prepared = guarded(py, || {
            let security = Security::of_bits(security).ok_or_else(|| {
                ProofError::InvalidModel(format!("{security} bits of security are not offered"))
            })?;
            let (architecture, weights) = model::from_json(model_json, weights)?;
            let profile = Profile::new(security, seed.map(|_| openings));
            let seed: &Seed = seed.unwrap_or(&[0; 32]).try_into().map_err(|_| {
                ProofError::InvalidModel("a seed of another length than 32 bytes".to_owned())
            })?;
            let prepared = Prepared::registered(architecture, &weights, profile, seed)?;
            Ok(prepared.opened_before(opened))
        })?;
        Ok(Self { prepared })
    }

    fn link<'py>(&self, py: Python<'py>, newer: &Self) -> PyResult<Bound<'py, PyBytes>> {
        let proof = guarded(py, || self.prepared.link(&newer.prepared))?;
        Ok(PyBytes::new(py, &proof))
    }

    #[getter]
    fn digest<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.prepared.header().digest())
    }

    #[getter]
    fn header<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.prepared.header().to_bytes())
    }

    #[getter]
    fn macs(&self) -> u64 {
        self.prepared.header().architecture().macs()
    }

    #[pyo3(signature = (input, *, batch = 1))]
    fn run<'py>(
        &self,
        py: Python<'py>,
        input: &[u8],
        batch: usize,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let output = guarded(py, || self.prepared.run(&integers(input)?, batch))?;
        Ok(PyBytes::new(py, &to_bytes(&output)))
    }

    #[pyo3(signature = (input, *, context, batch = 1))]
    fn prove<'py>(
        &self,
        py: Python<'py>,
        input: &[u8],
        context: &[u8],
        batch: usize,
    ) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
        let proof = guarded(py, || self.prepared.prove(&integers(input)?, batch, context))?;
        Ok((PyBytes::new(py, &proof.bytes), PyBytes::new(py, &to_bytes(&proof.output))))
    }
}

#[pyfunction]
#[pyo3(signature = (header, proof, *, input, output, context, batch = 1))]
pub(crate) fn proof_verify(
    py: Python<'_>,
    header: &[u8],
    proof: &[u8],
    input: &[u8],
    output: &[u8],
    context: &[u8],
    batch: usize,
) -> PyResult<()> {
    guarded(py, || {
        let header = Header::from_bytes(header)?;
        let (input, output) = (integers(input)?, integers(output)?);
        verifier::verify(
            &header,
            &Statement { batch, input: &input, output: &output, context },
            proof,
        )
    })
}

#[pyfunction]
pub(crate) fn proof_digest<'py>(py: Python<'py>, header: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    let digest = guarded(py, || Header::from_bytes(header).map(|header| header.digest()))?;
    Ok(PyBytes::new(py, &digest))
}

#[pyfunction]
pub(crate) fn proof_verify_link(
    py: Python<'_>,
    old: &[u8],
    new: &[u8],
    proof: &[u8],
) -> PyResult<()> {
    guarded(py, || {
        let (old, new) = (Header::from_bytes(old)?, Header::from_bytes(new)?);
        verifier::verify_link(&old, &new, proof)
    })
}
