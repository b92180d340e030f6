//! Number-theoretic transform over F: the encoder of the Reed–Solomon code.
//!
//! Decimation in frequency, natural order in, bit-reversed order out. The code's positions are counted in
//! that output order; [`Domain::point`] says which field element a position stands for.

use std::sync::{Arc, OnceLock};

use crate::field::{F, TWO_ADICITY};
use crate::lanes::{self, Butterflies, Copies, LastButterflies};

/// The evaluation domain of size 2^log_size and its twiddle factors.
pub struct Domain {
    log_size: u32,
    /// For each layer, from the widest: ω^0, ω^stride, … one per element of a half.
    twiddles: Arc<Vec<Vec<F>>>,
}

/// Twiddle factors of every size that was used, 16 bytes per point; sizes follow from limits on models.
static TWIDDLES: [OnceLock<Arc<Vec<Vec<F>>>>; TWO_ADICITY as usize + 1] =
    [const { OnceLock::new() }; TWO_ADICITY as usize + 1];

fn twiddles(log_size: u32) -> Vec<Vec<F>> {
    let layer = |log: u32| {
        let root = F::root_of_unity(log);
        let powers = std::iter::successors(Some(F::ONE), |last| Some(*last * root));
        powers.take(1 << (log - 1)).collect()
    };
    (1..=log_size).rev().map(layer).collect()
}

impl Domain {
    /// The domain of `2^log_size` roots of unity.
    #[must_use]
    pub fn new(log_size: u32) -> Self {
        let known = TWIDDLES[log_size as usize].get_or_init(|| Arc::new(twiddles(log_size)));
        Self { log_size, twiddles: Arc::clone(known) }
    }

    /// How many points.
    #[must_use]
    pub fn size(&self) -> usize {
        1 << self.log_size
    }

    /// The field element that output `position` is the evaluation at: ω^bitreverse(position).
    #[must_use]
    pub fn point(&self, position: usize) -> F {
        let exponent = (position as u64).reverse_bits() >> (64 - self.log_size.max(1));
        // The domain of one point has no layer.
        let powers = self.twiddles.first().map_or(&[F::ONE][..], Vec::as_slice);
        let half = powers.len();
        let power = powers[exponent as usize % half];
        if exponent as usize >= half { -power } else { power }
    }

    /// Evaluates a polynomial at some positions only: sorted, distinct, below the domain's size.
    ///
    /// Works on `values` as [`Domain::evaluate`] does, but leaves blocks alone in which nothing is asked for;
    /// other places hold nothing of meaning afterwards.
    pub fn evaluate_at(&self, values: &mut [F], filled: usize, positions: &[usize]) {
        assert!(values.len() == self.size(), "BUG: the buffer has the domain's size");
        self.descend(values, filled, positions, 0, 0);
    }

    /// One block of the recursion; it starts at position `first`.
    fn descend(
        &self,
        block: &mut [F],
        filled: usize,
        positions: &[usize],
        first: usize,
        layer: usize,
    ) {
        if positions.is_empty() || block.len() < 2 {
            return;
        }
        if block.len() == LastButterflies::TILE {
            // Whole vectors cost less than leaving places out.
            return self.evaluate_from(layer, block, filled);
        }
        let span = block.len() / 2;
        let (below, above) = positions.split_at(positions.partition_point(|p| *p < first + span));
        let (low, high) = block.split_at_mut(span);
        let twiddles = &self.twiddles[layer];
        if filled <= span {
            if !above.is_empty() {
                lanes::run(Copies { low: &low[..filled], high, twiddles });
            }
        } else {
            lanes::run(Butterflies { values: block, twiddles });
        }
        let (low, high) = block.split_at_mut(span);
        let filled = filled.min(span);
        self.descend(low, filled, below, first, layer + 1);
        self.descend(high, filled, above, first + span, layer + 1);
    }

