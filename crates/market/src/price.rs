//! The critical price: the least bid with which the winner would still have won.
//!
//! By the design's formula, `b_w R^T` with `R = (key_w - V) / (k - V)`: the winner's key and the
//! first key that it had to beat, from the virtual time `V` at which the decision began. Since
//! `key_w - V` is the winner's residual over `(b_w q)^(1/T)`, its bid cancels: a winner cannot
//! move its own price.

use crate::fixed::{low64, mul_high, root};
use crate::grid::{LEVELS_PER_OCTAVE, STEP};
use crate::scale::POWER;

/// What a price depends on.
pub(crate) struct Threshold {
    /// From the start of the decision to the winner's key, a distance between nodes.
    pub(crate) won: u128,
    /// From the start of the decision to the first losing key.
    pub(crate) lost: u128,
    /// T = 2^-m.
    pub(crate) temperature_log2: u32,
    /// The level of the winner's bid.
    pub(crate) level: u16,
}

/// The critical price, ppm, before it is clamped to floor and bid. Relative error below
/// 2^-30 T + 2^-36, plus T times a sub-tick in `won`; rounded down to whole ppm.
#[inline(always)]
pub(crate) fn critical_price(threshold: &Threshold) -> u64 {
    let Threshold { won, lost, temperature_log2, level } = *threshold;
    debug_assert!(won <= lost, "the first key wins");
    if won == 0 {
        // A spent clock wins at any bid; equal keys are decided by id, not by bid.
        return 0;
    }
    let (won, won_zeros) = normalised(won);
    let (lost, lost_zeros) = normalised(lost);
    // R = quotient 2^(lost_zeros - won_zeros - 32), the quotient in (2^31, 2^33), by a divisor
    // of 32 bits: error 2^-30.
    let quotient = won / (lost >> 32).max(1);
    // R = mantissa 2^-octaves, the mantissa in [1, 2).
    let carry = quotient >> 32;
    let octaves = u64::from(won_zeros.wrapping_sub(lost_zeros)).wrapping_add(1).wrapping_sub(carry);
    // Octaves over 2^m are whole levels, so only the mantissa needs a root.
    let shift = 6u32.wrapping_sub(temperature_log2) & 63;
    let level = i64::from(level).wrapping_sub((octaves << shift).cast_signed());
    price_of(level, root(quotient << (32u64.wrapping_sub(carry) & 63), temperature_log2))
}

/// The critical price against a losing bidder whose key is beyond the horizon, from residuals:
/// `(s_l / q_w) (e_w / e_l)^T`, with `s_l` the loser's score. The same price in other words.
pub(crate) fn critical_price_of_residuals(residuals: &Residuals) -> u64 {
    let Residuals { won, lost, temperature_log2, level } = *residuals;
    if won == 0 {
        return 0;
    }
    // won / lost = quotient 2^-32 2^(lifts), the quotient in (2^31, 2^33).
    let (won_lift, lost_lift) = (won.leading_zeros(), lost.max(1).leading_zeros());
    let divisor = ((lost.max(1) << (lost_lift & 63)) >> 32).max(1);
    let quotient = (won << (won_lift & 63)) / divisor;
    let carry = quotient >> 32;
    let octaves = i64::from(lost_lift) - i64::from(won_lift) + carry.cast_signed() - 1;
    let shift = 6u32.wrapping_sub(temperature_log2) & 63;
    let level = i64::from(level).wrapping_add(octaves << shift);
    let mantissa = root(quotient << (32u64.wrapping_sub(carry) & 63), temperature_log2);
    if level >= 62 * i64::from(LEVELS_PER_OCTAVE) {
        return u64::MAX;
    }
    price_of(level, mantissa)
}

/// What a price against a far loser depends on.
pub(crate) struct Residuals {
    /// The winner's residual when the decision began.
    pub(crate) won: u64,
    /// The first loser's residual.
    pub(crate) lost: u64,
    /// T = 2^-m.
    pub(crate) temperature_log2: u32,
    /// The level of the loser's score over the winner's quality.
    pub(crate) level: i32,
}

/// The 64 bits from the top set bit of a distance, and how many bits are clear above them.
#[inline(always)]
fn normalised(distance: u128) -> (u64, u32) {
    let (high, low) = (low64(distance >> 64), low64(distance));
    if high == 0 {
        let zeros = low.leading_zeros();
        return (low << (zeros & 63), zeros.wrapping_add(64));
    }
    let zeros = high.leading_zeros();
    // A shift of two words, as a product.
    ((high << (zeros & 63)) | mul_high(low, POWER[(zeros & 63) as usize]), zeros)
}

