//! The grid of bids, qualities and scores: 64 levels an octave (steps of 1.09 %).
//!
//! Bids are rounded down to the grid, so that a rate is a table look-up, a change that stays
//! within a step costs nothing, and the price, which is at most the grid's bid, is at most the
//! bid. At the default temperature 1/4 the rates are then on a 2^(1/16) grid.

use crate::fixed::low64;

/// Levels in one octave of bid.
pub(crate) const LEVELS_PER_OCTAVE: u32 = 64;

/// ceil(2^(63 + i/64)), checked by exact integer arithmetic in `tests/market`.
pub(crate) static STEP: [u64; 64] = [
    0x8000_0000_0000_0000,
    0x8164_D1F3_BC03_0774,
    0x82CD_8698_AC2B_A1D8,
    0x843A_28C3_ACDE_4047,
    0x85AA_C367_CC48_7B15,
    0x871F_6196_9E8D_1011,
    0x8898_0E80_92DA_8528,
    0x8A14_D575_496E_FD9B,
    0x8B95_C1E3_EA8B_D6E7,
    0x8D1A_DF5B_7E5B_A9E6,
    0x8EA4_398B_45CD_53C1,
    0x9031_DC43_1466_B1DD,
    0x91C3_D373_AB11_C337,
    0x935A_2B2F_13E6_E92C,
    0x94F4_EFA8_FEF7_0962,
    0x9694_2D37_2018_5A01,
    0x9837_F051_8DB8_A970,
    0x99E0_4593_20B7_FA65,
    0x9B8D_39B9_D54E_5539,
    0x9D3E_D9A7_2CFF_B751,
    0x9EF5_3260_91A1_11AE,
    0xA0B0_510F_B971_4FC3,
    0xA270_4303_0C49_6819,
    0xA435_15AE_09E6_809F,
    0xA5FE_D6A9_B151_38EB,
    0xA7CD_93B4_E965_356A,
    0xA9A1_5AB4_EA7C_0EF9,
    0xAB7A_39B5_A93E_D338,
    0xAD58_3EEA_42A1_4AC7,
    0xAF3B_78AD_690A_4375,
    0xB123_F581_D2AC_2590,
    0xB311_C412_A911_248A,
    0xB504_F333_F9DE_6485,
    0xB6FD_91E3_28D1_7792,
    0xB8FB_AF47_62FB_9EEA,
    0xBAFF_5AB2_133E_45FC,
    0xBD08_A39F_580C_36BF,
    0xBF17_99B6_7A73_1083,
    0xC12C_4CCA_6670_9457,
    0xC346_CCDA_2497_6408,
    0xC567_2A11_5506_DADE,
    0xC78D_74C8_ABB9_B15D,
    0xC9B9_BD86_6E2F_27A3,
    0xCBEC_14FE_F272_7C5D,
    0xCE24_8C15_1F84_80E4,
    0xD063_33DA_EF2B_2595,
    0xD2A8_1D91_F12A_E45B,
    0xD4F3_5AAB_CFED_FA20,
    0xD744_FCCA_D69D_6AF5,
    0xD99D_15C2_78AF_D7B6,
    0xDBFB_B797_DAF2_3756,
    0xDE60_F482_5E0E_9124,
    0xE0CC_DEEC_2A94_E112,
    0xE33F_8972_BE8A_5A52,
    0xE5B9_06E7_7C83_48A9,
    0xE839_6A50_3C4B_DC69,
    0xEAC0_C6E7_DD24_392F,
    0xED4F_301E_D994_2B85,
    0xEFE4_B99B_DCDA_F5CC,
    0xF281_773C_59FF_B13A,
    0xF525_7D15_2486_CC2D,
    0xF7D0_DF73_0AD1_3BB9,
    0xFA83_B2DB_722A_033B,
    0xFD3E_0C0C_F486_C175,
];

/// For each of 128 equal parts of an octave: the level at its lower end, and where the next
/// level begins.
static GUESS: [(u16, u64); 128] = guesses();

const fn guesses() -> [(u16, u64); 128] {
    let mut table = [(0, u64::MAX); 128];
    let mut part = 0;
    let mut level = 0u16;
    while part < 128 {
        let low = (1u64 << 63) | ((part as u64) << 56);
        while level < 63 && STEP[level as usize + 1] <= low {
            level += 1;
        }
        // The octave's last level ends at 2^64, which no mantissa of a clamped bid reaches.
        let next = if level < 63 { STEP[level as usize + 1] } else { u64::MAX };
        table[part] = (level, next);
        part += 1;
    }
    table
}

/// The level of a quality of one.
const LEVEL_OF_ONE: u16 = 1275;

