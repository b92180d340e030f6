//! How long a residual lasts at a rate: the tick scale of the race.
//!
//! A *rate* is `x`, the base-2 logarithm of lambda in 1/64 octave: score level times 2^m. The
//! race runs in sub-ticks of 2^-32 tick. The scale's anchor is an octave A at or above the top
//! racing rate; a bidder D octaves below the anchor waits `e * 2^D` units of 2^52 sub-ticks. Keys
//! are at most 2^93 sub-ticks = 2^61 ticks ahead of virtual time, so that wrap-around comparison
//! is safe; `e` is below 2^5.5, so that is where all rates down to 35 octaves under the anchor
//! ring, and lower ones if their residual is short. Who rings later is kept in [`crate::far`].

use crate::fixed::{LN_BITS, low64, mul_high};
use crate::grid::STEP;

/// Units of `x` in an octave of rate.
const X_PER_OCTAVE: u32 = 64;
/// Octaves in one bucket of the anchor.
const OCTAVES_PER_BUCKET: u32 = 4;
/// Units of `x` in one bucket.
const X_PER_BUCKET: u32 = X_PER_OCTAVE * OCTAVES_PER_BUCKET;
/// Rates less than this many octaves under the anchor always ring before the horizon:
/// 2^5.48 * 2^35 * 2^(52 + 32) < 2^124.5.
const SHALLOW_OCTAVES: u32 = 35;
/// How far ahead of virtual time a key may be, as a distance between nodes.
pub(crate) const HORIZON: u128 = 1 << 125;
/// Buckets of rate: x < (3968 + 385) << 4 < 273 * 256.
pub(crate) const BUCKETS: usize = 273;
/// Sub-tick bits of one unit of residual at the anchor: 20 of them whole ticks.
const UNIT_BITS: u32 = 52;
/// A node's bits below the sub-tick.
const INDEX_BITS: u32 = 32;
/// A distance between nodes has this many more bits than a residual, at the anchor.
const DISTANCE_BITS: u32 = UNIT_BITS + INDEX_BITS - LN_BITS;

/// The bucket of a rate.
#[inline(always)]
pub(crate) const fn bucket(x: u32) -> u32 {
    x / X_PER_BUCKET
}

/// The anchor of the tick scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scale {
    /// The anchor in units of x; a multiple of a bucket.
    anchor: u32,
}

impl Scale {
    /// The scale whose top bucket is `bucket`.
    pub(crate) const fn of_bucket(bucket: u32) -> Self {
        Self { anchor: (bucket + 1) * X_PER_BUCKET }
    }

    /// The top bucket.
    pub(crate) const fn bucket(self) -> u32 {
        self.anchor / X_PER_BUCKET - 1
    }

    /// How far the rate is under the anchor.
    #[inline(always)]
    pub(crate) fn depth(self, x: u32) -> Depth {
        debug_assert!(x <= self.anchor, "the anchor is above every racing rate");
        let depth = self.anchor.wrapping_sub(x);
        Depth { octaves: depth / X_PER_OCTAVE, step: (depth % X_PER_OCTAVE) as usize }
    }
}

/// A rate relative to the anchor: octaves under it, and sixty-fourths.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Depth {
    octaves: u32,
    step: usize,
}

impl Depth {
    /// Whether every residual at this rate rings before the horizon.
    #[inline(always)]
    pub(crate) const fn is_shallow(self) -> bool {
        self.octaves < SHALLOW_OCTAVES
    }

    /// How far ahead residual `e` lasts at a shallow rate: e / lambda sub-ticks as a distance
    /// between nodes. Rounded up to whole sub-ticks, after a 2^-32 of one is dropped.
    #[inline(always)]
    pub(crate) fn shallow_delay(self, e: u64) -> u128 {
        debug_assert!(e <= crate::RESIDUAL_MAX, "residuals are bounded");
        debug_assert!(self.is_shallow(), "deep rates are longer than a word");
        let Self { octaves, step } = self;
        // 2 e < 2^63.5 times a step below 2^64, in 2^-64; then 2^(27 + octaves) of it: a shift to
        // the right by 3 to 37, as a product with 2^61 to 2^27 (shifts of two words are slow).
        let product = u128::from(e.wrapping_mul(2)) * u128::from(STEP[step]);
        let power = POWER[(DISTANCE_BITS.wrapping_add(octaves) & 63) as usize];
        let high = u128::from(low64(product >> 64)) * u128::from(power);
        let distance = high.wrapping_add(u128::from(mul_high(low64(product), power)));
        distance.wrapping_add(FRACTION) & !FRACTION
    }

