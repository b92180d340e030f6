//! What the auction knows of all racing rates without looking at each: the top bucket, how many
//! lie under the rate floor, and how many have each level, for their sum. O(1) a change.

use alloc::vec;
use alloc::vec::Vec;

use crate::fixed::low64;
use crate::grid::STEP;
use crate::scale::{BUCKETS, Scale, bucket};

/// The level of a score of 1,000,000 ppm (bid at cost price, quality one), offset included.
const UNIT_LEVEL: u32 = 1275 + 192;
/// A rate of one is this power of two in [`crate::Auction::rate_sum`].
const UNIT_BITS: u32 = 24;
/// One rate counts at most 2^96 in the sum, so that 2^22 bidders stay below 2^118.
const RATE_BITS_MAX: u32 = 96;

/// Score levels: 62 octaves of bid and twice the quality's offset.
const LEVELS: usize = 62 * 64 + 2 * 192 + 1;

#[derive(Clone, Debug)]
pub(crate) struct Census {
    /// Racing bidders of each score level.
    levels: Vec<u32>,
    /// Racing bidders of each bucket of rate.
    buckets: [u32; BUCKETS],
    floored: u32,
    temperature_log2: u32,
}

impl Census {
    pub(crate) fn new(temperature_log2: u32) -> Self {
        Self { levels: vec![0; LEVELS], buckets: [0; BUCKETS], floored: 0, temperature_log2 }
    }

    /// Counts a rate that begins to race.
    #[inline(always)]
    pub(crate) fn enter(&mut self, x: u32, scale: Scale) {
        self.count(x, bucket(x), scale.is_floored(x), 1);
    }

    /// Counts a rate that no longer races.
    #[inline(always)]
    pub(crate) fn leave(&mut self, x: u32, scale: Scale) {
        debug_assert!(self.buckets[bucket(x) as usize] > 0, "only a racing rate leaves");
        self.count(x, bucket(x), scale.is_floored(x), u32::MAX);
    }

    /// Adds `by`, which is one or minus one: every decrement undoes an increment, and at most
    /// 2^22 bidders are counted, so nothing wraps in the end.
    #[inline(always)]
    fn count(&mut self, x: u32, bucket: u32, floored: bool, by: u32) {
        let level = &mut self.levels[(x >> (self.temperature_log2 & 31)) as usize];
        *level = level.wrapping_add(by);
        let bucket = &mut self.buckets[bucket as usize];
        *bucket = bucket.wrapping_add(by);
        if floored {
            self.floored = self.floored.wrapping_add(by);
        }
    }

    /// Counts the floored rates again, after the scale has changed.
    pub(crate) fn recount_floored(&mut self, scale: Scale, rates: impl Iterator<Item = u32>) {
        let floored = rates.filter(|&x| scale.is_floored(x)).count();
        self.floored = low64(floored as u128).try_into().unwrap_or(u32::MAX);
    }

    /// How many racing bidders are under the rate floor.
    #[inline(always)]
    pub(crate) const fn floored(&self) -> u32 {
        self.floored
    }

    /// The bucket of the top racing rate.
    pub(crate) fn top_bucket(&self) -> Option<u32> {
        let top = self.buckets.iter().rposition(|&count| count > 0)?;
        u32::try_from(top).ok()
    }

    /// The sum of all racing rates; O(levels), about 5 µs.
    pub(crate) fn rate_sum(&self) -> u128 {
        let mut sum = 0u128;
        for (level, &count) in (0u32..).zip(&self.levels) {
            if count > 0 {
                // 2^96 each and at most 2^22 bidders: no overflow.
                sum += self.rate(level << self.temperature_log2) * u128::from(count);
            }
        }
        sum
    }

    /// lambda(x) in units of 2^-24 of the rate of cost price, in 1 ..= 2^96.
    #[inline]
    fn rate(&self, x: u32) -> u128 {
        // The grid's octave of the unit, shifted by UNIT_BITS so that it is not negative.
        let unit = UNIT_LEVEL << self.temperature_log2;
        let above = i64::from(x) - i64::from(unit) + i64::from(UNIT_BITS * 64);
        if above <= 0 {
            return 1;
        }
        let above = above.cast_unsigned();
        let (octave, step) = (above / 64, (above % 64) as usize);
        if octave >= u64::from(RATE_BITS_MAX) {
            return 1 << RATE_BITS_MAX;
        }
        let mantissa = u128::from(STEP[step]);
        // octave <= 95: at most 64 + 32 bits.
        if octave >= 63 { mantissa << (octave - 63) } else { mantissa >> (63 - octave) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: the rate is (score / cost price)^(1/T) in 2^-24 units, clamped.
    #[test]
    fn rates_are_powers_of_the_score() {
        for m in 0..=4u32 {
            let census = Census::new(m);
            for level in (0..4352u32).step_by(7) {
                let got = census.rate(level << m) as f64;
                let octaves = (f64::from(level) - f64::from(UNIT_LEVEL)) / 64.0;
                let expected = (octaves * f64::from(1u32 << m) + 24.0).exp2();
                let expected = expected.clamp(1.0, 96f64.exp2());
                assert!((got - expected).abs() <= 1.0 + expected * 1e-12, "{m} {level}");
            }
        }
    }

    // Goal: entering and leaving are inverse.
    #[test]
    fn leaving_undoes_entering() {
        let scale = Scale::of_bucket(40);
        let mut census = Census::new(2);
        for x in [0, 5_000, 9_000, 10_000] {
            census.enter(x, scale);
        }
        assert_eq!(census.top_bucket(), Some(39));
        assert_eq!(census.floored(), 2);
        for x in [0, 5_000, 9_000, 10_000] {
            census.leave(x, scale);
        }
        assert_eq!((census.top_bucket(), census.floored(), census.rate_sum()), (None, 0, 0));
    }
}
