//! Sums of small integers times elements of E, without a reduction per term.
//!
//! An int16 value is shifted to an unsigned 16-bit one and each coordinate of the element is cut into two
//! 32-bit limbs, so a term is one 32×32-bit product (a single SIMD lane) and 2^16 terms fit 64 bits:
//! 16 + 32 + 16 = 64. The shift is taken off at the end, from the sum of the elements.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "limbs are cut out of words on purpose; every cast is of a bounded value"
)]

use crate::extension::E;
use crate::field::F;
use crate::lanes;

/// What an int16 is shifted by.
const SHIFT: u64 = 1 << 15;
/// Columns handled at a time: four limb sums of it fit the first-level cache.
const TILE: usize = 512;
/// Terms that fit 64 bits.
const TERMS: usize = 1 << 16;

/// Elements cut into limbs: `[low 0, high 0, low 1, high 1]`.
fn limbs(element: E) -> [u32; 4] {
    let [a, b] = [element.0.to_u64(), element.1.to_u64()];
    [a as u32, (a >> 32) as u32, b as u32, (b >> 32) as u32]
}

fn joined(sums: [u64; 4]) -> E {
    let join = |low: u64, high: u64| F::from_u128(u128::from(low) + (u128::from(high) << 32));
    E(join(sums[0], sums[1]), join(sums[2], sums[3]))
}

/// `out[c] += Σ_i factors[i]·rows[i·width + c]` for every column c; rows are `width` int16 long.
pub(crate) fn combine_rows(rows: &[i16], width: usize, factors: &[E], out: &mut [E]) {
    let row_count = factors.len().min(rows.len() / width.max(1));
    for (rows, factors) in rows.chunks(TERMS * width).zip(factors[..row_count].chunks(TERMS)) {
        let cut: Vec<[u32; 4]> = factors.iter().map(|factor| limbs(*factor)).collect();
        let offset = factors.iter().copied().sum::<E>().scale(F::from_u64(SHIFT));
        let mut sums = [const { [0_u64; TILE] }; 4];
        for first in (0..width).step_by(TILE) {
            let tile = TILE.min(width - first);
            for sum in &mut sums {
                sum[..tile].fill(0);
            }
            lanes::run(lanes::NarrowRows {
                rows,
                width,
                first,
                tile,
                factors: &cut,
                sums: &mut sums,
            });
            for column in 0..tile {
                out[first + column] += joined([0, 1, 2, 3].map(|k| sums[k][column])) - offset;
            }
        }
    }
}

/// Elements prepared for [`Limbs::dot`].
pub(crate) struct Limbs {
    cut: [Vec<u32>; 4],
    /// Running sums of the elements, for taking off the shift.
    prefix: Vec<E>,
}

impl Limbs {
    /// Cuts elements into limbs once for many products; at most 2^16 of them.
    #[must_use]
    pub(crate) fn new(elements: &[E]) -> Self {
        assert!(elements.len() <= TERMS, "BUG: more terms than fit 64 bits");
        let cut = [0, 1, 2, 3].map(|k| elements.iter().map(|e| limbs(*e)[k]).collect());
        let mut prefix = vec![E::ZERO];
        for element in elements {
            prefix.push(prefix[prefix.len() - 1] + *element);
        }
        Self { cut, prefix }
    }

    /// `Σ_i values[i]·elements[i]` over the length of `values`, at most that of the elements.
    #[must_use]
    pub(crate) fn dot(&self, values: &[i16]) -> E {
        let limbs = self.cut.each_ref().map(Vec::as_slice);
        let sums = lanes::run(lanes::NarrowDot { values, limbs });
        joined(sums) - self.prefix[values.len()].scale(F::from_u64(SHIFT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn element(seed: u64) -> E {
        let mix = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        E(F::from_u64(mix), F::from_u64(mix.rotate_left(29) ^ seed))
    }

    proptest! {
        /// Against sums in the field.
        #[test]
        fn agrees_with_the_field(
            values in proptest::collection::vec(prop_oneof![Just(i16::MIN), Just(i16::MAX), any::<i16>()], 6..1400),
            seed in any::<u64>(),
        ) {
            let width = values.len() / 3;
            let elements: Vec<E> = (0..width as u64).map(|i| element(seed.wrapping_add(i))).collect();
            let field = |v: i16| F::from_i64(i64::from(v));
            let expected: E = elements.iter().zip(&values).map(|(e, v)| e.scale(field(*v))).sum();
            prop_assert_eq!(Limbs::new(&elements).dot(&values[..width]), expected);

            let mut out = vec![E::ONE; width];
            combine_rows(&values[..3 * width], width, &elements[..3.min(width)], &mut out);
            for (column, found) in out.iter().enumerate() {
                let rows = 3.min(width);
                let sum: E = (0..rows).map(|r| elements[r].scale(field(values[r * width + column]))).sum();
                prop_assert_eq!(*found, sum + E::ONE);
            }
        }
    }
}
