//! F\[X\]/(X³ − 2): |E| ≈ 2^192.

use std::iter::Sum;
use std::ops::{Add, AddAssign, Mul, MulAssign, Neg, Sub, SubAssign};

use super::{Extension, follow};
use crate::field::F;
use crate::lanes::{self, Words};

/// `self.0 + self.1·X + self.2·X²`, X³ = 2. 2 is no cube of F (its order, 192, has all of the single factor 3 of
/// p − 1), so X³ − 2 has no root and, being of degree 3, is irreducible.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Hash)]
pub struct Cubic(pub F, pub F, pub F);

/// x·w + y·z of x·z and y·w, by (x + y)·(z + w).
#[inline(always)]
fn cross([x, y]: [&Words; 2], [z, w]: [&Words; 2], xz: Words, yw: Words) -> Words {
    let product = lanes::multiply_words(lanes::add_words(*x, *y), lanes::add_words(*z, *w));
    lanes::subtract_words(lanes::subtract_words(product, xz), yw)
}

#[inline]
fn double(value: F) -> F {
    value + value
}

impl Extension for Cubic {
    const DEGREE: usize = 3;
    const ZERO: Self = Self(F::ZERO, F::ZERO, F::ZERO);
    const ONE: Self = Self(F::ONE, F::ZERO, F::ZERO);
    const X: Self = Self(F::ZERO, F::ONE, F::ZERO);

    type Each<T: Copy> = [T; 3];

    #[inline(always)]
    fn each<T: Copy>(mut of: impl FnMut(usize) -> T) -> [T; 3] {
        [of(0), of(1), of(2)]
    }

    #[inline(always)]
    fn from_coordinates([a, b, c]: [F; 3]) -> Self {
        Self(a, b, c)
    }

    #[inline(always)]
    fn coordinates(self) -> [F; 3] {
        [self.0, self.1, self.2]
    }

    /// By the norm: the product of the two conjugates is in E, and its product with the element is in F.
    fn inverse(self) -> Option<Self> {
        let Self(a, b, c) = self;
        let conjugates = Self(a * a - double(b * c), double(c * c) - a * b, b * b - a * c);
        let norm = a * conjugates.0 + double(b * conjugates.2 + c * conjugates.1);
        norm.inverse().map(|inverse| conjugates.scale(inverse))
    }

    #[inline(always)]
    fn multiply_words([a, b, c]: &[Words; 3], [d, e, f]: &[Words; 3]) -> [Words; 3] {
        let low = lanes::multiply_words(*a, *d);
        let middle = lanes::multiply_words(*b, *e);
        let high = lanes::multiply_words(*c, *f);
        let first = cross([a, b], [d, e], low, middle);
        let second = cross([a, c], [d, f], low, high);
        let third = cross([b, c], [e, f], middle, high);
        [
            lanes::add_words(low, lanes::add_words(third, third)),
            lanes::add_words(first, lanes::add_words(high, high)),
            lanes::add_words(second, middle),
        ]
    }
}

impl From<F> for Cubic {
    #[inline]
    fn from(value: F) -> Self {
        Self(value, F::ZERO, F::ZERO)
    }
}

impl Add for Cubic {
    type Output = Self;
    #[inline]
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0, self.1 + other.1, self.2 + other.2)
    }
}

impl Sub for Cubic {
    type Output = Self;
    #[inline]
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0, self.1 - other.1, self.2 - other.2)
    }
}

impl Mul for Cubic {
    type Output = Self;
    /// Karatsuba: six products.
    #[inline]
    fn mul(self, other: Self) -> Self {
        let (Self(a, b, c), Self(d, e, f)) = (self, other);
        let [low, middle, high] = [a * d, b * e, c * f];
        let first = (a + b) * (d + e) - low - middle;
        let second = (a + c) * (d + f) - low - high;
        let third = (b + c) * (e + f) - middle - high;
        Self(low + double(third), first + double(high), second + middle)
    }
}

impl Neg for Cubic {
    type Output = Self;
    #[inline]
    fn neg(self) -> Self {
        Self(-self.0, -self.1, -self.2)
    }
}

follow!(Cubic);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::MODULUS;

    /// A cube's power (p − 1)/3 is 1; that of 2 is a third root of unity other than 1.
    #[test]
    fn two_is_not_a_cube() {
        assert_eq!((MODULUS - 1) % 3, 0);
        let two = F::from_u64(2);
        let root = two.pow((MODULUS - 1) / 3);
        assert_ne!(root, F::ONE);
        assert_eq!(root * root * root, F::ONE);
        assert_eq!(F::from_u64(8).pow((MODULUS - 1) / 3), F::ONE);
        assert_eq!(Cubic::X.pow(3), Cubic::from(two));
    }
}
