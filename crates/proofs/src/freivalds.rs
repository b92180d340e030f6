//! Tier 1: the secret-vector check of a product (Freivalds 1979, precomputed as in Slalom, Tramèr and
//! Boneh 2019). For an auditor on the same machine who keeps a secret; it convinces nobody else.
//!
//! The auditor draws a secret r and keeps W·r. Whoever ran the layer hands over the accumulators *before*
//! learning anything about r; the auditor compares ⟨x, W·r⟩ with ⟨acc − bias, r⟩ modulo p. A wrong row passes
//! with probability 1/p ≈ 2^−64, for each check. After a rejection r must be replaced: the answer itself tells
//! the other side something about r.

use rayon::prelude::*;

use crate::error::{ProofError, Result};
use crate::field::F;

/// Accumulators are shifted by this to be unsigned; larger ones take the slow path.
const SHIFT: u64 = 1 << 46;

/// The secret of one matrix of weights.
pub struct Secret {
    /// r, one number per output channel.
    r: Vec<u64>,
    /// W·r, one number per input.
    wr: Vec<u64>,
    /// ⟨bias, r⟩ − 2^15·Σ(W·r): the constants of the comparison.
    constant: F,
    /// SHIFT·Σr, which the fast path adds on both sides.
    shifted: F,
}

impl Secret {
    /// Prepares the check of `acc = x·W + bias`; `weights` is `[K, N]`, row-major, `bias` has N values.
    /// `seed` is 32 secret random bytes, new for every matrix, epoch and after every rejection.
    ///
    /// # Errors
    /// [`ProofError::InvalidModel`] unless the weights are a whole number of rows of N.
    pub fn new(weights: &[i16], bias: &[i64], seed: &[u8; 32]) -> Result<Self> {
        let n = bias.len();
        if n == 0 || weights.is_empty() || !weights.len().is_multiple_of(n) {
            return Err(ProofError::model(format!("{} weights for {n} channels", weights.len())));
        }
        let mut stream = blake3::Hasher::new_keyed(seed).finalize_xof();
        let r: Vec<F> = (0..n)
            .map(|_| {
                let mut bytes = [0; 16];
                stream.fill(&mut bytes);
                F::from_u128(u128::from_le_bytes(bytes))
            })
            .collect();
        let small = |value: i16| F::from_i64(i64::from(value));
        let wr: Vec<F> = weights
            .par_chunks_exact(n)
            .with_min_len(1 + (1 << 14) / n)
            .map(|row| row.iter().zip(&r).map(|(weight, r)| small(*weight) * *r).sum())
            .collect();
        let bias: F = bias.iter().zip(&r).map(|(bias, r)| F::from_i64(*bias) * *r).sum();
        let sum = |values: &[F]| -> F { values.iter().copied().sum() };
        let constant = bias - F::from_u64(1 << 15) * sum(&wr);
        let shifted = F::from_u64(SHIFT) * sum(&r);
        let plain = |values: &[F]| values.iter().map(|value| value.to_u64()).collect();
        Ok(Self { r: plain(&r), wr: plain(&wr), constant, shifted })
    }

