//! Goldilocks: integers modulo p = 2^64 − 2^32 + 1, always held in canonical form (below p).
//!
//! 64 bits, so that an int8 or int16 accumulator times a 32-bit multiplier stays below p and
//! requantisation needs no limbs. All arithmetic is written with wrapping operations because release
//! builds keep overflow checks on.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "field arithmetic splits and joins words on purpose; every cast is of a bounded value"
)]

use std::iter::Sum;
use std::ops::{Add, AddAssign, Mul, MulAssign, Neg, Sub, SubAssign};

/// The modulus p.
pub const MODULUS: u64 = 0xffff_ffff_0000_0001;
/// 2^64 mod p.
const EPSILON: u64 = 0xffff_ffff;
/// log2 of the largest power-of-two order of a root of unity.
pub const TWO_ADICITY: u32 = 32;
/// A generator of the multiplicative group (and so not a square: X² − 7 is irreducible).
const GENERATOR: F = F(7);

/// An element of the field; the inner number is below [`MODULUS`].
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Hash)]
#[repr(transparent)]
pub struct F(u64);

impl F {
    /// 0.
    pub const ZERO: Self = Self(0);
    /// 1.
    pub const ONE: Self = Self(1);

    /// The element of a canonical number; `None` at or above the modulus.
    #[must_use]
    pub const fn from_canonical(value: u64) -> Option<Self> {
        if value < MODULUS { Some(Self(value)) } else { None }
    }

    /// The element of a word that [`crate::lanes`] made, which is canonical.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "part of a vectorised loop")]
    pub(crate) fn of_lane(value: u64) -> Self {
        debug_assert!(value < MODULUS, "BUG: a lane is not canonical");
        Self(value)
    }

    /// The residue of an unsigned number.
    #[must_use]
    pub const fn from_u64(value: u64) -> Self {
        Self(if value >= MODULUS { value - MODULUS } else { value })
    }

    /// The residue of a signed number.
    #[must_use]
    #[inline]
    pub const fn from_i64(value: i64) -> Self {
        // A negative number −a, 1 ≤ a ≤ 2^63 < p, is p − a.
        if value < 0 { Self(MODULUS - value.unsigned_abs()) } else { Self(value as u64) }
    }

    /// The residue of a 128-bit number.
    #[must_use]
    #[inline]
    pub const fn from_u128(value: u128) -> Self {
        reduce(value)
    }

    /// The canonical number.
    #[must_use]
    #[inline]
    pub const fn to_u64(self) -> u64 {
        self.0
    }

    /// `self^exponent` by squaring; constant in the exponent's length only.
    #[must_use]
    pub fn pow(self, mut exponent: u64) -> Self {
        let (mut base, mut result) = (self, Self::ONE);
        while exponent > 0 {
            if exponent & 1 == 1 {
                result *= base;
            }
            base *= base;
            exponent >>= 1;
        }
        result
    }

    /// The multiplicative inverse (Fermat); `None` of 0.
    #[must_use]
    pub fn inverse(self) -> Option<Self> {
        if self == Self::ZERO { None } else { Some(self.pow(MODULUS - 2)) }
    }

    /// A primitive root of unity of order `2^log_order`, `log_order` at most [`TWO_ADICITY`].
    #[must_use]
    pub fn root_of_unity(log_order: u32) -> Self {
        assert!(log_order <= TWO_ADICITY, "BUG: no root of unity of order 2^{log_order}");
        GENERATOR.pow((MODULUS - 1) >> log_order)
    }
}

/// The residue of a 128-bit number: 2^64 ≡ 2^32 − 1 and 2^96 ≡ −1 (mod p).
#[inline]
const fn reduce(value: u128) -> F {
    let (low, high) = (value as u64, (value >> 64) as u64);
    let (high_high, high_low) = (high >> 32, high & EPSILON);
    let (mut sum, borrow) = low.overflowing_sub(high_high);
    if borrow {
        sum = sum.wrapping_sub(EPSILON);
    }
    let (sum, carry) = sum.overflowing_add(high_low.wrapping_mul(EPSILON));
    // After a carry the wrapped sum is below 2^64 − 2^32, so adding ε cannot carry again.
    let sum = sum.wrapping_add(if carry { EPSILON } else { 0 });
    F(if sum >= MODULUS { sum.wrapping_sub(MODULUS) } else { sum })
}

impl Add for F {
    type Output = Self;
    #[inline]
    fn add(self, other: Self) -> Self {
        let (sum, carry) = self.0.overflowing_add(other.0);
        let (less, borrow) = sum.overflowing_sub(MODULUS);
        Self(if carry || !borrow { less } else { sum })
    }
}

impl Sub for F {
    type Output = Self;
    #[inline]
    fn sub(self, other: Self) -> Self {
        let (difference, borrow) = self.0.overflowing_sub(other.0);
        Self(difference.wrapping_sub(if borrow { EPSILON } else { 0 }))
    }
}

impl Mul for F {
    type Output = Self;
    #[inline]
    fn mul(self, other: Self) -> Self {
        reduce((self.0 as u128).wrapping_mul(other.0 as u128))
    }
}

impl Neg for F {
    type Output = Self;
    #[inline]
    fn neg(self) -> Self {
        Self::ZERO - self
    }
}

impl AddAssign for F {
    #[inline]
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl SubAssign for F {
    #[inline]
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl MulAssign for F {
    #[inline]
    fn mul_assign(&mut self, other: Self) {
        *self = *self * other;
    }
}

impl Sum for F {
    fn sum<I: Iterator<Item = Self>>(items: I) -> Self {
        items.fold(Self::ZERO, Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const P: u128 = MODULUS as u128;

    /// Numbers near the places where reductions go wrong, and any number.
    fn element() -> impl Strategy<Value = F> {
        prop_oneof![
            Just(0),
            Just(1),
            Just(EPSILON),
            Just(EPSILON + 1),
            Just(MODULUS - 1),
            Just(MODULUS - EPSILON),
            any::<u64>()
        ]
        .prop_map(F::from_u64)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        /// Differential: against 128-bit remainders.
        #[test]
        fn agrees_with_remainders(a in element(), b in element(), wide in any::<u128>()) {
            let (x, y) = (u128::from(a.to_u64()), u128::from(b.to_u64()));
            prop_assert_eq!(u128::from((a + b).to_u64()), (x + y) % P);
            prop_assert_eq!(u128::from((a - b).to_u64()), (x + P - y) % P);
            prop_assert_eq!(u128::from((a * b).to_u64()), (x * y) % P);
            prop_assert_eq!(u128::from(F::from_u128(wide).to_u64()), wide % P);
            if let Some(inverse) = a.inverse() {
                prop_assert_eq!(a * inverse, F::ONE);
            }
        }

        #[test]
        fn signed_numbers_embed(a in any::<i64>(), b in any::<i64>()) {
            let oracle = |v: i128| v.rem_euclid(i128::from(MODULUS)) as u64;
            prop_assert_eq!(F::from_i64(a).to_u64(), oracle(i128::from(a)));
            let sum = i128::from(a) + i128::from(b);
            prop_assert_eq!((F::from_i64(a) + F::from_i64(b)).to_u64(), oracle(sum));
        }
    }

    #[test]
    fn roots_have_their_order() {
        for log_order in [0, 1, 5, 32] {
            let root = F::root_of_unity(log_order);
            assert_eq!(root.pow(1 << log_order), F::ONE);
            assert!(log_order == 0 || root.pow(1 << (log_order - 1)) == -F::ONE);
        }
        assert_eq!(F::from_canonical(MODULUS), None);
    }
}
