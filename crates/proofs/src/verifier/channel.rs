//! The verifier's end: reads a proof from the front, hashes what it reads, draws the same challenges.

use std::ops::{Add, Sub};

use crate::error::{ProofError, Result};
use crate::extension::Extension;
use crate::transcript::Transcript;

/// What messages are to the verifier's equations: plain elements, or elements hidden behind pads.
pub(crate) trait Value<E>: Clone + Add<Output = Self> + Sub<Output = Self> {
    /// A public element.
    fn public(element: E) -> Self;
    /// The product with a public element.
    fn times(&self, factor: E) -> Self;
}

impl<E: Extension> Value<E> for E {
    fn public(element: E) -> Self {
        element
    }

    fn times(&self, factor: E) -> Self {
        *self * factor
    }
}

/// The source of messages and challenges, and the judge of equations.
pub(crate) trait Channel<E: Extension> {
    /// What a message is.
    type Value: Value<E>;
    /// The next message: `count` elements.
    fn receive(&mut self, label: &'static str, count: usize) -> Result<Vec<Self::Value>>;
    /// The next elements, which hide nothing.
    fn receive_clear(&mut self, label: &'static str, count: usize) -> Result<Vec<E>>;
    /// Whether messages are hidden.
    fn hides(&self) -> bool;
    /// A challenge that depends on everything received so far.
    fn challenge(&mut self) -> E;
    /// The product of two received elements (not of sums of them).
    fn product(&mut self, a: &Self::Value, b: &Self::Value) -> Result<Self::Value>;
    /// Rejects unless the value is zero.
    fn zero(&mut self, value: &Self::Value, otherwise: &'static str) -> Result<()>;

    /// The next message of one element.
    fn receive_one(&mut self, label: &'static str) -> Result<Self::Value> {
        let [value] = self.receive_array(label)?;
        Ok(value)
    }

    /// The next message of a known number of elements.
    fn receive_array<const N: usize>(&mut self, label: &'static str) -> Result<[Self::Value; N]> {
        let values = self.receive(label, N)?;
        values.try_into().map_err(|_| ProofError::Rejected("a message of another length"))
    }

    /// Several challenges.
    fn challenges(&mut self, count: usize) -> Vec<E> {
        (0..count).map(|_| self.challenge()).collect()
    }
}

/// Reads messages in the clear.
pub(crate) struct Reader<'a> {
    pub(crate) transcript: Transcript,
    proof: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(transcript: Transcript, proof: &'a [u8]) -> Self {
        Self { transcript, proof }
    }

    /// Bytes not yet read.
    #[cfg(test)]
    pub(crate) fn remaining(&self) -> usize {
        self.proof.len()
    }

    /// The next bytes, not hashed.
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (head, tail) = self
            .proof
            .split_at_checked(count)
            .ok_or(ProofError::Rejected("the proof ends early"))?;
        self.proof = tail;
        Ok(head)
    }

    /// The next hash, not added to the transcript.
    pub(crate) fn take_digest(&mut self) -> Option<crate::merkle::Digest> {
        let (head, tail) = self.proof.split_first_chunk()?;
        self.proof = tail;
        Some(*head)
    }

    /// The next hash, added to the transcript.
    pub(crate) fn receive_digest(&mut self, label: &'static str) -> Result<crate::merkle::Digest> {
        let bytes = self.take(32)?;
        self.transcript.absorb(label, bytes);
        bytes.try_into().map_err(|_| ProofError::Rejected("the proof ends early"))
    }

    /// Field elements in the clear.
    pub(crate) fn elements<E: Extension>(
        &mut self,
        label: &'static str,
        count: usize,
    ) -> Result<Vec<E>> {
        let bytes = self.take(E::BYTES * count)?;
        self.transcript.absorb(label, bytes);
        let read: Option<Vec<E>> = bytes.chunks_exact(E::BYTES).map(E::read).collect();
        read.ok_or(ProofError::Rejected("an element that is not canonical"))
    }

    /// Rejects a proof with anything after its end.
    pub(crate) fn finish(self) -> Result<()> {
        if self.proof.is_empty() {
            Ok(())
        } else {
            Err(ProofError::Rejected("bytes after the end"))
        }
    }
}

impl<E: Extension> Channel<E> for Reader<'_> {
    type Value = E;

    fn receive(&mut self, label: &'static str, count: usize) -> Result<Vec<E>> {
        self.elements(label, count)
    }

    fn receive_clear(&mut self, label: &'static str, count: usize) -> Result<Vec<E>> {
        self.elements(label, count)
    }

    fn hides(&self) -> bool {
        false
    }

    fn challenge(&mut self) -> E {
        self.transcript.challenge()
    }

    fn challenges(&mut self, count: usize) -> Vec<E> {
        self.transcript.challenges(count)
    }

    fn product(&mut self, a: &E, b: &E) -> Result<E> {
        Ok(*a * *b)
    }

    fn zero(&mut self, value: &E, otherwise: &'static str) -> Result<()> {
        if *value == E::ZERO { Ok(()) } else { Err(ProofError::Rejected(otherwise)) }
    }
}