    /// As [`Self::shallow_delay`], for every rate; `None` beyond the horizon.
    pub(crate) fn delay(self, e: u64) -> Option<u128> {
        if self.is_shallow() {
            return Some(self.shallow_delay(e));
        }
        let product = u128::from(e.wrapping_mul(2)) * u128::from(STEP[self.step]);
        if product == 0 {
            return Some(0);
        }
        let bits = 64 - DISTANCE_BITS;
        let distance = if self.octaves < bits {
            product >> (bits - self.octaves)
        } else {
            let shift = self.octaves - bits;
            if shift >= product.leading_zeros() {
                return None;
            }
            product << shift
        };
        if distance > HORIZON { None } else { Some(distance.wrapping_add(FRACTION) & !FRACTION) }
    }

    /// Residual that passes over a distance between nodes at this rate: floor(elapsed * lambda)
    /// within 4 units of 2^-57, for a key that has not passed.
    #[inline(always)]
    pub(crate) fn consumed(self, distance: u128) -> u64 {
        let Self { octaves, step } = self;
        let scaled = if self.is_shallow() {
            // A shift to the right by 27 + octaves, 27 to 61, as a product. While the key is not
            // in the past the result is at most 2 e + 1 < 2^64, so nothing is lost.
            let power = POWER[((64 - DISTANCE_BITS).wrapping_sub(octaves) & 63) as usize];
            let high = low64(distance >> 64).wrapping_mul(power);
            high | mul_high(low64(distance), power)
        } else {
            deep_shift(distance, octaves)
        };
        mul_high(scaled, INVERSE_STEP[step]).wrapping_mul(2)
    }
}

/// distance / 2^(27 + octaves).
#[cold]
fn deep_shift(distance: u128, octaves: u32) -> u64 {
    // From 27 + 35 on; a distance is below 2^126, so the result is below 2^64.
    low64(distance.checked_shr(DISTANCE_BITS.saturating_add(octaves)).unwrap_or(0))
}

/// The bits of a distance below a sub-tick.
const FRACTION: u128 = 0xFFFF_FFFF;

/// 2^i. A table, so that the compiler does not turn the products into two-word shifts.
pub(crate) static POWER: [u64; 64] = powers();

const fn powers() -> [u64; 64] {
    let mut table = [0; 64];
    let mut i = 0;
    while i < 64 {
        table[i] = 1 << i;
        i += 1;
    }
    table
}

/// floor(2^(63 - i/64)).
static INVERSE_STEP: [u64; 64] = inverse_steps();

const fn inverse_steps() -> [u64; 64] {
    let mut table = [1 << 63; 64];
    let mut i = 1;
    while i < 64 {
        // STEP is rounded up from an irrational number: one less, halved, is rounded down.
        table[i] = (STEP[64 - i] - 1) >> 1;
        i += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RESIDUAL_MAX;

    // Goal: delay and consumption are inverse within rounding, over all depths.
    #[test]
    fn delay_then_consume_returns_the_residual() {
        let scale = Scale::of_bucket(200);
        for e in [0, 1, 1 << 20, 1 << 40, 1 << 57, (1 << 57) + 12_345, RESIDUAL_MAX] {
            let mut was_far = false;
            for depth in 0..150 * 64 {
                let rate = scale.depth(scale.anchor - depth);
                let Some(delay) = rate.delay(e) else {
                    assert!(depth >= 35 * 64);
                    was_far = true;
                    continue;
                };
                assert!(!was_far && delay <= HORIZON + FRACTION);
                if rate.is_shallow() {
                    assert_eq!(delay, rate.shallow_delay(e));
                }
                // One sub-tick is at most 2^5 residual units.
                let error = rate.consumed(delay).abs_diff(e);
                assert!(error <= 32 + 4, "e {e} depth {depth} error {error}");
            }
            assert!(was_far == (e > 0));
        }
    }

    // Goal: a higher rate never waits longer.
    #[test]
    fn delay_is_monotone_in_rate() {
        let scale = Scale::of_bucket(40);
        for e in [1, 77, 1 << 30, 1 << 57, RESIDUAL_MAX] {
            let mut last = u128::MAX;
            for x in 0..=scale.anchor {
                let delay = scale.depth(x).delay(e).unwrap_or(u128::MAX);
                assert!(delay <= last);
                last = delay;
            }
        }
    }

    // Goal: the largest rate of any lawful bid has a bucket.
    #[test]
    fn buckets_cover_every_rate() {
        let x_max = (u32::from(crate::grid::level_floor(1 << 62)) + 2 * 192) << 4;
        assert!((bucket(x_max) as usize) < BUCKETS);
        assert_eq!(Scale::of_bucket(7).bucket(), 7);
    }
}
