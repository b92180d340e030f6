//! Loops over field elements and small integers, compiled for the widest vectors that the processor has.
//!
//! The loops are plain Rust that a compiler can turn into SIMD; `pulp` compiles each for AVX2 and AVX-512 too
//! and picks at run time, so that nothing here is `unsafe` and one build runs everywhere. What a lane computes is
//! what [`crate::field`] computes: the tests compare, and so does a build with the feature `scalar`, which has
//! no vectors at all.

#![allow(
    clippy::cast_possible_truncation,
    clippy::inline_always,
    reason = "words are cut on purpose; a loop has to be compiled where its vectors are allowed"
)]

use std::sync::LazyLock;

use pulp::{Arch, Simd, WithSimd};

use crate::field::{F, MODULUS};

/// 2^64 mod p, and the mask of a low half.
const EPSILON: u64 = 0xffff_ffff;

static ARCH: LazyLock<Arch> =
    LazyLock::new(|| if cfg!(feature = "scalar") { Arch::Scalar } else { Arch::new() });

#[cfg(test)]
thread_local! {
    /// Runs loops of this thread without vectors.
    pub(crate) static WITHOUT_VECTORS: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Runs a loop with the vectors of this processor.
pub(crate) fn run<W: WithSimd>(work: W) -> W::Output {
    #[cfg(test)]
    if WITHOUT_VECTORS.get() {
        return Arch::Scalar.dispatch(work);
    }
    ARCH.dispatch(work)
}

/// a + b mod p of canonical words.
#[inline(always)]
fn add(a: u64, b: u64) -> u64 {
    // An overflow check would keep this from being a vector; b is at most p.
    let room = MODULUS.wrapping_sub(b);
    if a >= room { a.wrapping_sub(room) } else { a.wrapping_add(b) }
}

/// a − b mod p of canonical words.
#[inline(always)]
fn subtract(a: u64, b: u64) -> u64 {
    let difference = a.wrapping_sub(b);
    if a < b { difference.wrapping_add(MODULUS) } else { difference }
}

/// a·b mod p of canonical words, in 32-bit limbs: vectors have no 64×64-bit product.
#[inline(always)]
fn multiply(a: u64, b: u64) -> u64 {
    let (a0, a1, b0, b1) = (a & EPSILON, a >> 32, b & EPSILON, b >> 32);
    let low = a0.wrapping_mul(b0);
    // (2^32 − 1)² + 2^32 − 1 < 2^64: no sum overflows.
    let first = a0.wrapping_mul(b1).wrapping_add(low >> 32);
    let second = a1.wrapping_mul(b0).wrapping_add(first & EPSILON);
    let high = a1.wrapping_mul(b1).wrapping_add(first >> 32).wrapping_add(second >> 32);
    reduce((low & EPSILON) | (second << 32), high)
}

/// low + 2^64·high mod p: 2^64 ≡ 2^32 − 1 and 2^96 ≡ −1.
#[inline(always)]
fn reduce(low: u64, high: u64) -> u64 {
    let (top, middle) = (high >> 32, high & EPSILON);
    let difference = low.wrapping_sub(top);
    let sum = if low < top { difference.wrapping_sub(EPSILON) } else { difference };
    let term = (middle << 32).wrapping_sub(middle);
    let total = sum.wrapping_add(term);
    // After a carry the sum is below 2^64 − 2^32, so that adding ε cannot carry again.
    let total = if total < term { total.wrapping_add(EPSILON) } else { total };
    if total >= MODULUS { total.wrapping_sub(MODULUS) } else { total }
}

/// One layer of a transform: `(a, b) ← (a + b, (a − b)·w)` in every block of two halves.
pub(crate) struct Butterflies<'a> {
    /// Whole blocks.
    pub(crate) values: &'a mut [F],
    /// One factor per element of a half; the first is 1.
    pub(crate) twiddles: &'a [F],
}

impl WithSimd for Butterflies<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let span = self.twiddles.len();
        for block in self.values.chunks_exact_mut(2 * span) {
            let (low, high) = block.split_at_mut(span);
            for ((a, b), twiddle) in low.iter_mut().zip(high).zip(self.twiddles) {
                let (x, y) = (a.to_u64(), b.to_u64());
                *a = F::of_lane(add(x, y));
                *b = F::of_lane(multiply(subtract(x, y), twiddle.to_u64()));
            }
        }
    }
}

