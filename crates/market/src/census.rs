//! The top racing rate, without looking at every bidder, and rates as numbers.

use crate::grid::STEP;
use crate::scale::{BUCKETS, bucket};

/// The level of a score of 1,000,000 ppm (bid at cost price, quality one), offset included.
const UNIT_LEVEL: u32 = 1275 + 192;
/// A rate of one is this power of two in [`crate::Auction::rate_sum`].
const UNIT_BITS: u32 = 24;
/// One rate counts at most 2^96 in the sum, so that 2^22 bidders stay below 2^118.
const RATE_BITS_MAX: u32 = 96;

/// How many racing bidders have a rate in each bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Census {
    buckets: [u32; BUCKETS],
}

impl Census {
    pub(crate) const fn new() -> Self {
        Self { buckets: [0; BUCKETS] }
    }

    /// Counts a rate that begins to race.
    #[inline(always)]
    pub(crate) fn enter(&mut self, x: u32) {
        let count = &mut self.buckets[bucket(x) as usize];
        // At most 2^22 bidders.
        *count = count.wrapping_add(1);
    }

    /// Counts a rate that no longer races.
    #[inline(always)]
    pub(crate) fn leave(&mut self, x: u32) {
        let count = &mut self.buckets[bucket(x) as usize];
        debug_assert!(*count > 0, "only a racing rate leaves");
        *count = count.wrapping_sub(1);
    }

    /// The bucket of the top racing rate.
    pub(crate) fn top_bucket(&self) -> Option<u32> {
        let top = self.buckets.iter().rposition(|&count| count > 0)?;
        u32::try_from(top).ok()
    }
}

/// lambda(x) in units of 2^-24 of the rate of cost price, in 1 ..= 2^96.
pub(crate) fn rate(x: u32, temperature_log2: u32) -> u128 {
    // The grid's octave of the unit, shifted by UNIT_BITS so that it is not negative.
    let unit = UNIT_LEVEL << temperature_log2;
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

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: the rate is (score / cost price)^(1/T) in 2^-24 units, clamped.
    #[test]
    fn rates_are_powers_of_the_score() {
        for m in 0..=4u32 {
            for level in (0..4352u32).step_by(7) {
                let got = rate(level << m, m) as f64;
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
        let mut census = Census::new();
        for (x, top) in [(0, 0), (5_000, 19), (10_000, 39), (9_000, 39)] {
            census.enter(x);
            assert_eq!(census.top_bucket(), Some(top));
        }
        for x in [0, 5_000, 9_000, 10_000] {
            census.leave(x);
        }
        assert_eq!(census, Census::new());
        assert_eq!(census.top_bucket(), None);
    }
}
