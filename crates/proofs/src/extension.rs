//! Extensions of the base field, where every challenge lives. Their size bounds the algebraic error of a proof:
//! the quadratic one, |E| ≈ 2^128, serves 100 bits and the cubic one, |E| ≈ 2^192, serves 128.
//!
//! Everything that talks about challenges is generic over [`Extension`] and compiled once for each of them; what
//! is committed to stays in the base field and is not.

mod cubic;
mod quadratic;

use std::fmt::Debug;
use std::iter::Sum;
use std::ops::{Add, AddAssign, IndexMut, Mul, MulAssign, Neg, Sub, SubAssign};

pub use cubic::Cubic;
pub use quadratic::Quadratic;

use crate::field::F;
use crate::lanes::Words;

/// An extension F\[X\]/(X^d − a) of a small degree d.
pub trait Extension:
    Copy
    + Debug
    + Default
    + Eq
    + Send
    + Sync
    + From<F>
    + Sum
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
    + 'static
{
    /// The degree.
    const DEGREE: usize;
    /// Bytes of an encoded element.
    const BYTES: usize = 8 * Self::DEGREE;
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// A root of X^d − a.
    const X: Self;

    /// Something for each coordinate.
    type Each<T: Copy>: Copy + IndexMut<usize, Output = T> + AsRef<[T]> + AsMut<[T]>;

    /// Something for each coordinate, from its index.
    fn each<T: Copy>(of: impl FnMut(usize) -> T) -> Self::Each<T>;

    /// The element c_0 + c_1·X + …
    fn from_coordinates(coordinates: Self::Each<F>) -> Self;

    /// c_0, c_1, …
    fn coordinates(self) -> Self::Each<F>;

    /// The multiplicative inverse; `None` of 0.
    fn inverse(self) -> Option<Self>;

    /// Products of eight pairs at once, coordinate by coordinate: what [`Mul`] is to one, in a vectorised loop.
    fn multiply_words(a: &Self::Each<Words>, b: &Self::Each<Words>) -> Self::Each<Words>;

    /// The element whose coordinates are told by their index.
    #[inline]
    fn from_fn(of: impl FnMut(usize) -> F) -> Self {
        Self::from_coordinates(Self::each(of))
    }

    /// The element of a signed integer.
    #[must_use]
    fn from_i64(value: i64) -> Self {
        Self::from(F::from_i64(value))
    }

    /// X to a power below the degree.
    #[must_use]
    fn basis(power: usize) -> Self {
        Self::from_fn(|index| if index == power { F::ONE } else { F::ZERO })
    }

    /// The product with an element of the base field.
    #[must_use]
    #[inline]
    fn scale(self, factor: F) -> Self {
        let own = self.coordinates();
        Self::from_fn(|index| own[index] * factor)
    }

    /// `self^exponent`.
    #[must_use]
    fn pow(self, mut exponent: u64) -> Self {
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
    fn powers(self, count: usize) -> Vec<Self> {
        std::iter::successors(Some(Self::ONE), |last| Some(*last * self)).take(count).collect()
    }

    /// Appends [`Extension::BYTES`] bytes: all coordinates, little-endian.
    fn write(self, out: &mut Vec<u8>) {
        for coordinate in self.coordinates().as_ref() {
            out.extend_from_slice(&coordinate.to_u64().to_le_bytes());
        }
    }

    /// The element of [`Extension::BYTES`] bytes; `None` of another number of them, or unless all coordinates
    /// are canonical, so that no element has two encodings.
    #[must_use]
    fn read(bytes: &[u8]) -> Option<Self> {
        let (words, rest) = bytes.as_chunks::<8>();
        if words.len() != Self::DEGREE || !rest.is_empty() {
            return None;
        }
        let mut canonical = true;
        let element = Self::from_fn(|index| {
            let found = F::from_canonical(u64::from_le_bytes(words[index]));
            canonical &= found.is_some();
            found.unwrap_or_default()
        });
        canonical.then_some(element)
    }
}

/// The bytes of elements, one after the other.
#[must_use]
pub fn to_bytes<E: Extension>(elements: &[E]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(E::BYTES * elements.len());
    for element in elements {
        element.write(&mut bytes);
    }
    bytes
}

/// A vector whose coordinates are changed one by one, each as a vector over F.
pub(crate) fn by_coordinate<E: Extension>(
    elements: &[E],
    mut change: impl FnMut(&mut Vec<F>),
) -> Vec<E> {
    let words: Vec<Vec<F>> = (0..E::DEGREE)
        .map(|index| {
            let own = elements.iter().map(|element| element.coordinates()[index]);
            let mut word = own.collect();
            change(&mut word);
            word
        })
        .collect();
    (0..words[0].len()).map(|place| E::from_fn(|index| words[index][place])).collect()
}

/// The inverses of all elements with one inversion (Montgomery's trick); `None` when one is 0.
#[must_use]
pub fn inverses<E: Extension>(elements: &[E]) -> Option<Vec<E>> {
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

/// The operators that follow from one of `Add`, `Sub` and `Mul`.
macro_rules! follow {
    ($name:ident) => {
        impl AddAssign for $name {
            #[inline]
            fn add_assign(&mut self, other: Self) {
                *self = *self + other;
            }
        }

        impl SubAssign for $name {
            #[inline]
            fn sub_assign(&mut self, other: Self) {
                *self = *self - other;
            }
        }

        impl MulAssign for $name {
            #[inline]
            fn mul_assign(&mut self, other: Self) {
                *self = *self * other;
            }
        }

        impl Sum for $name {
            fn sum<I: Iterator<Item = Self>>(items: I) -> Self {
                items.fold(Self::ZERO, Add::add)
            }
        }
    };
}
use follow;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::MODULUS;
    use proptest::prelude::*;

    fn word() -> impl Strategy<Value = u64> {
        let corners = vec![0, 1, 0xffff_ffff, 1 << 32, MODULUS - 0xffff_ffff, MODULUS - 1];
        prop_oneof![1 => proptest::sample::select(corners), 3 => 0..MODULUS]
    }

    fn element<E: Extension>() -> impl Strategy<Value = E> {
        [word(), word(), word()].prop_map(|words| E::from_fn(|index| F::from_u64(words[index])))
    }

    /// Schoolbook multiplication modulo X^d − a, with remainders of 128-bit numbers.
    fn product<E: Extension>(a: E, b: E, non_residue: u128) -> Vec<u64> {
        let p = u128::from(MODULUS);
        let word = |element: E, index: usize| u128::from(element.coordinates()[index].to_u64());
        let mut sums = vec![0_u128; 2 * E::DEGREE - 1];
        for i in 0..E::DEGREE {
            for j in 0..E::DEGREE {
                sums[i + j] = (sums[i + j] + word(a, i) * word(b, j) % p) % p;
            }
        }
        for high in (E::DEGREE..sums.len()).rev() {
            sums[high - E::DEGREE] = (sums[high - E::DEGREE] + sums[high] * non_residue) % p;
        }
        sums[..E::DEGREE].iter().map(|sum| *sum as u64).collect()
    }

    fn words<E: Extension>(element: E) -> Vec<u64> {
        element.coordinates().as_ref().iter().map(|own| own.to_u64()).collect()
    }

    fn agrees<E: Extension>(
        a: E,
        b: E,
        non_residue: u128,
    ) -> proptest::test_runner::TestCaseResult {
        prop_assert_eq!(words(a * b), product(a, b, non_residue));
        prop_assert_eq!((a - b) + b, a);
        prop_assert_eq!(a + -a, E::ZERO);
        let factor = b.coordinates()[0];
        prop_assert_eq!(a.scale(factor), a * E::from(factor));
        prop_assert_eq!(E::read(&to_bytes(&[a])), Some(a));
        let basis = (0..E::DEGREE).map(|index| E::basis(index).scale(a.coordinates()[index]));
        prop_assert_eq!(basis.sum::<E>(), a);
        prop_assert_eq!(E::X.pow(E::DEGREE as u64), E::from(F::from_u64(non_residue as u64)));
        if let Some(all) = inverses(&[a, b, a * b]) {
            for (element, inverse) in [a, b, a * b].into_iter().zip(all) {
                prop_assert_eq!(element * inverse, E::ONE);
                prop_assert_eq!(element.inverse(), Some(inverse));
            }
        } else {
            prop_assert!(a == E::ZERO || b == E::ZERO);
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        /// Differential.
        #[test]
        fn quadratic_is_a_field(a in element::<Quadratic>(), b in element()) {
            agrees(a, b, 7)?;
        }

        #[test]
        fn cubic_is_a_field(a in element::<Cubic>(), b in element()) {
            agrees(a, b, 2)?;
        }
    }

    fn bytes_are_canonical<E: Extension>() {
        assert_eq!(E::ZERO.inverse(), None);
        for index in 0..E::DEGREE {
            let mut bytes = vec![0; E::BYTES];
            bytes[8 * index..][..8].copy_from_slice(&MODULUS.to_le_bytes());
            assert_eq!(E::read(&bytes), None);
            bytes[8 * index..][..8].copy_from_slice(&(MODULUS - 1).to_le_bytes());
            assert_eq!(E::read(&bytes), Some(-E::basis(index)));
        }
        for length in [0, 8, E::BYTES - 1, E::BYTES + 1, E::BYTES + 8] {
            assert_eq!(E::read(&vec![0; length]), None);
        }
    }

    #[test]
    fn only_canonical_bytes_are_read() {
        bytes_are_canonical::<Quadratic>();
        bytes_are_canonical::<Cubic>();
    }
}
