//! How long a residual lasts at a rate: the tick scale of the race, and its rate floor.
//!
//! A *rate* is `x`, the base-2 logarithm of lambda in 1/64 octave: score level times 2^m. The
//! race runs in sub-ticks of 2^-32 tick. The scale's anchor is an octave A at or above the top
//! racing rate; a bidder D octaves below the anchor waits `e * 2^D` units of 2^52 sub-ticks.
//! With `e` below 2^5.5 and D capped at 36 a key is less than 2^94 sub-ticks = 2^62 ticks ahead,
//! so that wrap-around comparison is safe. The cap on D is the **rate floor**: a rate more than
//! 36 octaves under the anchor races as if it were 36 under. At T = 1/4 and quality one all bids
//! from one to 256 reserves span 32 octaves, so none is ever floored. Elsewhere the auction keeps
//! the anchor within 8 octaves of the top racing rate whenever anyone is floored, so rates within
//! 2^28 of the top are always exact (a score ratio of 2^7 at T = 1/4, 2^3.5 at 1/8, 2^1.75 at
//! 1/16), and a floored bidder wins less than once in 2^28 decisions.

use crate::fixed::{LN_BITS, low64, mul_high};
use crate::grid::STEP;

/// Units of `x` in an octave of rate.
const X_PER_OCTAVE: u32 = 64;
/// Octaves in one bucket of the anchor.
const OCTAVES_PER_BUCKET: u32 = 4;
/// Units of `x` in one bucket.
const X_PER_BUCKET: u32 = X_PER_OCTAVE * OCTAVES_PER_BUCKET;
/// Largest depth under the anchor, in units of `x`.
pub(crate) const DEPTH_MAX: u32 = 36 * X_PER_OCTAVE;
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

    /// The anchor, octaves of rate.
    #[inline(always)]
    pub(crate) const fn anchor_octaves(self) -> u32 {
        self.anchor / X_PER_OCTAVE
    }

    /// Whether the rate is under the rate floor.
    #[inline(always)]
    pub(crate) const fn is_floored(self, x: u32) -> bool {
        self.anchor.saturating_sub(x) > DEPTH_MAX
    }

    /// How far the rate is under the anchor, floored.
    #[inline(always)]
    pub(crate) fn depth(self, x: u32) -> Depth {
        debug_assert!(x <= self.anchor, "the anchor is above every racing rate");
        let depth = self.anchor.wrapping_sub(x).min(DEPTH_MAX);
        Depth { octaves: depth / X_PER_OCTAVE, step: (depth % X_PER_OCTAVE) as usize }
    }
}

/// A rate relative to the anchor: octaves under it, at most 56, and sixty-fourths.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Depth {
    octaves: u32,
    step: usize,
}

impl Depth {
    /// Whether a rate this many octaves lower would be under the rate floor.
    #[inline(always)]
    pub(crate) const fn is_floored_after(self, octaves: u64) -> bool {
        (self.octaves as u64).wrapping_add(octaves) > (DEPTH_MAX / X_PER_OCTAVE) as u64
    }


    /// How far ahead residual `e` lasts at this rate: e / lambda sub-ticks, below 2^94, as a
    /// distance between nodes. Rounded up to whole sub-ticks, after a 2^-32 of one is dropped.
    #[inline(always)]
    pub(crate) fn delay(self, e: u64) -> u128 {
        debug_assert!(e <= crate::RESIDUAL_MAX, "residuals are bounded");
        let Self { octaves, step } = self;
        // 2 e < 2^63.5 times a step below 2^64, in 2^-64; then 2^(27 + octaves) of it: a shift to
        // the right by 1 to 37, as a product with 2^63 to 2^27 (shifts of two words are slow).
        let product = u128::from(e.wrapping_mul(2)) * u128::from(STEP[step]);
        let power = POWER[(DISTANCE_BITS.wrapping_add(octaves) & 63) as usize];
        let high = u128::from(low64(product >> 64)) * u128::from(power);
        let distance = high.wrapping_add(u128::from(mul_high(low64(product), power)));
        distance.wrapping_add(FRACTION) & !FRACTION
    }

    /// Residual that passes over a distance between nodes at this rate: floor(elapsed * lambda)
    /// within 4 units of 2^-57, for a key that has not passed.
    #[inline(always)]
    pub(crate) fn consumed(self, distance: u128) -> u64 {
        let Self { octaves, step } = self;
        // A shift to the right by 27 + octaves, 27 to 63, as a product. While the key is not in
        // the past the result is at most 2 e + 1 < 2^64, so nothing is lost.
        let power = POWER[((64 - DISTANCE_BITS).wrapping_sub(octaves) & 63) as usize];
        let high = low64(distance >> 64).wrapping_mul(power);
        let scaled = high | mul_high(low64(distance), power);
        mul_high(scaled, INVERSE_STEP[step]).wrapping_mul(2)
    }
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
        let scale = Scale::of_bucket(20);
        for e in [0, 1, 1 << 20, 1 << 40, 1 << 57, (1 << 57) + 12_345, RESIDUAL_MAX] {
            for depth in 0..=DEPTH_MAX + 700 {
                let x = scale.anchor - depth;
                let delay = scale.depth(x).delay(e);
                assert!(delay < 1 << 126);
                let back = scale.depth(x).consumed(delay);
                // One sub-tick is at most 2^5 residual units.
                let error = back.abs_diff(e);
                assert!(error <= 32 + 4, "e {e} depth {depth} error {error}");
            }
        }
    }

    // Goal: a higher rate never waits longer.
    #[test]
    fn delay_is_monotone_in_rate() {
        let scale = Scale::of_bucket(20);
        for e in [1, 77, 1 << 30, 1 << 57, RESIDUAL_MAX] {
            let mut last = u128::MAX;
            for x in (scale.anchor - DEPTH_MAX - 100)..=scale.anchor {
                let delay = scale.depth(x).delay(e);
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