/// A layer whose upper halves are zero: `b ← a·w`.
pub(crate) struct Copies<'a> {
    /// Lower half.
    pub(crate) low: &'a [F],
    /// Upper half, written where the lower one has values.
    pub(crate) high: &'a mut [F],
    /// One factor per element.
    pub(crate) twiddles: &'a [F],
}

impl WithSimd for Copies<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for ((a, b), twiddle) in self.low.iter().zip(self.high).zip(self.twiddles) {
            *b = F::of_lane(multiply(a.to_u64(), twiddle.to_u64()));
        }
    }
}

/// Σ values·limbs of four rows of 32-bit limbs, values shifted to be unsigned; see [`crate::narrow`].
pub(crate) struct NarrowDot<'a> {
    /// At most 2^16.
    pub(crate) values: &'a [i16],
    /// As long as `values` or longer.
    pub(crate) limbs: [&'a [u32]; 4],
}

impl WithSimd for NarrowDot<'_> {
    type Output = [u64; 4];

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> [u64; 4] {
        let mut sums = [0; 4];
        for (sum, limbs) in sums.iter_mut().zip(self.limbs) {
            let mut total = 0_u64;
            for (value, limb) in self.values.iter().zip(limbs) {
                let value = u64::from(u32::from(value.cast_unsigned() ^ 0x8000));
                total = total.wrapping_add(value.wrapping_mul(u64::from(*limb)));
            }
            *sum = total;
        }
        sums
    }
}

/// `sums[k][c] += limbs[k]·row[c]` for each row, values shifted to be unsigned; see [`crate::narrow`].
pub(crate) struct NarrowRows<'a, const TILE: usize> {
    /// Rows of `width` values, of which the tile from `first` on is read.
    pub(crate) rows: &'a [i16],
    pub(crate) width: usize,
    pub(crate) first: usize,
    pub(crate) tile: usize,
    /// Limbs of each row's factor.
    pub(crate) factors: &'a [[u32; 4]],
    pub(crate) sums: &'a mut [[u64; TILE]; 4],
}

impl<const TILE: usize> WithSimd for NarrowRows<'_, TILE> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (row, factor) in self.rows.chunks_exact(self.width).zip(self.factors) {
            let row = &row[self.first..self.first + self.tile];
            for (sum, limb) in self.sums.iter_mut().zip(factor) {
                let limb = u64::from(*limb);
                for (sum, value) in sum.iter_mut().zip(row) {
                    let value = u64::from(u32::from(value.cast_unsigned() ^ 0x8000));
                    *sum = sum.wrapping_add(value.wrapping_mul(limb));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn word() -> impl Strategy<Value = u64> {
        let corners = vec![0, 1, EPSILON, EPSILON + 1, 1 << 63, MODULUS - EPSILON, MODULUS - 1];
        prop_oneof![proptest::sample::select(corners), 0..MODULUS]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        /// Differential: a lane against the field, in loops long enough to be vectors and their ends.
        #[test]
        fn lanes_are_the_field(a in word(), b in word(), w in word(), low in any::<u64>(), high in any::<u64>()) {
            let of = |x| F::from_u64(x);
            prop_assert_eq!(of(add(a, b)), of(a) + of(b));
            prop_assert_eq!(of(subtract(a, b)), of(a) - of(b));
            prop_assert_eq!(multiply(a, w), (of(a) * of(w)).to_u64());
            let wide = u128::from(high) << 64 | u128::from(low);
            prop_assert_eq!(reduce(low, high), F::from_u128(wide).to_u64());
            let (x, y, t) = (vec![of(a); 19], vec![of(b); 19], vec![of(w); 19]);
            let mut values = [x.clone(), y].concat();
            run(Butterflies { values: &mut values, twiddles: &t });
            prop_assert_eq!(&values[..19], &[of(a) + of(b); 19][..]);
            prop_assert_eq!(&values[19..], &[(of(a) - of(b)) * of(w); 19][..]);
            let mut copied = vec![F::ZERO; 19];
            run(Copies { low: &x, high: &mut copied, twiddles: &t });
            prop_assert_eq!(copied, vec![of(a) * of(w); 19]);
        }
    }
}
