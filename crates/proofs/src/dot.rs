//! Inner products of elements of E with values of F.

use std::marker::PhantomData;

use crate::extension::Extension;
use crate::field::F;
use crate::lanes::{self, Dot, WIDTH};

/// A sum of products of two canonical numbers: 128 bits and a count of carries.
#[derive(Clone, Copy, Default)]
struct Sum {
    low: u128,
    carries: u64,
}

impl Sum {
    #[inline]
    fn plus(self, a: F, b: F) -> Self {
        let product = u128::from(a.to_u64()).wrapping_mul(u128::from(b.to_u64()));
        let (low, carry) = self.low.overflowing_add(product);
        Self { low, carries: self.carries.wrapping_add(u64::from(carry)) }
    }

    #[inline]
    fn reduced(self) -> F {
        // 2^64 ≡ 2^32 − 1, so 2^128 ≡ (2^32 − 1)².
        const TOP: u128 = 0xffff_ffff * 0xffff_ffff;
        F::from_u128(self.low) + F::from_u128(TOP) * F::from_u64(self.carries)
    }
}

/// A sum for each coordinate of the factors, with `value` times a factor added.
#[inline]
fn plus<E: Extension>(sums: &E::Each<Sum>, factor: &E::Each<F>, value: F) -> E::Each<Sum> {
    E::each(|index| sums[index].plus(factor[index], value))
}

/// Σ factor · value, over the shorter of the two.
#[must_use]
pub(crate) fn dot<E: Extension>(factors: &[E], values: &[F]) -> E {
    let mut sums = E::each(|_| Sum::default());
    for (factor, value) in factors.iter().zip(values) {
        sums = plus::<E>(&sums, &factor.coordinates(), *value);
    }
    E::from_fn(|index| sums[index].reduced())
}

/// Factors of many inner products, coordinate by coordinate.
pub(crate) struct Factors<E> {
    length: usize,
    coordinates: Vec<F>,
    of: PhantomData<E>,
}

impl<E: Extension> Factors<E> {
    pub(crate) fn new(factors: &[E]) -> Self {
        let of = |index: usize| factors.iter().map(move |factor| factor.coordinates()[index]);
        let coordinates = (0..E::DEGREE).flat_map(of).collect();
        Self { length: factors.len(), coordinates, of: PhantomData }
    }

    /// Σ factor · value, over the shorter of the two: what [`dot`] gives.
    pub(crate) fn dot(&self, values: &[F]) -> E {
        let length = self.length.min(values.len());
        let (whole, rest) = values[..length].split_at(length - length % WIDTH);
        E::from_fn(|index| {
            let own = &self.coordinates[index * self.length..][..length];
            let (factors, last) = own.split_at(whole.len());
            let end: F = last.iter().zip(rest).map(|(factor, value)| *factor * *value).sum();
            lanes::run(Dot { factors, values: whole }) + end
        })
    }
}

/// Columns combined at a time.
const TILE: usize = 64;

/// `out[c] += Σ_i factors[i] · rows[i][from + c]`; rows may be shorter than that.
pub(crate) fn combine<'a, E: Extension>(
    rows: &(impl Iterator<Item = (&'a [F], E)> + Clone),
    from: usize,
    out: &mut [E],
) {
    for (tile, out) in out.chunks_mut(TILE).enumerate() {
        let from = from + tile * TILE;
        let mut sums = [E::each(|_| Sum::default()); TILE];
        for (row, factor) in rows.clone() {
            let values = row.get(from..).unwrap_or_default();
            let factor = factor.coordinates();
            for (sums, value) in sums.iter_mut().take(out.len()).zip(values) {
                *sums = plus::<E>(sums, &factor, *value);
            }
        }
        for (sum, sums) in out.iter_mut().zip(sums) {
            *sum += E::from_fn(|index| sums[index].reduced());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extension::{Cubic, Quadratic};
    use crate::field::MODULUS;
    use proptest::prelude::*;

    fn element() -> impl Strategy<Value = F> {
        prop_oneof![Just(MODULUS - 1), Just(0), Just(1), any::<u64>()].prop_map(F::from_u64)
    }

    fn agrees<E: Extension>(values: &[[F; 4]]) -> proptest::test_runner::TestCaseResult {
        let factors: Vec<E> = values.iter().map(|own| E::from_fn(|index| own[index])).collect();
        let own: Vec<F> = values.iter().map(|own| own[3]).collect();
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
        Ok(())
    }

    proptest! {
        /// Against one reduction a term; large numbers, so that carries happen.
        #[test]
        fn agrees_with_the_field(values in proptest::collection::vec([element(), element(), element(), element()], 0..200)) {
            agrees::<Quadratic>(&values)?;
            agrees::<Cubic>(&values)?;
        }
    }
}
