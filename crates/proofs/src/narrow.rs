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

use crate::extension::Extension;
use crate::field::F;
use crate::lanes;

/// What an int16 is shifted by.
const SHIFT: u64 = 1 << 15;
/// Columns handled at a time: four limb sums of it fit the first-level cache.
const TILE: usize = 512;
/// Terms that fit 64 bits.
const TERMS: usize = 1 << 16;

/// Each coordinate cut into limbs, the low one first.
fn limbs<E: Extension>(element: E) -> E::Each<[u32; 2]> {
    let own = element.coordinates();
    E::each(|index| {
        let word = own[index].to_u64();
        [word as u32, (word >> 32) as u32]
    })
}

fn joined<E: Extension>(sums: impl Fn(usize) -> [u64; 2]) -> E {
    E::from_fn(|index| {
        let [low, high] = sums(index);
        F::from_u128(u128::from(low) + (u128::from(high) << 32))
    })
}

/// `out[c] += Σ_i factors[i]·rows[i·width + c]` for every column c; rows are `width` int16 long.
pub(crate) fn combine_rows<E: Extension>(rows: &[i16], width: usize, factors: &[E], out: &mut [E]) {
    let row_count = factors.len().min(rows.len() / width.max(1));
    for (rows, factors) in rows.chunks(TERMS * width).zip(factors[..row_count].chunks(TERMS)) {
        let cut: Vec<E::Each<[u32; 2]>> = factors.iter().map(|factor| limbs(*factor)).collect();
        let offset = factors.iter().copied().sum::<E>().scale(F::from_u64(SHIFT));
        let mut sums = E::each(|_| [[0_u64; TILE]; 2]);
        for first in (0..width).step_by(TILE) {
            let tile = TILE.min(width - first);
            for sum in sums.as_mut().as_flattened_mut() {
                sum[..tile].fill(0);
            }
            lanes::run(lanes::NarrowRows::<E, TILE> {
                rows,
                width,
                first,
                tile,
                factors: &cut,
                sums: &mut sums,
            });
            for column in 0..tile {
                out[first + column] +=
                    joined::<E>(|index| [0, 1].map(|half| sums[index][half][column])) - offset;
            }
        }
    }
}

/// Elements prepared for [`Limbs::dot`].
pub(crate) struct Limbs<E> {
    /// Low and high limbs of each coordinate.
    cut: Vec<[Vec<u32>; 2]>,
    /// Running sums of the elements, for taking off the shift.
    prefix: Vec<E>,
}

impl<E: Extension> Limbs<E> {
    /// Cuts elements into limbs once for many products; at most 2^16 of them.
    #[must_use]
    pub(crate) fn new(elements: &[E]) -> Self {
        assert!(elements.len() <= TERMS, "BUG: more terms than fit 64 bits");
        let limb = |index: usize, half: usize| {
            elements.iter().map(|element| limbs(*element)[index][half]).collect()
        };
        let cut = (0..E::DEGREE).map(|index| [limb(index, 0), limb(index, 1)]).collect();
        let mut prefix = vec![E::ZERO];
        for element in elements {
            prefix.push(prefix[prefix.len() - 1] + *element);
        }
        Self { cut, prefix }
    }

    /// `Σ_i values[i]·elements[i]` over the length of `values`, at most that of the elements.
    #[must_use]
    pub(crate) fn dot(&self, values: &[i16]) -> E {
        let limbs = E::each(|index| self.cut[index].each_ref().map(Vec::as_slice));
        let sums = lanes::run(lanes::NarrowDot::<E> { values, limbs });
        joined::<E>(|index| sums[index]) - self.prefix[values.len()].scale(F::from_u64(SHIFT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extension::{Cubic, Quadratic};
    use proptest::prelude::*;

    fn element<E: Extension>(seed: u64) -> E {
        let mix = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        E::from_fn(|index| F::from_u64(mix.rotate_left(29 * index as u32) ^ seed))
    }

    fn agrees<E: Extension>(values: &[i16], seed: u64) -> proptest::test_runner::TestCaseResult {
        let width = values.len() / 3;
        let elements: Vec<E> = (0..width as u64).map(|i| element(seed.wrapping_add(i))).collect();
        let field = |v: i16| F::from_i64(i64::from(v));
        let expected: E = elements.iter().zip(values).map(|(e, v)| e.scale(field(*v))).sum();
        prop_assert_eq!(Limbs::new(&elements).dot(&values[..width]), expected);

        let mut out = vec![E::ONE; width];
        combine_rows(&values[..3 * width], width, &elements[..3.min(width)], &mut out);
        for (column, found) in out.iter().enumerate() {
            let rows = 3.min(width);
            let sum: E =
                (0..rows).map(|r| elements[r].scale(field(values[r * width + column]))).sum();
            prop_assert_eq!(*found, sum + E::ONE);
        }
        Ok(())
    }

    proptest! {
        /// Against sums in the field.
        #[test]
        fn agrees_with_the_field(
            values in proptest::collection::vec(prop_oneof![Just(i16::MIN), Just(i16::MAX), any::<i16>()], 6..1400),
            seed in any::<u64>(),
        ) {
            agrees::<Quadratic>(&values, seed)?;
            agrees::<Cubic>(&values, seed)?;
        }
    }
}
