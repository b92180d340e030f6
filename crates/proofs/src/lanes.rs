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

use crate::extension::Extension;
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

/// Words that are handled at once.
pub(crate) const WIDTH: usize = 8;
/// That many.
pub(crate) type Words = [u64; WIDTH];

/// a + b mod p in each lane.
#[inline(always)]
pub(crate) fn add_words(a: Words, b: Words) -> Words {
    each(a, b, add)
}

/// a − b mod p in each lane.
#[inline(always)]
pub(crate) fn subtract_words(a: Words, b: Words) -> Words {
    each(a, b, subtract)
}

/// a·b mod p in each lane.
#[inline(always)]
pub(crate) fn multiply_words(a: Words, b: Words) -> Words {
    each(a, b, multiply)
}

#[inline(always)]
fn each(a: Words, b: Words, of: impl Fn(u64, u64) -> u64) -> Words {
    let mut out = [0; WIDTH];
    for lane in 0..WIDTH {
        out[lane] = of(a[lane], b[lane]);
    }
    out
}

/// Eight elements of E, coordinate by coordinate.
#[derive(Clone, Copy)]
struct Wide<E: Extension>(E::Each<Words>);

impl<E: Extension> Wide<E> {
    #[inline(always)]
    fn zero() -> Self {
        Self(E::each(|_| [0; WIDTH]))
    }

    #[inline(always)]
    fn splat(element: E) -> Self {
        let own = element.coordinates();
        Self(E::each(|index| [own[index].to_u64(); WIDTH]))
    }

    /// Every `step`-th element, from `first`.
    #[inline(always)]
    fn load(elements: &[E], first: usize, step: usize) -> Self {
        let mut wide = Self::zero();
        for lane in 0..WIDTH {
            let own = elements[first + step * lane].coordinates();
            for index in 0..E::DEGREE {
                wide.0[index][lane] = own[index].to_u64();
            }
        }
        wide
    }

    #[inline(always)]
    fn store(self, elements: &mut [E]) {
        for (lane, element) in elements[..WIDTH].iter_mut().enumerate() {
            *element = E::from_fn(|index| F::of_lane(self.0[index][lane]));
        }
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        Self(E::each(|index| add_words(self.0[index], other.0[index])))
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        Self(E::each(|index| subtract_words(self.0[index], other.0[index])))
    }

    #[inline(always)]
    fn times(self, other: Self) -> Self {
        Self(E::multiply_words(&self.0, &other.0))
    }

    #[inline(always)]
    fn sum(self) -> E {
        E::from_fn(|index| self.0[index].into_iter().map(F::of_lane).sum())
    }
}

/// `out[i] = values[2i] + x·(values[2i+1] − values[2i])`, for whole pairs.
pub(crate) struct Fold<'a, E> {
    pub(crate) values: &'a [E],
    pub(crate) x: E,
    pub(crate) out: &'a mut [E],
}

impl<E: Extension> WithSimd for Fold<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let x = Wide::splat(self.x);
        let (groups, rest) = self.out.as_chunks_mut::<WIDTH>();
        let done = 2 * WIDTH * groups.len();
        for (group, out) in groups.iter_mut().enumerate() {
            let values = &self.values[2 * WIDTH * group..2 * WIDTH * (group + 1)];
            let (low, high) = (Wide::load(values, 0, 2), Wide::load(values, 1, 2));
            low.plus(x.times(high.minus(low))).store(out);
        }
        for (out, pair) in rest.iter_mut().zip(self.values[done..].chunks_exact(2)) {
            *out = pair[0] + self.x * (pair[1] - pair[0]);
        }
    }
}

/// One more variable of a table of eq: `high = low·x`, `low = low − high`.
pub(crate) struct Expand<'a, E> {
    pub(crate) low: &'a mut [E],
    pub(crate) high: &'a mut [E],
    pub(crate) x: E,
}

impl<E: Extension> WithSimd for Expand<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let x = Wide::splat(self.x);
        let (low, low_rest) = self.low.as_chunks_mut::<WIDTH>();
        let (high, high_rest) = self.high.as_chunks_mut::<WIDTH>();
        for (a, b) in low.iter_mut().zip(high) {
            let whole = Wide::load(a, 0, 1);
            let part = whole.times(x);
            part.store(b);
            whole.minus(part).store(a);
        }
        for (a, b) in low_rest.iter_mut().zip(high_rest) {
            *b = *a * self.x;
            *a -= *b;
        }
    }
}