    /// The coefficients of the polynomial with these values, in place: the inverse of [`Domain::evaluate`].
    pub fn interpolate(&self, values: &mut [F]) {
        let size = self.size();
        assert!(values.len() == size, "BUG: the buffer has the domain's size");
        for twiddles in self.twiddles.iter().rev() {
            let span = twiddles.len();
            for block in values.chunks_exact_mut(2 * span) {
                let (low, high) = block.split_at_mut(span);
                for (index, (a, b)) in low.iter_mut().zip(high).enumerate() {
                    // ω^−e = −ω^(span − e).
                    let back = match index {
                        0 => *b,
                        _ => -(*b * twiddles[span - index]),
                    };
                    (*a, *b) = (*a + back, *a - back);
                }
            }
        }
        let scale = F::from_u64(size as u64).inverse().unwrap_or(F::ONE);
        for value in values {
            *value *= scale;
        }
    }

    /// Evaluates the polynomial with these coefficients at every point, in place.
    ///
    /// `values` has the domain's size. Zero coefficients at the end (a low-degree polynomial) cost less:
    /// `filled` says how many may be non-zero.
    pub fn evaluate(&self, values: &mut [F], filled: usize) {
        assert!(values.len() == self.size(), "BUG: the buffer has the domain's size");
        self.evaluate_from(0, values, filled);
    }

    /// The layers from number `layer` on, of whole blocks.
    fn evaluate_from(&self, layer: usize, values: &mut [F], filled: usize) {
        for twiddles in &self.twiddles[layer..] {
            let span = twiddles.len();
            if span == 4 && values.len() >= LastButterflies::TILE {
                // What is not filled is zero, for which butterflies are right as well.
                let twiddles = [0, 1, 2, 3].map(|index| twiddles[index]);
                lanes::run(LastButterflies { values, twiddles });
                return;
            }
            if filled <= span {
                // The upper half of every block is zero: its butterflies only copy and twist.
                for block in values.chunks_exact_mut(2 * span) {
                    let (low, high) = block.split_at_mut(span);
                    lanes::run(Copies { low: &low[..filled], high, twiddles });
                }
            } else if span > 2 {
                lanes::run(Butterflies { values, twiddles });
            } else {
                for block in values.chunks_exact_mut(2 * span) {
                    let (low, high) = block.split_at_mut(span);
                    for (index, (a, b)) in low.iter_mut().zip(high).enumerate() {
                        let difference = *a - *b;
                        *a += *b;
                        *b = if index == 0 { difference } else { difference * twiddles[index] };
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against Horner's rule at every point, for every number of filled coefficients.
    #[test]
    fn evaluates_at_its_points() {
        let domain = Domain::new(6);
        let mut state = 1_u64;
        for filled in 1..=64 {
            let mut values = vec![F::ZERO; 64];
            for value in &mut values[..filled] {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                *value = F::from_u64(state);
            }
            let coefficients = values.clone();
            domain.evaluate(&mut values, filled);
            for (position, value) in values.iter().enumerate() {
                let x = domain.point(position);
                let horner = coefficients.iter().rev().fold(F::ZERO, |sum, c| sum * x + *c);
                assert_eq!(*value, horner, "position {position}, filled {filled}");
            }
        }
    }

    /// Some positions alone, and back again, against the whole.
    #[test]
    fn parts_and_inverse_agree() {
        for log_size in [1, 2, 7] {
            let domain = Domain::new(log_size);
            let size = domain.size();
            for filled in [1, size / 2, size] {
                let mut coefficients = vec![F::ZERO; size];
                for (index, value) in coefficients[..filled].iter_mut().enumerate() {
                    *value = F::from_u64(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(index as u64 + 7));
                }
                let mut whole = coefficients.clone();
                domain.evaluate(&mut whole, filled);
                for step in [1, 3, 50] {
                    let positions: Vec<usize> = (0..size).step_by(step).collect();
                    let mut part = coefficients.clone();
                    domain.evaluate_at(&mut part, filled, &positions);
                    assert!(positions.iter().all(|p| part[*p] == whole[*p]));
                }
                domain.interpolate(&mut whole);
                assert_eq!(whole, coefficients);
            }
        }
    }
}
