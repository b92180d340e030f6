//! The quadratic extension E = F\[X\]/(X² − 7): |E| ≈ 2^128. Every challenge lives here.

use std::iter::Sum;
use std::ops::{Add, AddAssign, Mul, MulAssign, Neg, Sub, SubAssign};

use crate::field::{F, MODULUS};

/// X² = 7, a non-square of F.
const NON_RESIDUE: F = F::from_u64(7);

/// `self.0 + self.1·X`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Hash)]
pub struct E(pub F, pub F);

impl E {
    /// 0.
    pub const ZERO: Self = Self(F::ZERO, F::ZERO);
    /// 1.
    pub const ONE: Self = Self(F::ONE, F::ZERO);
    /// √7.
    pub const X: Self = Self(F::ZERO, F::ONE);

    /// The element of a signed integer.
    #[must_use]
    pub const fn from_i64(value: i64) -> Self {
        Self(F::from_i64(value), F::ZERO)
    }

    /// The product with an element of the base field.
    #[must_use]
    #[inline]
    pub fn scale(self, factor: F) -> Self {
        Self(self.0 * factor, self.1 * factor)
    }

    /// The multiplicative inverse by the norm, `(a − bX)/(a² − 7b²)`; `None` of 0.
    #[must_use]
    pub fn inverse(self) -> Option<Self> {
        let norm = self.0 * self.0 - NON_RESIDUE * self.1 * self.1;
        norm.inverse().map(|inverse| Self(self.0 * inverse, -self.1 * inverse))
    }

    /// `self^exponent`.
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

    /// `1, self, self², …`: `count` of them.
    #[must_use]
    pub fn powers(self, count: usize) -> Vec<Self> {
        std::iter::successors(Some(Self::ONE), |last| Some(*last * self)).take(count).collect()
    }

    /// 16 bytes: both coordinates, little-endian.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.0.to_u64().to_le_bytes());
        bytes[8..].copy_from_slice(&self.1.to_u64().to_le_bytes());
        bytes
    }

    /// The element of 16 bytes; `None` unless both coordinates are canonical, so that no element has two
    /// encodings.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Option<Self> {
        let number = u128::from_le_bytes(bytes);
        #[allow(clippy::cast_possible_truncation, reason = "the two halves of a 128-bit number")]
        let (low, high) = (number as u64, (number >> 64) as u64);
        (low < MODULUS && high < MODULUS).then(|| Self(F::from_u64(low), F::from_u64(high)))
    }
}

/// The inverses of all elements with one inversion (Montgomery's trick); `None` when one is 0.
#[must_use]
pub fn inverses(elements: &[E]) -> Option<Vec<E>> {
    let mut products = Vec::with_capacity(elements.len());
    let mut product = E::ONE;
    for element in elements {
        products.push(product);
        product *= *element;
    }
    let mut inverse = product.inverse()?;
    let mut result = vec![E::ZERO; elements.len()];
    for (index, element) in elements.iter().enumerate().rev() {
        result[index] = inverse * products[index];
        inverse *= *element;
    }
    Some(result)
}

impl From<F> for E {
    fn from(value: F) -> Self {
        Self(value, F::ZERO)
    }
}

impl Add for E {
    type Output = Self;
    #[inline]
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0, self.1 + other.1)
    }
}

impl Sub for E {
    type Output = Self;
    #[inline]
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0, self.1 - other.1)
    }
}

impl Mul for E {
    type Output = Self;
    #[inline]
    fn mul(self, other: Self) -> Self {
        let (low, high) = (self.0 * other.0, self.1 * other.1);
        let cross = (self.0 + self.1) * (other.0 + other.1);
        Self(low + NON_RESIDUE * high, cross - low - high)
    }
}

impl Neg for E {
    type Output = Self;
    #[inline]
    fn neg(self) -> Self {
        Self(-self.0, -self.1)
    }
}

impl AddAssign for E {
    #[inline]
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl SubAssign for E {
    #[inline]
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl MulAssign for E {
    #[inline]
    fn mul_assign(&mut self, other: Self) {
        *self = *self * other;
    }
}

impl Sum for E {
    fn sum<I: Iterator<Item = Self>>(items: I) -> Self {
        items.fold(Self::ZERO, Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn element() -> impl Strategy<Value = E> {
        (any::<u64>(), any::<u64>()).prop_map(|(a, b)| E(F::from_u64(a), F::from_u64(b)))
    }

    proptest! {
        /// Differential: schoolbook multiplication with 128-bit remainders.
        #[test]
        fn multiplies_like_polynomials(a in element(), b in element()) {
            let p = u128::from(MODULUS);
            let of = |x: F, y: F| u128::from(x.to_u64()) * u128::from(y.to_u64()) % p;
            let product = a * b;
            prop_assert_eq!(u128::from(product.0.to_u64()), (of(a.0, b.0) + 7 * of(a.1, b.1)) % p);
            prop_assert_eq!(u128::from(product.1.to_u64()), (of(a.0, b.1) + of(a.1, b.0)) % p);
            prop_assert_eq!((a - b) + b, a);
            prop_assert_eq!(E::from_bytes(a.to_bytes()), Some(a));
        }

        #[test]
        fn inverts(elements in proptest::collection::vec(element(), 1..20)) {
            if let Some(all) = inverses(&elements) {
                for (element, inverse) in elements.iter().zip(all) {
                    prop_assert_eq!(*element * inverse, E::ONE);
                    prop_assert_eq!(element.inverse(), Some(inverse));
                }
            }
        }
    }

    #[test]
    fn seven_is_not_a_square_and_bytes_are_canonical() {
        assert_eq!(NON_RESIDUE.pow((MODULUS - 1) / 2), -F::ONE);
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&MODULUS.to_le_bytes());
        assert_eq!(E::from_bytes(bytes), None);
        assert_eq!(E::ZERO.inverse(), None);
    }
}