/// Sums of neighbouring fractions: `(p0·q1 + p1·q0) / (q0·q1)`, for whole pairs.
pub(crate) struct Fractions<'a, E> {
    pub(crate) p: &'a [E],
    pub(crate) q: &'a [E],
    pub(crate) p_out: &'a mut [E],
    pub(crate) q_out: &'a mut [E],
}

impl<E: Extension> WithSimd for Fractions<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let (p_out, p_rest) = self.p_out.as_chunks_mut::<WIDTH>();
        let (q_out, q_rest) = self.q_out.as_chunks_mut::<WIDTH>();
        let done = 2 * WIDTH * p_out.len();
        for (group, (p_out, q_out)) in p_out.iter_mut().zip(q_out).enumerate() {
            let range = 2 * WIDTH * group..2 * WIDTH * (group + 1);
            let (p, q) = (&self.p[range.clone()], &self.q[range]);
            let [p0, p1, q0, q1] = [
                Wide::load(p, 0, 2),
                Wide::load(p, 1, 2),
                Wide::load(q, 0, 2),
                Wide::load(q, 1, 2),
            ];
            p0.times(q1).plus(p1.times(q0)).store(p_out);
            q0.times(q1).store(q_out);
        }
        let pairs = self.p[done..].chunks_exact(2).zip(self.q[done..].chunks_exact(2));
        for ((p_out, q_out), (p, q)) in p_rest.iter_mut().zip(q_rest).zip(pairs) {
            *p_out = p[0] * q[1] + p[1] * q[0];
            *q_out = q[0] * q[1];
        }
    }
}

/// qr·(pl + λ·ql) + pr·ql.
#[inline(always)]
fn term<E: Extension>(
    lambda: Wide<E>,
    pl: Wide<E>,
    pr: Wide<E>,
    ql: Wide<E>,
    qr: Wide<E>,
) -> Wide<E> {
    qr.times(pl.plus(lambda.times(ql))).plus(pr.times(ql))
}

/// The sums of one round of the look-up tree over groups of eight whole pairs; see `prover/gkr.rs`.
pub(crate) struct FractionRound<'a, E> {
    /// Even numerators, odd ones, even denominators, odd ones; two for each weight.
    pub(crate) halves: [&'a [E]; 4],
    pub(crate) weights: &'a [E],
    pub(crate) lambda: E,
}

impl<E: Extension> WithSimd for FractionRound<'_, E> {
    type Output = [E; 3];

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> [E; 3] {
        let lambda = Wide::splat(self.lambda);
        let mut sums = [Wide::zero(); 3];
        for (group, weights) in self.weights.chunks_exact(WIDTH).enumerate() {
            let range = 2 * WIDTH * group..2 * WIDTH * (group + 1);
            let [pl, pr, ql, qr] = self.halves.map(|half| &half[range.clone()]);
            let weight = Wide::load(weights, 0, 1);
            // Not by `map`: a call that is not inlined loses the vectors.
            let (low_pl, up_pl) = (Wide::load(pl, 0, 2), Wide::load(pl, 1, 2));
            let (low_pr, up_pr) = (Wide::load(pr, 0, 2), Wide::load(pr, 1, 2));
            let (low_ql, up_ql) = (Wide::load(ql, 0, 2), Wide::load(ql, 1, 2));
            let (low_qr, up_qr) = (Wide::load(qr, 0, 2), Wide::load(qr, 1, 2));
            let low = term(lambda, low_pl, low_pr, low_ql, low_qr);
            let up = term(
                lambda,
                up_pl.minus(low_pl),
                up_pr.minus(low_pr),
                up_ql.minus(low_ql),
                up_qr.minus(low_qr),
            );
            sums[0] = sums[0].plus(weight.times(low));
            sums[1] = sums[1].plus(weight.times(up));
            sums[2] = sums[2].plus(weight);
        }
        sums.map(Wide::sum)
    }
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

