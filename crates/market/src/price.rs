//! The critical price: the least bid with which the winner would still have won.
//!
//! In score space the winner's threshold is `s = (e_w / (k - V))^T`, with `e_w` its residual when
//! the decision began and `k` the first key that it had to beat; in its own bids that is
//! `s / q`. This equals the `b_w ((key_w - V) / (k - V))^T` of the design, and does not contain
//! the winner's bid at all, so a winner cannot move its own price by even one rounding.

use crate::fixed::{low64, mul_high, root};
use crate::grid::{LEVELS_PER_OCTAVE, STEP};
use crate::scale::{DEPTH_MAX, DISTANCE_BITS, POWER, Scale};

/// What a price depends on.
pub(crate) struct Threshold {
    /// The winner's residual at the start of the decision, 2^-57 units.
    pub(crate) e: u64,
    /// From the start of the decision to the first losing key, as a distance between nodes.
    pub(crate) gap: u128,
    /// The tick scale.
    pub(crate) scale: Scale,
    /// T = 2^-m.
    pub(crate) temperature_log2: u32,
    /// The winner's quality level, offset.
    pub(crate) quality_level: u16,
    /// The winner's floor, ppm.
    pub(crate) floor_ppm: u64,
    /// The winner's bid, ppm.
    pub(crate) bid_ppm: u64,
}

/// The critical price, ppm: at least the floor and at most the bid. In between its relative
/// error is below 2^-30 T + 2^-36, and it is rounded down to whole ppm.
#[inline]
pub(crate) fn critical_price(threshold: &Threshold) -> u64 {
    let Threshold { e, gap, scale, temperature_log2, quality_level, .. } = *threshold;
    debug_assert!(threshold.floor_ppm <= threshold.bid_ppm, "only eligible bidders win");
    if e == 0 || gap == 0 {
        // A spent clock wins at any bid; equal keys are decided by id, not by bid.
        return threshold.floor_ppm;
    }
    // Normalise both to a set top bit: e = top_e 2^-lift_e, gap = top_gap 2^(64 - lift_gap).
    let lift_e = e.leading_zeros();
    let top_e = e << (lift_e & 63);
    let (high, low) = (low64(gap >> 64), low64(gap));
    let (first, second, skipped) = if high == 0 { (low, 0, 64) } else { (high, low, 0) };
    let zeros = first.leading_zeros();
    let top_gap = (first << (zeros & 63)) | mul_high(second, POWER[(zeros & 63) as usize]);
    // Their quotient in 2^-32 units, in (2^31, 2^33), by a divisor of 32 bits: error 2^-30.
    let quotient = top_e / (top_gap >> 32).max(1);
    // The critical rate is 2^octaves times a mantissa in [1, 2), in octaves of `x`. Gaps
    // have 27 bits more than residuals, at the anchor; 65 = 64 + 32 - 31 is from the quotient.
    let carry = quotient >> 32;
    let below = i64::from(zeros.wrapping_add(skipped))
        .wrapping_sub(i64::from(lift_e))
        .wrapping_add(carry.cast_signed())
        .wrapping_sub(65 - i64::from(DISTANCE_BITS));
    let octaves = i64::from(scale.anchor_octaves()).wrapping_add(below);
    if below < -i64::from(DEPTH_MAX / LEVELS_PER_OCTAVE) {
        // It would have won at the rate floor, which every eligible bid has.
        return threshold.floor_ppm;
    }
    // Octaves over 2^m are whole levels, so only the mantissa needs a root.
    let shift = 6u32.wrapping_sub(temperature_log2) & 63;
    let level = (octaves << shift).wrapping_sub(i64::from(quality_level));
    let mantissa = root(quotient << (32u64.wrapping_sub(carry) & 63), temperature_log2);
    price_of(level, mantissa).min(threshold.bid_ppm).max(threshold.floor_ppm)
}

/// floor(2^(level / 64) * mantissa), with the mantissa in [1, 2) as Q62; saturates.
#[inline]
fn price_of(level: i64, mantissa: u64) -> u64 {
    let octave = level >> 6;
    // STEP is Q63 and at least one: the product is Q61, in [1, 4).
    let product = mul_high(STEP[(level & 63).cast_unsigned() as usize], mantissa);
    if (0..=61).contains(&octave) {
        product >> (61 - octave)
    } else if octave < 0 {
        // Below 4 ppm at most; no floor is that low in earnest.
        if octave >= -2 { product >> (61 - octave) } else { 0 }
    } else {
        u64::MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::{QUALITY_OFFSET, level_floor, level_ppm};

    // Goal: the formula of the design, b_w (delay_w / gap)^T, within its error bound, for every
    // temperature, quality and bid of a grid.
    #[test]
    fn matches_the_ratio_form() {
        for m in 0..=4u32 {
            for bid in [1_000_000u64, 7_654_321, 256_000_000] {
                for quality in [0, QUALITY_OFFSET - 64, QUALITY_OFFSET, QUALITY_OFFSET + 100] {
                    check(m, level_floor(bid), quality);
                }
            }
        }
    }

    fn check(m: u32, level: u16, quality_level: u16) {
        let x = u32::from(level + quality_level) << m;
        let scale = Scale::of_bucket(crate::scale::bucket(x));
        for e in [1u64 << 35, 1 << 50, 1 << 57, 1 << 61] {
            let delay = scale.depth(x).delay(e);
            for factor in [1u128, 2, 3, 17, 1000, 1 << 20] {
                let price = critical_price(&Threshold {
                    e,
                    gap: delay * factor,
                    scale,
                    temperature_log2: m,
                    quality_level,
                    floor_ppm: 1,
                    bid_ppm: level_ppm(level),
                });
                let t = 1.0 / f64::from(1u32 << m);
                let expected = (f64::from(level) / 64.0).exp2() * (1.0 / factor as f64).powf(t);
                let error = (price as f64 - expected).abs();
                let bound = 1.5 + expected * (2f64.powi(33) / delay as f64 + t * 2f64.powi(-29) + 2f64.powi(-36));
                assert!(error <= bound, "m {m} e {e} factor {factor}: {price} {expected}");
            }
        }
    }

    // Goal: the price does not contain the winner's own bid.
    #[test]
    fn floor_and_bid_bound_the_price() {
        let mut threshold = Threshold {
            e: 1 << 57,
            gap: 1 << 92,
            scale: Scale::of_bucket(23),
            temperature_log2: 2,
            quality_level: QUALITY_OFFSET,
            floor_ppm: 2,
            bid_ppm: u64::MAX >> 2,
        };
        let price = critical_price(&threshold);
        threshold.bid_ppm = price;
        assert_eq!(critical_price(&threshold), price);
        threshold.floor_ppm = price;
        assert_eq!(critical_price(&threshold), price);
        threshold.e = 0;
        threshold.floor_ppm = 3;
        assert_eq!(critical_price(&threshold), 3);
        threshold.e = 1;
        threshold.gap = (1 << 126) - 1;
        assert_eq!(critical_price(&threshold), 3);
    }
}
