//! Tier 1: the secret-vector check of a dense layer (Freivalds 1979, precomputed as in Slalom, Tramèr and
//! Boneh 2019). For an auditor on the same machine who keeps a secret; it convinces nobody else.
//!
//! The auditor draws a secret r and keeps W·r. Whoever ran the layer hands over the accumulators *before*
//! learning anything about r; the auditor compares ⟨x, W·r⟩ with ⟨acc − bias, r⟩ modulo p. A wrong row passes
//! with probability 1/p ≈ 2^−64, for each check. After a rejection r must be replaced: the answer itself tells
//! the other side something about r.

use crate::error::{ProofError, Result};
use crate::field::F;
use crate::model::{Architecture, Kind, Weights};

/// Accumulators are shifted by this to be unsigned; larger ones are rejected.
const SHIFT: u64 = 1 << 46;

/// The secret of one dense layer.
pub struct Secret {
    /// r, one number per output channel.
    r: Vec<u64>,
    /// W·r, one number per input.
    wr: Vec<u64>,
    /// ⟨bias, r⟩ + SHIFT·Σr − 2^15·Σ(W·r): all constants of the comparison.
    constant: F,
}

impl Secret {
    /// Prepares the check of operation `op`, a dense one. `seed` is 32 secret random bytes, new for every
    /// epoch and after every rejection.
    ///
    /// # Errors
    /// [`ProofError::InvalidModel`] when the operation is not dense.
    pub fn new(
        architecture: &Architecture,
        weights: &Weights,
        op: usize,
        seed: &[u8; 32],
    ) -> Result<Self> {
        let (Some(found), Some(own)) = (architecture.ops().get(op), weights.get(op)) else {
            return Err(ProofError::model(format!("no operation {op}")));
        };
        let Kind::Dense { n, .. } = found.kind else {
            return Err(ProofError::model(format!("operation {op} is not dense")));
        };
        let mut stream =
            blake3::Hasher::new_keyed(seed).update(&(op as u64).to_le_bytes()).finalize_xof();
        let r: Vec<F> = (0..n)
            .map(|_| {
                let mut bytes = [0; 16];
                stream.fill(&mut bytes);
                F::from_u128(u128::from_le_bytes(bytes))
            })
            .collect();
        let small = |value: i16| F::from_i64(i64::from(value));
        let wr: Vec<F> = own
            .weights
            .chunks_exact(n)
            .map(|row| row.iter().zip(&r).map(|(weight, r)| small(*weight) * *r).sum())
            .collect();
        let bias: F = own.bias.iter().zip(&r).map(|(bias, r)| F::from_i64(*bias) * *r).sum();
        let sum = |values: &[F]| -> F { values.iter().copied().sum() };
        let constant = bias + F::from_u64(SHIFT) * sum(&r) - F::from_u64(1 << 15) * sum(&wr);
        let plain = |values: &[F]| values.iter().map(|value| value.to_u64()).collect();
        Ok(Self { r: plain(&r), wr: plain(&wr), constant })
    }

    /// Whether `accumulators` (bias included, before requantisation) are those of the row `x`.
    ///
    /// A false row passes with probability at most 2^−63.9 over the secret.
    #[must_use]
    pub fn check(&self, x: &[i16], accumulators: &[i64]) -> bool {
        if x.len() != self.wr.len() || accumulators.len() != self.r.len() {
            return false;
        }
        // 16 + 64 bits and at most 2^24 terms; 47 + 64 bits and at most 2^16 terms per step.
        let left = x.iter().zip(&self.wr).fold(0_u128, |sum, (x, wr)| {
            sum.wrapping_add(u128::from(x.cast_unsigned() ^ 0x8000).wrapping_mul(u128::from(*wr)))
        });
        let mut right = F::ZERO;
        let mut large = 0_u64;
        for (accumulators, r) in accumulators.chunks(1 << 16).zip(self.r.chunks(1 << 16)) {
            let sum = accumulators.iter().zip(r).fold(0_u128, |sum, (acc, r)| {
                let shifted = acc.cast_unsigned().wrapping_add(SHIFT);
                large |= shifted;
                sum.wrapping_add(u128::from(shifted).wrapping_mul(u128::from(*r)))
            });
            right += F::from_u128(sum);
        }
        large < 2 * SHIFT && F::from_u128(left) + self.constant == right
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forward;
    use crate::tests::models;

    #[test]
    fn true_rows_pass_and_every_wrong_cell_is_caught() {
        let model = models::dense(33, 20, true);
        let secret = Secret::new(&model.architecture, &model.weights, 0, &[7; 32]).unwrap();
        let packed = forward::pack(&model.architecture, &model.weights);
        for seed in 0..50 {
            let x = model.input(1, seed);
            let trace = forward::run(&model.architecture, &packed, &x, 1).unwrap();
            let mut accumulators = trace.accumulators[0][..20].to_vec();
            assert!(secret.check(&x, &accumulators));
            for cell in 0..20 {
                for wrong in [1, -1, 1 << 32, i64::MIN] {
                    let right = accumulators[cell];
                    accumulators[cell] = right.wrapping_add(wrong);
                    assert!(!secret.check(&x, &accumulators));
                    accumulators[cell] = right;
                }
            }
            assert!(!secret.check(&x[1..], &accumulators) && !secret.check(&x, &accumulators[1..]));
        }
    }
}
