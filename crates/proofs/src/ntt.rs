//! Number-theoretic transform over F: the encoder of the Reed–Solomon code.
//!
//! Decimation in frequency, natural order in, bit-reversed order out. The code's positions are counted in
//! that output order; [`Domain::point`] says which field element a position stands for.

use std::sync::OnceLock;

use crate::field::{F, TWO_ADICITY};

/// The evaluation domain of size 2^log_size and its twiddle factors.
pub struct Domain {
    log_size: u32,
    /// ω^0 … ω^(n/2 − 1).
    twiddles: Vec<F>,
}

impl Domain {
    /// The domain of `2^log_size` roots of unity.
    #[must_use]
    pub fn new(log_size: u32) -> Self {
        let root = F::root_of_unity(log_size);
        let half = (1_usize << log_size) / 2;
        let twiddles = std::iter::successors(Some(F::ONE), |last| Some(*last * root));
        Self { log_size, twiddles: twiddles.take(half).collect() }
    }

    /// The same, computed once in a process.
    #[must_use]
    pub fn shared(log_size: u32) -> &'static Self {
        static DOMAINS: [OnceLock<Domain>; TWO_ADICITY as usize + 1] =
            [const { OnceLock::new() }; TWO_ADICITY as usize + 1];
        DOMAINS[log_size as usize].get_or_init(|| Self::new(log_size))
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
        let half = self.twiddles.len().max(1);
        let power = self.twiddles.get(exponent as usize % half).copied().unwrap_or(F::ONE);
        if exponent as usize >= half { -power } else { power }
    }

    /// Evaluates a polynomial at some positions only: sorted, distinct, below the domain's size.
    ///
    /// Works on `values` as [`Domain::evaluate`] does, but leaves blocks alone in which nothing is asked for;
    /// other places hold nothing of meaning afterwards.
    pub fn evaluate_at(&self, values: &mut [F], filled: usize, positions: &[usize]) {
        assert!(values.len() == self.size(), "BUG: the buffer has the domain's size");
        self.descend(values, filled, positions, 0, 1);
    }

    /// One block of the recursion; it starts at position `first`.
    fn descend(
        &self,
        block: &mut [F],
        filled: usize,
        positions: &[usize],
        first: usize,
        stride: usize,
    ) {
        if positions.is_empty() || block.len() < 2 {
            return;
        }
        let span = block.len() / 2;
        let (below, above) = positions.split_at(positions.partition_point(|p| *p < first + span));
        let (low, high) = block.split_at_mut(span);
        let steps = self.twiddles.iter().step_by(stride);
        if filled <= span {
            if !above.is_empty() {
                for ((a, b), twiddle) in low.iter().zip(high.iter_mut()).zip(steps).take(filled) {
                    *b = *a * *twiddle;
                }
            }
        } else {
            for ((a, b), twiddle) in low.iter_mut().zip(high.iter_mut()).zip(steps) {
                let difference = *a - *b;
                *a += *b;
                *b = difference * *twiddle;
            }
        }
        let filled = filled.min(span);
        self.descend(low, filled, below, first, 2 * stride);
        self.descend(high, filled, above, first + span, 2 * stride);
    }

    /// The coefficients of the polynomial with these values, in place: the inverse of [`Domain::evaluate`].
    pub fn interpolate(&self, values: &mut [F]) {
        let size = self.size();
        assert!(values.len() == size, "BUG: the buffer has the domain's size");
        let (mut span, mut stride) = (1, size / 2);
        while span < size {
            for block in values.chunks_exact_mut(2 * span) {
                let (low, high) = block.split_at_mut(span);
                for (index, (a, b)) in low.iter_mut().zip(high).enumerate() {
                    // ω^−e = −ω^(n/2 − e).
                    let back = match index {
                        0 => *b,
                        _ => -(*b * self.twiddles[size / 2 - index * stride]),
                    };
                    (*a, *b) = (*a + back, *a - back);
                }
            }
            span *= 2;
            stride /= 2;
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
        let size = self.size();
        assert!(values.len() == size, "BUG: the buffer has the domain's size");
        let (mut span, mut stride) = (size / 2, 1);
        while span >= 1 {
            if filled <= span && span == size / 2 / stride {
                // The upper half of every block is zero: its butterflies only copy and twist.
                for block in values.chunks_exact_mut(2 * span) {
                    let (low, high) = block.split_at_mut(span);
                    for index in 0..filled {
                        high[index] = low[index] * self.twiddles[index * stride];
                    }
                }
            } else {
                for block in values.chunks_exact_mut(2 * span) {
                    let (low, high) = block.split_at_mut(span);
                    let steps = self.twiddles.iter().step_by(stride);
                    for ((a, b), twiddle) in low.iter_mut().zip(high).zip(steps) {
                        let difference = *a - *b;
                        *a += *b;
                        *b = difference * *twiddle;
                    }
                }
            }
            span /= 2;
            stride *= 2;
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
