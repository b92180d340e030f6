//! F\[X\]/(X² − 7): |E| ≈ 2^128.

use std::iter::Sum;
use std::ops::{Add, AddAssign, Mul, MulAssign, Neg, Sub, SubAssign};

use super::{Extension, follow};
use crate::field::F;
use crate::lanes::{self, Words};

/// X² = 7, a non-square of F.
const NON_RESIDUE: F = F::from_u64(7);

/// `self.0 + self.1·X`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Hash)]
pub struct Quadratic(pub F, pub F);

impl Extension for Quadratic {
    const DEGREE: usize = 2;
    const ZERO: Self = Self(F::ZERO, F::ZERO);
    const ONE: Self = Self(F::ONE, F::ZERO);
    const X: Self = Self(F::ZERO, F::ONE);

    type Each<T: Copy> = [T; 2];

    #[inline(always)]
    fn each<T: Copy>(mut of: impl FnMut(usize) -> T) -> [T; 2] {
        [of(0), of(1)]
    }

    #[inline(always)]
    fn from_coordinates([low, high]: [F; 2]) -> Self {
        Self(low, high)
    }

    #[inline(always)]
    fn coordinates(self) -> [F; 2] {
        [self.0, self.1]
    }

    /// By the norm, `(a − bX)/(a² − 7b²)`.
    fn inverse(self) -> Option<Self> {
        let norm = self.0 * self.0 - NON_RESIDUE * self.1 * self.1;
        norm.inverse().map(|inverse| Self(self.0 * inverse, -self.1 * inverse))
    }

    #[inline(always)]
    fn multiply_words([a, b]: &[Words; 2], [c, d]: &[Words; 2]) -> [Words; 2] {
        let low = lanes::multiply_words(*a, *c);
        let high = lanes::multiply_words(*b, *d);
        let sums = lanes::multiply_words(lanes::add_words(*a, *b), lanes::add_words(*c, *d));
        let seven = lanes::multiply_words(high, [7; lanes::WIDTH]);
        let cross = lanes::subtract_words(lanes::subtract_words(sums, low), high);
        [lanes::add_words(low, seven), cross]
    }
}

impl From<F> for Quadratic {
    #[inline]
    fn from(value: F) -> Self {
        Self(value, F::ZERO)
    }
}

impl Add for Quadratic {
    type Output = Self;
    #[inline]
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0, self.1 + other.1)
    }
}

impl Sub for Quadratic {
    type Output = Self;
    #[inline]
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0, self.1 - other.1)
    }
}

impl Mul for Quadratic {
    type Output = Self;
    #[inline]
    fn mul(self, other: Self) -> Self {
        let (low, high) = (self.0 * other.0, self.1 * other.1);
        let cross = (self.0 + self.1) * (other.0 + other.1);
        Self(low + NON_RESIDUE * high, cross - low - high)
    }
}

impl Neg for Quadratic {
    type Output = Self;
    #[inline]
    fn neg(self) -> Self {
        Self(-self.0, -self.1)
    }
}

follow!(Quadratic);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::MODULUS;

    #[test]
    fn seven_is_not_a_square() {
        assert_eq!(NON_RESIDUE.pow((MODULUS - 1) / 2), -F::ONE);
    }
}