/// floor(2^(level / 64) * mantissa), with the mantissa in [1, 2) as Q62.
#[inline(always)]
fn price_of(level: i64, mantissa: u64) -> u64 {
    // Below -2 octaves nothing is left of a mantissa below 4.
    if level < -2 * i64::from(LEVELS_PER_OCTAVE) {
        return 0;
    }
    // STEP is Q63 and at least one: the product is Q61, in [1, 4).
    let product = mul_high(STEP[(level.cast_unsigned() & 63) as usize], mantissa);
    product >> (61i64.wrapping_sub(level >> 6) & 63)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::{QUALITY_OFFSET, level_floor, level_ppm};
    use crate::scale::Scale;
    use std::vec::Vec;

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
        let rate = Scale::of_bucket(crate::scale::bucket(x)).depth(x);
        for e in [1u64 << 35, 1 << 50, 1 << 57, 1 << 61] {
            let won = rate.shallow_delay(e);
            for factor in [1u128, 2, 3, 17, 1000, 1 << 20] {
                let lost = won * factor;
                let price = price(won, lost, m, level);
                let t = 1.0 / f64::from(1u32 << m);
                let expected = (f64::from(level) / 64.0).exp2() * (1.0 / factor as f64).powf(t);
                let error = (price as f64 - expected).abs();
                let bound = 1.5 + expected * (t * 2f64.powi(-29) + 2f64.powi(-36));
                assert!(error <= bound, "m {m} e {e} factor {factor}: {price} {expected}");
            }
        }
    }

    fn price(won: u128, lost: u128, temperature_log2: u32, level: u16) -> u64 {
        critical_price(&Threshold { won, lost, temperature_log2, level })
    }

    // Goal: the winner's bid cancels, and the form with residuals gives the same price. Method:
    // one residual and one losing clock, many bids.
    #[test]
    fn the_own_bid_cancels() {
        for m in 0..=4u32 {
            let scale = Scale::of_bucket(crate::scale::bucket(2_192 << m));
            let (e, lost) = (1u64 << 52, 1u64 << 53);
            let lost_level = 1_850u16;
            let gap = scale.depth(u32::from(lost_level + 192) << m).delay(lost).unwrap();
            let prices: Vec<u64> = (1_500..2_000u16)
                .map(|level| (level, scale.depth(u32::from(level + 192) << m).delay(e)))
                .filter(|(_, won)| won.is_some_and(|won| won <= gap))
                .map(|(level, won)| price(won.unwrap(), gap, m, level))
                .collect();
            let (low, high) = (prices.iter().min().unwrap(), prices.iter().max().unwrap());
            assert!(prices.len() > 10 && high - low <= 1, "{m}: {low} {high}");
            let level = i32::from(lost_level);
            let same = critical_price_of_residuals(&Residuals {
                won: e,
                lost,
                temperature_log2: m,
                level,
            });
            assert!(same.abs_diff(*low) <= 1, "{m}: {same} {low}");
        }
    }

    // Goal: the ends: spent clocks, equal keys, the longest gap.
    #[test]
    fn ends() {
        assert_eq!(price(0, 1 << 90, 2, 1500), 0);
        assert_eq!(price(0, 0, 2, 1500), 0);
        assert_eq!(price(1, (1 << 126) - 1, 2, 1500), 0);
        let bid = level_ppm(1500);
        assert!(bid - price(1 << 90, 1 << 90, 2, 1500) <= 1);
        assert!(bid - price(12_345, 12_345, 2, 1500) <= 1);
        assert_eq!(price(1 << 80, 1 << 80, 2, 0), 1);
        let residuals = |won, lost, level| {
            critical_price_of_residuals(&Residuals { won, lost, temperature_log2: 0, level })
        };
        assert_eq!(residuals(0, 5, 1000), 0);
        assert_eq!(residuals(1, crate::RESIDUAL_MAX, 1000), 0);
        assert_eq!(residuals(crate::RESIDUAL_MAX, 1, 3000), u64::MAX);
        assert_eq!(residuals(5, 5, 640), 1 << 10);
        assert_eq!(residuals(5, 0, 640), 5 << 10);
    }
}
