//! The critical price: the least bid with which the winner would still have won.
//!
//! By the design's formula, `b_w R^T` with `R = (key_w - V) / (k - V)`: the winner's key and the
//! first key that it had to beat, from the virtual time `V` at which the decision began. Since
//! `key_w - V` is the winner's residual over `(b_w q)^(1/T)`, its bid cancels: a winner cannot
//! move its own price.

use crate::fixed::{low64, mul_high, root};
use crate::grid::{LEVELS_PER_OCTAVE, STEP};
use crate::scale::{Depth, POWER};

/// What a price depends on.
pub(crate) struct Threshold {
    /// From the start of the decision to the winner's key, a distance between nodes.
    pub(crate) won: u128,
    /// From the start of the decision to the first losing key.
    pub(crate) lost: u128,
    /// The winner's rate.
    pub(crate) rate: Depth,
    /// T = 2^-m.
    pub(crate) temperature_log2: u32,
    /// The level of the winner's bid.
    pub(crate) level: u16,
}

/// The critical price, ppm, before it is clamped to floor and bid. Relative error below
/// 2^-30 T + 2^-36, plus T times a sub-tick in `won`; rounded down to whole ppm.
#[inline(always)]
pub(crate) fn critical_price(threshold: &Threshold) -> u64 {
    let Threshold { won, lost, rate, temperature_log2, level } = *threshold;
    debug_assert!(won <= lost, "the first key wins");
    // Shift both so that the top bit of `lost` is set, and keep 64 bits.
    let (lost_high, lost_low) = (low64(lost >> 64), low64(lost));
    let (won_high, won_low) = (low64(won >> 64), low64(won));
    let near = lost_high == 0;
    let (lost_high, lost_low) = if near { (lost_low, 0) } else { (lost_high, lost_low) };
    let (won_high, won_low) = if near { (won_low, 0) } else { (won_high, won_low) };
    let zeros = (lost_high.leading_zeros() & 63) as usize;
    let lost = (lost_high << zeros) | mul_high(lost_low, POWER[zeros]);
    let won = (won_high << zeros) | mul_high(won_low, POWER[zeros]);
    if won == 0 {
        // A spent clock wins at any bid; equal keys are decided by id, not by bid.
        return 0;
    }
    // R = quotient 2^-(32 + spare), the quotient in (2^31, 2^33], by a divisor of 32 bits:
    // error 2^-30.
    let spare = won.leading_zeros();
    let quotient = (won << (spare & 63)) / (lost >> 32).max(1);
    // R = mantissa 2^-octaves, the mantissa in [1, 2); or one, which rounding may exceed.
    let carry = (quotient >> 32).min(1);
    let octaves = u64::from(spare).wrapping_add(1).wrapping_sub(carry);
    if rate.is_floored_after(octaves) {
        // It would have won at the rate floor, which every eligible bid has.
        return 0;
    }
    // Octaves over 2^m are whole levels, so only the mantissa needs a root.
    let shift = 6u32.wrapping_sub(temperature_log2) & 63;
    let level = i64::from(level).wrapping_sub((octaves << shift).cast_signed());
    price_of(level, root(quotient << (32u64.wrapping_sub(carry) & 63), temperature_log2))
}

/// floor(2^(level / 64) * mantissa), with the mantissa in [1, 2) as Q62.
#[inline(always)]
fn price_of(level: i64, mantissa: u64) -> u64 {
    // Below -2 octaves nothing is left of a mantissa below 4.
    if level < -2 * i64::from(LEVELS_PER_OCTAVE) {
        return 0;
    }
    // STEP is Q63 and at least one: the product is Q61, in [1, 4).
    let product = mul_high(STEP[(level & 63).cast_unsigned() as usize], mantissa);
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
            let won = rate.delay(e);
            for factor in [1u128, 2, 3, 17, 1000, 1 << 20] {
                let lost = won * factor;
                let price = price(won, lost, rate, m, level);
                let t = 1.0 / f64::from(1u32 << m);
                let expected = (f64::from(level) / 64.0).exp2() * (1.0 / factor as f64).powf(t);
                let error = (price as f64 - expected).abs();
                let bound = 1.5 + expected * (t * 2f64.powi(-29) + 2f64.powi(-36));
                assert!(error <= bound, "m {m} e {e} factor {factor}: {price} {expected}");
            }
        }
    }

    fn price(won: u128, lost: u128, rate: Depth, temperature_log2: u32, level: u16) -> u64 {
        critical_price(&Threshold { won, lost, rate, temperature_log2, level })
    }

    // Goal: the winner's bid cancels. Method: one residual and one losing key, many bids.
    #[test]
    fn the_own_bid_cancels() {
        for m in 0..=4u32 {
            let scale = Scale::of_bucket(crate::scale::bucket(2_300 << m));
            let (e, lost) = (1u64 << 52, scale.depth(2_000 << m).delay(1 << 53));
            let prices: Vec<u64> = (1_500..2_000u16)
                .map(|level| (level, scale.depth(u32::from(level + 192) << m)))
                .filter(|(_, rate)| rate.delay(e) <= lost)
                .map(|(level, rate)| price(rate.delay(e), lost, rate, m, level))
                .collect();
            let (low, high) = (prices.iter().min(), prices.iter().max());
            assert!(prices.len() > 10 && high.unwrap() - low.unwrap() <= 1, "{m}: {low:?} {high:?}");
        }
    }

    // Goal: the ends: spent clocks, equal keys, the longest gap.
    #[test]
    fn ends() {
        let rate = Scale::of_bucket(23).depth(24 * 256 - 64);
        assert_eq!(price(0, 1 << 90, rate, 2, 1500), 0);
        assert_eq!(price(0, 0, rate, 2, 1500), 0);
        assert_eq!(price(1, (1 << 126) - 1, rate, 2, 1500), 0);
        let bid = level_ppm(1500);
        assert!(bid - price(1 << 90, 1 << 90, rate, 2, 1500) <= 1);
        assert!(bid - price(12_345, 12_345, rate, 2, 1500) <= 1);
        assert_eq!(price(1 << 80, 1 << 80, rate, 2, 0), 1);
    }
}
