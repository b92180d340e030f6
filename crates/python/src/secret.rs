//! The secret-vector check (tier 1) for Python.

use maxwell_proofs::ProofError;
use maxwell_proofs::freivalds::Secret;
use pyo3::prelude::*;

use crate::proofs::{guarded, integers};

/// A secret for one matrix of weights; immutable, so that checks run without the GIL.
#[pyclass(frozen, module = "maxwell._native")]
pub(crate) struct SecretVector {
    secret: Secret,
}

#[pymethods]
impl SecretVector {
    #[new]
    fn new(py: Python<'_>, weights: &[u8], bias: &[u8], seed: [u8; 32]) -> PyResult<Self> {
        let secret = guarded(py, || {
            let (words, rest) = bias.as_chunks::<8>();
            if !rest.is_empty() {
                return Err(ProofError::InvalidData("bias is not int64".to_owned()));
            }
            let bias: Vec<i64> = words.iter().map(|word| i64::from_le_bytes(*word)).collect();
            Secret::new(&integers(weights)?, &bias, &seed)
        })?;
        Ok(Self { secret })
    }

    fn holds(&self, py: Python<'_>, rows: &[u8], sums: &[u8]) -> bool {
        py.detach(|| self.secret.check_bytes(rows, sums))
    }
}
