//! Fixed-point logarithm and exponential: integers only, bit-identical on every machine.
//!
//! `neg_ln` splits off the leading zeros, looks up one of 256 segments, and sums a four-term
//! series of the rest. Every term is non-negative, so small results keep their relative
//! accuracy: they are the draws that win. Error bounds: `docs/decisions/0010`.

/// Fractional bits of residuals and natural logarithms.
pub(crate) const LN_BITS: u32 = 57;
/// ln 2 in Q64, rounded down.
const LN2_Q64: u64 = 0xB172_17F7_D1CF_79AB;
const THIRD_Q64: u64 = u64::MAX / 3;

const SEGMENTS: usize = 256;

/// One segment of the mantissa's range [1, 2).
#[derive(Clone, Copy)]
struct Segment {
    /// The inverse of the segment's upper end, Q64.
    inverse: u64,
    /// ln(2 / upper end), Q57.
    neg_ln: u64,
}

static SEGMENT: [Segment; SEGMENTS] = segments();

const fn segments() -> [Segment; SEGMENTS] {
    let mut table = [Segment { inverse: 0, neg_ln: 0 }; SEGMENTS];
    let mut i = 0;
    while i < SEGMENTS {
        // The upper end is (257 + i) / 256.
        let end = 257 + i as u128;
        table[i] = Segment {
            inverse: low64((256 << 64) / end),
            neg_ln: low64(ln_ratio_q64(512, end) >> (64 - LN_BITS)),
        };
        i += 1;
    }
    table
}

/// ln(a / b) in Q64 for b <= a <= 2 b, by 2 artanh((a - b) / (a + b)); error < 2^-58.
const fn ln_ratio_q64(a: u128, b: u128) -> u128 {
    let z = ((a - b) << 64) / (a + b);
    let z_squared = (z * z) >> 64;
    let mut term = z;
    let mut sum = 0;
    let mut k = 0;
    // z <= 1/3, so 24 terms leave less than 9^-24 < 2^-76.
    while k < 24 {
        sum += term / (2 * k + 1);
        term = (term * z_squared) >> 64;
        k += 1;
    }
    2 * sum
}

/// The low 64 bits.
#[expect(clippy::cast_possible_truncation, reason = "the truncation is the point")]
#[inline(always)]
pub(crate) const fn low64(value: u128) -> u64 {
    value as u64
}

/// The low 32 bits.
#[expect(clippy::cast_possible_truncation, reason = "the truncation is the point")]
#[inline(always)]
pub(crate) const fn low32(value: u128) -> u32 {
    value as u32
}

#[inline(always)]
pub(crate) const fn mul_high(a: u64, b: u64) -> u64 {
    low64((a as u128 * b as u128) >> 64)
}

/// The segment of a mantissa with its top bit set, and 1 - mantissa / (segment's upper end) in
/// Q64: in [0, 2^-8).
#[inline(always)]
fn split(mantissa: u64) -> (usize, u64) {
    debug_assert!(mantissa >> 63 == 1, "mantissas are normalised");
    let at = ((mantissa >> 55) & 255) as usize;
    // mantissa / end, in [1/2, 1) of 2^64 and then doubled: the lost bit is 2^-63.
    let half = mul_high(mantissa, SEGMENT[at].inverse);
    (at, 0u64.wrapping_sub(half.wrapping_mul(2)))
}

/// -ln(x / 2^64) in Q57 for x >= 1; at most 64 ln 2 < 44.4. Error below 2^-42 absolute; for
/// results below one, below 2^-34 relative plus 2^-56 absolute.
#[inline]
pub(crate) fn neg_ln(x: u64) -> u64 {
    debug_assert!(x > 0, "the logarithm of zero");
    let zeros = x.leading_zeros();
    let (at, r) = split(x << (zeros & 63));
    // -ln(1 - r) = r + r^2 (1/2 + r/3 + r^2/4), short of r^5/5 < 2^-42. No sum overflows:
    // r < 2^56, so r2 < 2^48, and the result is below 45 * 2^57. Hence the wrapping additions.
    let r2 = mul_high(r, r);
    let inner = (1u64 << 63).wrapping_add(mul_high(r, THIRD_Q64)).wrapping_add(r2 >> 2);
    let series = r.wrapping_add(mul_high(r2, inner));
    let octaves = u64::from(zeros).wrapping_mul(LN2_Q64 >> 6) >> 1;
    octaves.wrapping_add(SEGMENT[at].neg_ln).wrapping_add(series >> (64 - LN_BITS))
}

/// Upper ends of the segments to the power 2^-m, Q62, for m = 0 ..= 4.
static ROOT: [[u64; SEGMENTS]; 5] = roots();