/// The last three layers of butterflies, eight blocks of eight at once: a lane a block, since their halves are
/// shorter than a vector.
pub(crate) struct LastButterflies<'a> {
    /// Whole tiles of [`LastButterflies::TILE`].
    pub(crate) values: &'a mut [F],
    /// 1, ω, ω², ω³ of the root of unity of order 8.
    pub(crate) twiddles: [F; 4],
}

impl LastButterflies<'_> {
    /// Elements that are transformed at once.
    pub(crate) const TILE: usize = WIDTH * WIDTH;
}

impl WithSimd for LastButterflies<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let twiddles = self.twiddles.map(F::to_u64);
        for tile in self.values.as_chunks_mut::<{ WIDTH * WIDTH }>().0 {
            let mut rows = [[0; WIDTH]; WIDTH];
            for (place, row) in rows.iter_mut().enumerate() {
                for (lane, value) in row.iter_mut().enumerate() {
                    *value = tile[lane * WIDTH + place].to_u64();
                }
            }
            for span in [4, 2, 1] {
                for block in rows.chunks_exact_mut(2 * span) {
                    let (low, high) = block.split_at_mut(span);
                    for (index, (low, high)) in low.iter_mut().zip(high).enumerate() {
                        for (a, b) in low.iter_mut().zip(high) {
                            let difference = subtract(*a, *b);
                            *a = add(*a, *b);
                            *b = if index == 0 {
                                difference
                            } else {
                                multiply(difference, twiddles[index * 4 / span])
                            };
                        }
                    }
                }
            }
            for (place, row) in rows.iter().enumerate() {
                for (lane, value) in row.iter().enumerate() {
                    tile[lane * WIDTH + place] = F::of_lane(*value);
                }
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

/// `to ← from·factor`.
pub(crate) struct Scale<'a> {
    pub(crate) from: &'a [F],
    pub(crate) to: &'a mut [F],
    pub(crate) factor: F,
}

impl WithSimd for Scale<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let factor = self.factor.to_u64();
        for (from, to) in self.from.iter().zip(self.to) {
            *to = F::of_lane(multiply(from.to_u64(), factor));
        }
    }
}

/// Σ factor·value, of whole vectors, a sum a lane; see [`crate::dot`].
pub(crate) struct Dot<'a> {
    pub(crate) factors: &'a [F],
    /// As many.
    pub(crate) values: &'a [F],
}

impl WithSimd for Dot<'_> {
    type Output = F;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> F {
        let mut sums = [0; WIDTH];
        let groups = self.factors.as_chunks().0.iter().zip(self.values.as_chunks().0);
        for (factors, values) in groups {
            let products = multiply_words(factors.map(F::to_u64), values.map(F::to_u64));
            sums = add_words(sums, products);
        }
        sums.iter().map(|word| F::of_lane(*word)).sum()
    }
}

/// Σ values·limbs of the rows of 32-bit limbs of each coordinate, values shifted to be unsigned; see
/// [`crate::narrow`].
pub(crate) struct NarrowDot<'a, E: Extension> {
    /// At most 2^16.
    pub(crate) values: &'a [i16],
    /// As long as `values` or longer.
    pub(crate) limbs: E::Each<[&'a [u32]; 2]>,
}

impl<E: Extension> WithSimd for NarrowDot<'_, E> {
    type Output = E::Each<[u64; 2]>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Self::Output {
        let mut sums = E::each(|_| [0; 2]);
        for index in 0..E::DEGREE {
            for (sum, limbs) in sums[index].iter_mut().zip(self.limbs[index]) {
                let mut total = 0_u64;
                for (value, limb) in self.values.iter().zip(limbs) {
                    let value = u64::from(u32::from(value.cast_unsigned() ^ 0x8000));
                    total = total.wrapping_add(value.wrapping_mul(u64::from(*limb)));
                }
                *sum = total;
            }
        }
        sums
    }
}

/// `sums[k][c] += limbs[k]·row[c]` for each row, values shifted to be unsigned; see [`crate::narrow`].
pub(crate) struct NarrowRows<'a, E: Extension, const TILE: usize> {
    /// Rows of `width` values, of which the tile from `first` on is read.
    pub(crate) rows: &'a [i16],
    pub(crate) width: usize,
    pub(crate) first: usize,
    pub(crate) tile: usize,
    /// Limbs of each row's factor.
    pub(crate) factors: &'a [E::Each<[u32; 2]>],
    pub(crate) sums: &'a mut E::Each<[[u64; TILE]; 2]>,
}