/// Added to quality levels, so that they and scores are not negative.
pub(crate) const QUALITY_OFFSET: u16 = 192;

/// The largest j with 2^(j/64) <= ppm, exactly; ppm >= 1 (0 is taken as 1), ppm <= 2^62.
#[inline]
pub(crate) fn level_floor(ppm: u64) -> u16 {
    debug_assert!(ppm <= 1 << 62, "bids are clamped before they are levelled");
    let zeros = (ppm | 1).leading_zeros();
    let mantissa = (ppm | u64::from(ppm == 0)) << (zeros & 63);
    let (guess, next) = GUESS[((mantissa >> 56) & 127) as usize];
    // A part spans less than one level, so the guess is at most one low.
    let bump = u16::from(mantissa >= next);
    let octave = low16(63u32.wrapping_sub(zeros).wrapping_mul(LEVELS_PER_OCTAVE));
    octave.wrapping_add(guess).wrapping_add(bump)
}

/// The bid of a level: ceil(2^(level/64)) ppm, which is at most every bid of the level.
#[inline]
pub(crate) fn level_ppm(level: u16) -> u64 {
    let octave = u32::from(level) / LEVELS_PER_OCTAVE;
    debug_assert!(octave <= 62, "levels stop at 2^62");
    let shift = 63u32.wrapping_sub(octave) & 63;
    let step = STEP[usize::from(level) % 64];
    // Not `div_ceil` of the sum, which would overflow: step > 0, so this is the ceiling.
    (step.wrapping_sub(1) >> shift).wrapping_add(1)
}

/// The level of a quality, offset by [`QUALITY_OFFSET`]; error below one step, exact at powers
/// of two. The caller has checked the range.
#[inline]
pub(crate) fn quality_level(quality_ppm: u64) -> u16 {
    level_floor(quality_ppm) + QUALITY_OFFSET - LEVEL_OF_ONE
}

#[inline(always)]
fn low16(value: u32) -> u16 {
    (value & 0xFFFF) as u16
}

/// The eligibility floor f = max(reserve, rho / quality), rounded up, ppm.
#[inline]
pub(crate) fn floor_ppm(reserve_ppm: u64, rho_ppm: u64, quality_ppm: u64) -> u64 {
    if rho_ppm == 0 {
        return reserve_ppm;
    }
    let share = (u128::from(rho_ppm) * 1_000_000).div_ceil(u128::from(quality_ppm));
    reserve_ppm.max(low64(share))
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: level_floor inverts level_ppm, exactly at and one below every grid value.
    #[test]
    fn levels_are_exact() {
        for level in 500..=62 * 64u16 {
            let ppm = level_ppm(level);
            assert_eq!(level_floor(ppm), level);
            assert_eq!(level_floor(ppm - 1), level - 1);
            let real = (f64::from(level) / 64.0).exp2();
            assert!((ppm as f64 - real).abs() <= 1.0 + real * 1e-15);
        }
    }

    // Goal: small bids, where neighbouring levels share an integer, are still lawful.
    #[test]
    fn small_bids_round_down() {
        for ppm in 1..2_000u64 {
            let level = level_floor(ppm);
            assert!(level_ppm(level) <= ppm);
            assert!((f64::from(level) / 64.0).exp2() <= ppm as f64 + 1e-9);
            assert!((f64::from(level + 1) / 64.0).exp2() > ppm as f64 - 1e-9);
        }
        assert_eq!(level_floor(0), 0);
    }

    // Goal: quality levels are exact at powers of two and monotone.
    #[test]
    fn quality_levels() {
        assert_eq!(level_floor(1_000_000), LEVEL_OF_ONE);
        assert_eq!(quality_level(1_000_000), QUALITY_OFFSET);
        assert_eq!(quality_level(8_000_000), 2 * QUALITY_OFFSET);
        assert_eq!(quality_level(125_000), 0);
        assert_eq!(quality_level(2_000_000), QUALITY_OFFSET + 64);
        let mut last = 0;
        for quality in (125_000..=8_000_000).step_by(997) {
            assert!(quality_level(quality) >= last);
            last = quality_level(quality);
        }
    }

    // Goal: the floor is the larger of reserve and rho / q, rounded against the bidder.
    #[test]
    fn floors() {
        assert_eq!(floor_ppm(5, 0, 1_000_000), 5);
        assert_eq!(floor_ppm(5, 7, 1_000_000), 7);
        assert_eq!(floor_ppm(5, 7, 2_000_000), 5);
        assert_eq!(floor_ppm(1, 7, 2_000_000), 4);
        assert_eq!(floor_ppm(1, 1 << 54, 125_000), 1 << 57);
    }
}
