//! Inner products of elements of E with values of F, with one reduction for all terms.

use crate::extension::E;
use crate::field::F;

/// A sum of products of two canonical numbers: 128 bits and a count of carries.
#[derive(Clone, Copy, Default)]
struct Sum {
    low: u128,
    carries: u64,
}

impl Sum {
    #[inline]
    fn add(&mut self, a: F, b: F) {
        let product = u128::from(a.to_u64()).wrapping_mul(u128::from(b.to_u64()));
        let (low, carry) = self.low.overflowing_add(product);
        self.low = low;
        self.carries = self.carries.wrapping_add(u64::from(carry));
    }

    #[inline]
    fn reduced(self) -> F {
        // 2^64 ≡ 2^32 − 1, so 2^128 ≡ (2^32 − 1)².
        const TOP: u128 = 0xffff_ffff * 0xffff_ffff;
        F::from_u128(self.low) + F::from_u128(TOP) * F::from_u64(self.carries)
    }
}

/// Σ factor · value, over the shorter of the two.
#[must_use]
pub(crate) fn dot(factors: &[E], values: &[F]) -> E {
    let (mut low, mut high) = (Sum::default(), Sum::default());
    for (factor, value) in factors.iter().zip(values) {
        low.add(factor.0, *value);
        high.add(factor.1, *value);
    }
    E(low.reduced(), high.reduced())
}

/// Columns combined at a time.
const TILE: usize = 64;

/// `out[c] += Σ_i factors[i] · rows[i][from + c]`; rows may be shorter than that.
pub(crate) fn combine<'a>(
    rows: &(impl Iterator<Item = (&'a [F], E)> + Clone),
    from: usize,
    out: &mut [E],
) {
    for (tile, out) in out.chunks_mut(TILE).enumerate() {
        let from = from + tile * TILE;
        let mut sums = [[Sum::default(); TILE]; 2];
        let [low, high] = &mut sums;
        for (row, factor) in rows.clone() {
            let values = row.get(from..).unwrap_or_default();
            let sums = low.iter_mut().zip(high.iter_mut()).take(out.len());
            for ((low, high), value) in sums.zip(values) {
                low.add(factor.0, *value);
                high.add(factor.1, *value);
            }
        }
        for (sum, (low, high)) in out.iter_mut().zip(low.iter().zip(high.iter())) {
            *sum += E(low.reduced(), high.reduced());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::MODULUS;
    use proptest::prelude::*;

    fn element() -> impl Strategy<Value = F> {
        prop_oneof![Just(MODULUS - 1), Just(0), Just(1), any::<u64>()].prop_map(F::from_u64)
    }

    proptest! {
        /// Against one reduction a term; large numbers, so that carries happen.
        #[test]
        fn agrees_with_the_field(values in proptest::collection::vec((element(), element(), element()), 0..200)) {
            let factors: Vec<E> = values.iter().map(|(a, b, _)| E(*a, *b)).collect();
            let own: Vec<F> = values.iter().map(|(_, _, c)| *c).collect();
            let expected: E = factors.iter().zip(&own).map(|(e, v)| e.scale(*v)).sum();
            prop_assert_eq!(dot(&factors, &own), expected);

            // Rows of falling length, each `own` from another place on.
            let rows = factors.iter().enumerate().map(|(i, factor)| (&own[i..], *factor));
            for from in [0, 1, 70] {
                let mut out = vec![E::X; 90];
                combine(&rows, from, &mut out);
                for (column, found) in out.iter().enumerate() {
                    let value = |row: &[F]| row.get(from + column).copied().unwrap_or(F::ZERO);
                    let sum: E = rows.clone().map(|(row, factor)| factor.scale(value(row))).sum();
                    prop_assert_eq!(*found, E::X + sum);
                }
            }
        }
    }
}