impl<E: Extension, const TILE: usize> WithSimd for NarrowRows<'_, E, TILE> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (row, factor) in self.rows.chunks_exact(self.width).zip(self.factors) {
            let row = &row[self.first..self.first + self.tile];
            for (sums, limbs) in self.sums.as_mut().iter_mut().zip(factor.as_ref()) {
                for (sum, limb) in sums.iter_mut().zip(limbs) {
                    let limb = u64::from(*limb);
                    for (sum, value) in sum.iter_mut().zip(row) {
                        let value = u64::from(u32::from(value.cast_unsigned() ^ 0x8000));
                        *sum = sum.wrapping_add(value.wrapping_mul(limb));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extension::{Cubic, Quadratic};
    use proptest::prelude::*;

    fn word() -> impl Strategy<Value = u64> {
        let corners = vec![0, 1, EPSILON, EPSILON + 1, 1 << 63, MODULUS - EPSILON, MODULUS - 1];
        prop_oneof![proptest::sample::select(corners), 0..MODULUS]
    }

    /// The loops over elements against the operators, long enough to be vectors and their ends.
    fn elements_agree<E: Extension>(words: [u64; 5]) -> proptest::test_runner::TestCaseResult {
        let of = |shift: usize| E::from_fn(|index| F::from_u64(words[(index + shift) % 5]));
        let (x, lambda) = (of(3), of(2));
        let elements: Vec<E> = (0..76).map(|i| of(i % 4)).collect();
        let mut folded = vec![E::ZERO; 19];
        run(Fold { values: &elements[..38], x, out: &mut folded });
        for (pair, found) in elements.chunks(2).zip(&folded) {
            prop_assert_eq!(*found, pair[0] + x * (pair[1] - pair[0]));
        }
        let (mut low, mut high) = (elements[..19].to_vec(), vec![E::ZERO; 19]);
        run(Expand { low: &mut low, high: &mut high, x });
        let (mut p_out, mut q_out) = (vec![E::ZERO; 19], vec![E::ZERO; 19]);
        let (p, q) = (&elements[..38], &elements[38..]);
        run(Fractions { p, q, p_out: &mut p_out, q_out: &mut q_out });
        for i in 0..19 {
            let part = elements[i] * x;
            prop_assert_eq!((low[i], high[i]), (elements[i] - part, part));
            let sum = p[2 * i] * q[2 * i + 1] + p[2 * i + 1] * q[2 * i];
            prop_assert_eq!((p_out[i], q_out[i]), (sum, q[2 * i] * q[2 * i + 1]));
        }
        let halves = [&elements[..32], &elements[1..33], &elements[2..34], &elements[44..]];
        let weights = &elements[5..21];
        let mut sums = [E::ZERO; 3];
        for (i, weight) in weights.iter().enumerate() {
            let [pl, pr, ql, qr] = halves.map(|half| half[2 * i]);
            let [dpl, dpr, dql, dqr] = halves.map(|half| half[2 * i + 1] - half[2 * i]);
            sums[0] += *weight * (qr * (pl + lambda * ql) + pr * ql);
            sums[1] += *weight * (dqr * (dpl + lambda * dql) + dpr * dql);
            sums[2] += *weight;
        }
        prop_assert_eq!(run(FractionRound { halves, weights, lambda }), sums);
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        /// Differential: a lane against the field, in loops long enough to be vectors and their ends.
        #[test]
        fn lanes_are_the_field(words in [word(), word(), word(), word(), word()], low in any::<u64>(), high in any::<u64>()) {
            let [a, b, w, ..] = words;
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
            prop_assert_eq!(&copied, &vec![of(a) * of(w); 19]);
            run(Scale { from: &x, to: &mut copied, factor: of(b) });
            prop_assert_eq!(copied, vec![of(a) * of(b); 19]);
            elements_agree::<Quadratic>(words)?;
            elements_agree::<Cubic>(words)?;
        }
    }
}
