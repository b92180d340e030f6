//! Multilinear extensions. A table of 2^n values is a function of n bits, the lowest bit first: coordinate 0
//! of a point goes with the least significant bit of the index.

use crate::extension::Extension;
use crate::lanes;

/// All of eq(point, ·): entry i is Π_k (point_k if bit k of i else 1 − point_k).
#[must_use]
pub fn eq_table<E: Extension>(point: &[E]) -> Vec<E> {
    scaled_eq_table(point, E::ONE)
}

/// [`eq_table`] times a factor.
#[must_use]
pub fn scaled_eq_table<E: Extension>(point: &[E], factor: E) -> Vec<E> {
    let mut table = vec![E::ZERO; 1 << point.len()];
    table[0] = factor;
    for (bit, coordinate) in point.iter().enumerate() {
        let (low, rest) = table.split_at_mut(1 << bit);
        lanes::run(lanes::Expand { low, high: &mut rest[..1 << bit], x: *coordinate });
    }
    table
}

/// eq(a, b) = Π (a_k b_k + (1 − a_k)(1 − b_k)). Both have the same length.
#[must_use]
pub fn eq<E: Extension>(a: &[E], b: &[E]) -> E {
    a.iter().zip(b).fold(E::ONE, |product, (x, y)| {
        let both = *x * *y;
        product * (E::ONE - *x - *y + both + both)
    })
}

/// eq of a point with the bits of an index.
#[must_use]
pub fn eq_index<E: Extension>(point: &[E], index: usize) -> E {
    point.iter().enumerate().fold(E::ONE, |product, (bit, x)| {
        product * if index >> bit & 1 == 1 { *x } else { E::ONE - *x }
    })
}

/// Evaluates the extension of `values`, zero beyond its end, at a point of as many coordinates as it takes.
#[must_use]
pub fn evaluate<E: Extension>(values: &[E], point: &[E]) -> E {
    let mut folded = values.to_vec();
    for coordinate in point {
        fold(&mut folded, *coordinate);
    }
    folded.first().copied().unwrap_or(E::ZERO)
}

/// Binds the lowest variable: `values[i] = values[2i] + x·(values[2i+1] − values[2i])`, zero beyond the end.
pub fn fold<E: Extension>(values: &mut Vec<E>, x: E) {
    let mut folded = vec![E::ZERO; values.len().div_ceil(2)];
    let whole = values.len() / 2;
    lanes::run(lanes::Fold { values, x, out: &mut folded[..whole] });
    if let [.., last] = values[2 * whole..] {
        folded[whole] = last - x * last;
    }
    *values = folded;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extension::Cubic as E;

    #[test]
    fn definitions_agree() {
        let point: Vec<E> = (2..6).map(|i| E::from_i64(i * i + 1)).collect();
        let table = eq_table(&point);
        let values: Vec<E> = (0..11).map(|i| E::from_i64(3 * i * i - 7)).collect();
        let sum: E = table.iter().zip(&values).map(|(a, b)| *a * *b).sum();
        assert_eq!(evaluate(&values, &point), sum);
        for (index, entry) in table.iter().enumerate() {
            let bits: Vec<E> = (0..4).map(|b| E::from_i64((index >> b & 1) as i64)).collect();
            assert_eq!(eq(&point, &bits), *entry);
            assert_eq!(eq_index(&point, index), *entry);
        }
        assert_eq!(table.iter().copied().sum::<E>(), E::ONE);
    }
}