    /// Inputs of a row, K.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.wr.len()
    }

    /// Whether `accumulators` (bias included, before requantisation) are those of the row `x`.
    ///
    /// A false row passes with probability at most 2^−63.9 over the secret, provided that true accumulators
    /// are within ±2^62, as the static bound of a model makes sure.
    #[must_use]
    pub fn check(&self, x: &[i16], accumulators: &[i64]) -> bool {
        self.row(x.iter().copied(), accumulators.iter().copied())
    }

    /// [`Secret::check`] for every row of little-endian bytes: int16 inputs, int64 accumulators, as many
    /// rows of both.
    #[must_use]
    pub fn check_bytes(&self, x: &[u8], accumulators: &[u8]) -> bool {
        let (rows, ends) =
            (x.chunks_exact(2 * self.wr.len()), accumulators.chunks_exact(8 * self.r.len()));
        rows.remainder().is_empty()
            && ends.remainder().is_empty()
            && rows.len() == ends.len()
            && rows.zip(ends).all(|(x, accumulators)| {
                let (x, accumulators) = (x.as_chunks::<2>().0, accumulators.as_chunks::<8>().0);
                self.row(
                    x.iter().map(|bytes| i16::from_le_bytes(*bytes)),
                    accumulators.iter().map(|bytes| i64::from_le_bytes(*bytes)),
                )
            })
    }

    fn row(
        &self,
        x: impl ExactSizeIterator<Item = i16>,
        accumulators: impl ExactSizeIterator<Item = i64> + Clone,
    ) -> bool {
        if x.len() != self.wr.len() || accumulators.len() != self.r.len() {
            return false;
        }
        // 16 + 64 bits and at most 2^26 terms.
        let left = x.zip(&self.wr).fold(0_u128, |sum, (x, wr)| {
            sum.wrapping_add(u128::from(x.cast_unsigned() ^ 0x8000).wrapping_mul(u128::from(*wr)))
        });
        let left = F::from_u128(left) + self.constant;
        if accumulators.len() <= 1 << 16 {
            // 47 + 64 bits and at most 2^16 terms, as long as none is large.
            let (mut sum, mut large) = (0_u128, 0_u64);
            for (acc, r) in accumulators.clone().zip(&self.r) {
                let shifted = acc.cast_unsigned().wrapping_add(SHIFT);
                large |= shifted;
                sum = sum.wrapping_add(u128::from(shifted).wrapping_mul(u128::from(*r)));
            }
            if large < 2 * SHIFT {
                return left + self.shifted == F::from_u128(sum);
            }
        }
        // Two int64 apart by a multiple of p: one of them is beyond ±2^62.
        let right: F =
            accumulators.zip(&self.r).map(|(acc, r)| F::from_i64(acc) * F::from_u64(*r)).sum();
        left == right
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
        let own = &model.weights[0];
        let secret = Secret::new(&own.weights, &own.bias, &[7; 32]).unwrap();
        let packed = forward::pack(&model.architecture, &model.weights);
        let bytes = |x: &[i16], acc: &[i64]| {
            let acc: Vec<u8> = acc.iter().flat_map(|v| v.to_le_bytes()).collect();
            secret.check_bytes(&x.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>(), &acc)
        };
        for seed in 0..50 {
            let x = model.input(1, seed);
            let trace = forward::run(&model.architecture, &packed, &x, 1).unwrap();
            let mut accumulators = trace.accumulators[0][..20].to_vec();
            assert!(secret.check(&x, &accumulators) && bytes(&x, &accumulators));
            let twice = [&x[..], &x].concat();
            assert!(bytes(&twice, &[&accumulators[..], &accumulators].concat()));
            for cell in 0..20 {
                for wrong in [1, -1, 1 << 32, 1 << 46, i64::MIN] {
                    let right = accumulators[cell];
                    accumulators[cell] = right.wrapping_add(wrong);
                    assert!(!secret.check(&x, &accumulators) && !bytes(&x, &accumulators));
                    let honest = trace.accumulators[0][..20].to_vec();
                    assert!(!bytes(&twice, &[honest, accumulators.clone()].concat()));
                    accumulators[cell] = right;
                }
            }
            assert!(!secret.check(&x[1..], &accumulators) && !secret.check(&x, &accumulators[1..]));
            assert!(!bytes(&x[1..], &accumulators) && !bytes(&twice, &accumulators));
        }
    }

    /// Accumulators beyond 2^46 are compared too, the slow way.
    #[test]
    fn large_accumulators_are_exact() {
        let bias = [1 << 61, -(1 << 61), 5];
        let secret = Secret::new(&[3, -4, 5, 7, 8, -9], &bias, &[1; 32]).unwrap();
        let mut acc = [(1 << 61) + 30 + 700, -(1 << 61) - 40 + 800, 5 + 50 - 900];
        assert!(secret.check(&[10, 100], &acc));
        acc[1] += 1;
        assert!(!secret.check(&[10, 100], &acc));
    }
}