const fn roots() -> [[u64; SEGMENTS]; 5] {
    let mut table = [[0; SEGMENTS]; 5];
    let mut i = 0;
    while i < SEGMENTS {
        // (257 + i) / 256 in Q124; each root halves the exponent, so it is scaled up again.
        let mut power = (257 + i as u128) << 116;
        let mut m = 0;
        while m < 5 {
            table[m][i] = low64(power >> 62);
            power = power.isqrt() << 62;
            m += 1;
        }
        i += 1;
    }
    table
}

/// Coefficients, Q64, of r^2 and r^3 in 1 - (1 - r)^T - T r for T = 2^-m, m = 0 ..= 4:
/// T (1 - T) / 2 and T (1 - T) (2 - T) / 6.
static SERIES: [(u64, u64); 5] = series();

const fn series() -> [(u64, u64); 5] {
    let mut table = [(0, 0); 5];
    let mut m = 0;
    while m < 5 {
        // With n = 2^m: (n - 1) / (2 n^2) and (n - 1) (2 n - 1) / (6 n^3).
        let n = 1u128 << m;
        let second = ((n - 1) << 64) / (2 * n * n);
        let third = (((n - 1) * (2 * n - 1)) << 64) / (6 * n * n * n);
        table[m] = (low64(second), low64(third));
        m += 1;
    }
    table
}

/// (mantissa / 2^63)^(2^-m) in Q62, for a mantissa with its top bit set: in [1, 2). Relative
/// error < 2^-36; exact up to 2^-60 for m = 0.
#[inline]
pub(crate) fn root(mantissa: u64, m: u32) -> u64 {
    let m = (m as usize).min(4);
    let (at, r) = split(mantissa);
    let (second, third) = SERIES[m];
    let r2 = mul_high(r, r);
    // (1 - r)^T; r < 2^-8, so the loss is below one.
    let inner = second.wrapping_add(mul_high(r, third));
    let loss = (r >> m).wrapping_add(mul_high(r2, inner));
    let end = ROOT[m][at];
    end.wrapping_sub(mul_high(end, loss))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn as_f64(q57: u64) -> f64 {
        q57 as f64 / (1u64 << LN_BITS) as f64
    }

    // Goal: the error bound of -ln. Method: against libm over all octaves and segment ends,
    // using ln_1p near one, where f64 itself would lose the answer.
    #[test]
    fn neg_ln_is_accurate() {
        let mut state = 0x9E37_79B9_7F4A_7C15u64;
        for round in 0..200_000u32 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let x = (state >> (round % 64)).max(1);
            let x = if round % 3 == 0 { u64::MAX - (x >> 1) } else { x };
            let gap = u64::MAX - x;
            let expected = if gap < 1 << 62 {
                -(-((gap as f64 + 1.0) / 2f64.powi(64))).ln_1p()
            } else {
                -(x as f64 / 2f64.powi(64)).ln()
            };
            let error = (as_f64(neg_ln(x)) - expected).abs();
            // libm's own rounding is 2^-53 of the result.
            let libm = expected * 2f64.powi(-52);
            assert!(error <= 2f64.powi(-42) + libm, "x = {x}: error {error:e}");
            if expected < 1.0 {
                let bound = 2f64.powi(-56) + expected * 2f64.powi(-34);
                assert!(error <= bound, "x = {x}: error {error:e} > {bound:e}");
            }
        }
    }

    // Goal: the ends of the domain.
    #[test]
    fn neg_ln_at_its_ends() {
        assert!((as_f64(neg_ln(1)) - 64.0 * core::f64::consts::LN_2).abs() < 2f64.powi(-42));
        assert_eq!(neg_ln(u64::MAX), 0);
        assert!(neg_ln(1) <= crate::RESIDUAL_MAX);
    }

    // Goal: monotone across every segment boundary: a larger uniform is a sooner key.
    #[test]
    fn neg_ln_is_monotone_at_boundaries() {
        for zeros in 0..56u32 {
            for i in 0..256u64 {
                let x = ((1u64 << 63) | (i << 55)) >> zeros;
                if x > 1 {
                    assert!(neg_ln(x - 1) >= neg_ln(x), "x = {x}");
                }
            }
        }
    }

    // Goal: the error bound of roots, at segment ends and between.
    #[test]
    fn roots_are_accurate() {
        for m in 0..=4u32 {
            let t = 1.0 / f64::from(1u32 << m);
            for i in 0..100_000u64 {
                let mantissa = (1u64 << 63) | (i * 92_233_720_368_547).min((1 << 63) - 1);
                for mantissa in [mantissa, mantissa | ((1 << 55) - 1)] {
                    let expected = (mantissa as f64 / 2f64.powi(63)).powf(t);
                    let got = root(mantissa, m) as f64 / 2f64.powi(62);
                    let error = (got / expected - 1.0).abs();
                    assert!(error <= 2f64.powi(-36), "m {m} x {mantissa}: {error:e}");
                }
            }
        }
    }
}
