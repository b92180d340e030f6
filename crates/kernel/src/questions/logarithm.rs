//! Logarithms to base two of 32-bit integers, in fixed point and without tables or floats.

/// Fraction bits of a logarithm: the unit of all information is 2^-32 bit.
pub const FRACTION_BITS: u32 = 32;

/// log2 of `number` (at least 1; 0 counts as 1) in units of 2^-32 bit, rounded down.
///
/// One fraction bit for each squaring of the mantissa (the classical digit-by-digit method). A
/// mantissa has 63 fraction bits and each squaring drops less than 2^-62 of it, so that the error
/// before the last rounding is below 1.5 · Σ 2^-62 · 2^-i < 2^-61: the result is never above the
/// logarithm and less than 2^-32 + 2^-61 below it. Powers of two are exact. About 60 ns.
#[must_use]
pub fn log2_q32(number: u32) -> u64 {
    let number = number.max(1);
    let exponent = number.ilog2();
    let mut mantissa = u64::from(number) << (63 - exponent);
    let mut fraction = 0;
    for _ in 0..FRACTION_BITS {
        let square = (u128::from(mantissa) * u128::from(mantissa)) >> 63;
        let digit = square >> 64;
        mantissa = low(square >> digit);
        fraction = fraction << 1 | low(digit);
    }
    u64::from(exponent) << FRACTION_BITS | fraction
}

#[allow(clippy::cast_possible_truncation)]
fn low(wide: u128) -> u64 {
    wide as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn powers_of_two_are_exact() {
        for exponent in 0u32..32 {
            assert_eq!(log2_q32(1 << exponent), u64::from(exponent) << 32);
        }
        assert_eq!(log2_q32(0), 0);
    }

    /// log2(3), log2(10) and log2(2^32 − 1) to 2^-32, from tables of many digits.
    #[test]
    fn known_values() {
        // 1.58496250072115618145…, 3.32192809488736234787…
        assert_eq!(log2_q32(3), 6_807_362_105);
        assert_eq!(log2_q32(10), 14_267_572_527);
        assert_eq!(log2_q32(u32::MAX), (32 << 32) - 2);
    }

    proptest! {
        /// Goal: the error stays within its bound. Method: the platform's log2, itself good to
        /// 2^-47 here; the tests in Python compare with exact integers of arbitrary size.
        #[test]
        fn near_the_platforms(number in 1u32..) {
            #[allow(clippy::cast_precision_loss)]
            let ours = log2_q32(number) as f64 / 4_294_967_296.0;
            let error = f64::from(number).log2() - ours;
            prop_assert!((-1e-13..2.4e-10).contains(&error), "{} {}", number, error);
        }

        #[test]
        fn never_falls(number in 1u32..u32::MAX) {
            prop_assert!(log2_q32(number) <= log2_q32(number + 1));
        }
    }
}
