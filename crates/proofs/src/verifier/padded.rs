//! Messages behind pads: what was sent minus a committed, unknown pad.
//!
//! The verifier's equations are linear in messages but for products of two of them, so that they become
//! linear equations in pads and in committed products of pads. None is checked here; all are handed on.

use std::collections::VecDeque;
use std::ops::{Add, Sub};

use super::channel::{Channel, Reader, Value};
use crate::error::{ProofError, Result};
use crate::extension::Extension;
use crate::hiding::Pads;

/// A public element plus a linear form in pads, sorted by pad.
#[derive(Debug, Clone)]
pub(crate) struct Padded<E> {
    known: E,
    terms: Vec<(usize, E)>,
}

impl<E: Extension> Padded<E> {
    /// A pad, times a factor.
    pub(super) fn pad(index: usize, factor: E) -> Self {
        Self { known: E::ZERO, terms: vec![(index, factor)] }
    }

    /// A form in pads, in any order, to be collected and not to be added to.
    pub(super) fn form(known: E, terms: Vec<(usize, E)>) -> Self {
        Self { known, terms }
    }

    /// Adds `factor` times this to a functional (one element a pad) and takes it off a target, so that the
    /// value is zero when functional(pads) = target.
    pub(super) fn collect(&self, factor: E, functional: &mut [E], target: &mut E) {
        *target -= factor * self.known;
        for (pad, weight) in &self.terms {
            if let Some(sum) = functional.get_mut(*pad) {
                *sum += factor * *weight;
            }
        }
    }

    fn merged(self, other: Self, sign: E) -> Self {
        let mut terms = Vec::with_capacity(self.terms.len() + other.terms.len());
        let mut rest = other.terms.into_iter().peekable();
        for (pad, weight) in self.terms {
            while let Some((other, weight)) = rest.next_if(|(other, _)| *other < pad) {
                terms.push((other, weight * sign));
            }
            let same = rest.next_if(|(other, _)| *other == pad);
            terms.push((pad, same.map_or(weight, |(_, more)| weight + more * sign)));
        }
        terms.extend(rest.map(|(pad, weight)| (pad, weight * sign)));
        Self { known: self.known + other.known * sign, terms }
    }
}

impl<E: Extension> Add for Padded<E> {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        self.merged(other, E::ONE)
    }
}

impl<E: Extension> Sub for Padded<E> {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self.merged(other, -E::ONE)
    }
}

impl<E: Extension> Value<E> for Padded<E> {
    fn public(element: E) -> Self {
        Self { known: element, terms: Vec::new() }
    }

    fn times(&self, factor: E) -> Self {
        let terms = self.terms.iter().map(|(pad, weight)| (*pad, *weight * factor)).collect();
        Self { known: self.known * factor, terms }
    }
}

/// Reads hidden messages and keeps the equations.
pub(super) struct PaddedReader<'a, E> {
    pub(super) reader: Reader<'a>,
    pub(super) equations: Vec<Padded<E>>,
    pads: &'a Pads,
    /// Messages read.
    next: usize,
    /// Products not yet asked for, with their numbers.
    products: VecDeque<(usize, [usize; 2])>,
}

impl<'a, E: Extension> PaddedReader<'a, E> {
    pub(super) fn new(reader: Reader<'a>, pads: &'a Pads) -> Self {
        let products = pads.pairs.iter().copied().enumerate().collect();
        Self { reader, equations: Vec::new(), pads, next: 0, products }
    }

    /// Whether every product that pads were committed for was asked for.
    pub(super) fn is_complete(&self) -> bool {
        self.products.is_empty()
    }
}

impl<E: Extension> Channel<E> for PaddedReader<'_, E> {
    type Value = Padded<E>;

    fn receive(&mut self, label: &'static str, count: usize) -> Result<Vec<Padded<E>>> {
        if self.next + count > self.pads.messages {
            return Err(ProofError::Rejected("BUG: more messages than pads"));
        }
        let sent = self.reader.elements(label, count)?;
        let own = self.next..;
        self.next += count;
        let message = |(pad, known)| Padded { known, terms: vec![(pad, -E::ONE)] };
        Ok(own.zip(sent).map(message).collect())
    }

    fn receive_clear(&mut self, label: &'static str, count: usize) -> Result<Vec<E>> {
        self.reader.elements(label, count)
    }

    fn challenge(&mut self) -> E {
        self.reader.transcript.challenge()
    }

    fn challenges(&mut self, count: usize) -> Vec<E> {
        self.reader.transcript.challenges(count)
    }

    fn hides(&self) -> bool {
        true
    }

    fn product(&mut self, a: &Padded<E>, b: &Padded<E>) -> Result<Padded<E>> {
        // (â − π_a)·(b̂ − π_b), with the committed product of the pads.
        let other = ProofError::Rejected("BUG: a product that no pads were committed for");
        let ([(one, sign)], [(two, other_sign)]) = (&a.terms[..], &b.terms[..]) else {
            return Err(other);
        };
        let are_messages = [*sign, *other_sign] == [-E::ONE; 2];
        match self.products.pop_front() {
            Some((number, pair)) if are_messages && pair == [*one, *two] => {
                let crossed = Padded::pad(*one, -b.known) + Padded::pad(*two, -a.known);
                let both = Padded::pad(self.pads.product(number), E::ONE);
                Ok(Padded::public(a.known * b.known) + crossed + both)
            }
            _ => Err(other),
        }
    }

    fn zero(&mut self, value: &Padded<E>, _: &'static str) -> Result<()> {
        self.equations.push(value.clone());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extension::Cubic as E;

    #[test]
    fn forms_are_linear() {
        let e = E::from_i64;
        let pads: Vec<E> = (0..6).map(|i| e(i * i + 3)).collect();
        let value = |form: &Padded<E>| {
            let (mut functional, mut target) = (vec![E::ZERO; 6], E::ZERO);
            form.collect(E::ONE, &mut functional, &mut target);
            functional.iter().zip(&pads).map(|(f, p)| *f * *p).sum::<E>() - target
        };
        let a = Padded::form(e(5), vec![(1, e(7)), (4, e(2))]);
        let b = Padded::form(e(-9), vec![(0, e(3)), (4, e(8)), (5, e(1))]);
        assert_eq!(value(&a), e(5 + 2 * 19 + 7 * 4));
        assert_eq!(value(&(a.clone() + b.clone())), value(&a) + value(&b));
        assert_eq!(value(&(a.clone() - b.clone())), value(&a) - value(&b));
        assert_eq!(value(&(b.clone() - a.clone())), value(&b) - value(&a));
        assert_eq!(value(&b.times(e(11))), value(&b) * e(11));
        assert_eq!((a + b).terms.len(), 4);
    }
}
