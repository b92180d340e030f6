//! The prover's end of the (non-interactive) conversation: every message goes into the transcript the moment
//! it is sent, so none can be forgotten.

use crate::extension::{self, Extension};
use crate::transcript::Transcript;

/// What a test may do to a proof while it is made: the malicious prover of the soundness tests. Every method
/// does nothing by default.
pub(crate) trait Tamper<E>: Sync {
    /// Changes the witness before it is committed.
    fn trace(&mut self, _trace: &mut crate::forward::Trace) {}
    /// Changes message number `nth` (counted from 0 per proof) before it is sent and hashed.
    fn message(&mut self, _label: &'static str, _nth: usize, _elements: &mut Vec<E>) {}
    /// Changes the pads of a hiding proof after they were drawn, before they are committed to.
    fn pads(&mut self, _pads: &mut Vec<E>) {}
    /// Changes the masks of a hiding proof, row by row, before they are committed to: those of the proof's
    /// own combination and linear test, and those of the weights.
    fn masks(
        &mut self,
        _columns: &mut [Vec<crate::field::F>],
        _weights: &mut [Vec<crate::field::F>],
    ) {
    }
    /// Replaces the randomness of a hiding proof.
    fn seed(&mut self, _seed: &mut crate::random::Seed) {}
    /// Changes the polynomial of the linear test, whose coefficient `tested` the verifier wants to be `target`.
    fn test(&mut self, _polynomial: &mut [E], _tested: usize, _target: E) {}
    /// Changes the code words of the masks of commitments from outside before they are hashed.
    fn mask_words(&mut self, _words: &mut [Vec<crate::field::F>]) {}
    /// Changes code words (row after row) before they are hashed.
    fn code_words(&mut self, _words: &mut [crate::field::F], _length: usize) {}
    /// Whether nothing is changed.
    fn is_honest(&self) -> bool {
        false
    }
    /// Changes raw bytes (roots, columns, paths) before they are written.
    fn bytes(&mut self, _label: &'static str, _bytes: &mut Vec<u8>) {}
}

/// The honest prover.
pub(crate) struct Honest;
impl<E> Tamper<E> for Honest {
    fn is_honest(&self) -> bool {
        true
    }
}

/// Collects the proof.
pub(crate) struct Channel<'a, E> {
    pub(crate) transcript: Transcript,
    pub(crate) tamper: &'a mut dyn Tamper<E>,
    pub(crate) proof: Vec<u8>,
    sent: usize,
    /// What hides messages, in their order; `None` when nothing is hidden.
    pads: Option<std::vec::IntoIter<E>>,
}

impl<'a, E: Extension> Channel<'a, E> {
    pub(crate) fn new(transcript: Transcript, tamper: &'a mut dyn Tamper<E>) -> Self {
        Self { transcript, tamper, proof: Vec::new(), sent: 0, pads: None }
    }

    /// From here on, messages are sent with these pads added.
    pub(crate) fn hide(&mut self, pads: Vec<E>) {
        self.pads = Some(pads.into_iter());
    }

    /// Whether messages are hidden.
    pub(crate) fn hides(&self) -> bool {
        self.pads.is_some()
    }

    /// Sends field elements, hidden when the proof hides.
    pub(crate) fn send(&mut self, label: &'static str, mut elements: Vec<E>) {
        if let Some(pads) = &mut self.pads {
            assert!(pads.len() >= elements.len(), "BUG: a message without a pad");
            for (element, pad) in elements.iter_mut().zip(pads) {
                *element += pad;
            }
        }
        self.send_clear(label, elements);
    }

    /// Sends field elements that tell nothing, or are not to be hidden.
    pub(crate) fn send_clear(&mut self, label: &'static str, mut elements: Vec<E>) {
        self.tamper.message(label, self.sent, &mut elements);
        self.sent += 1;
        self.transcript.absorb_elements(label, &elements);
        self.proof.extend(extension::to_bytes(&elements));
    }

    /// Sends bytes that are hashed.
    pub(crate) fn send_bytes(&mut self, label: &'static str, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        self.tamper.bytes(label, &mut bytes);
        self.transcript.absorb(label, &bytes);
        self.proof.extend_from_slice(&bytes);
    }

    /// Sends bytes after the last challenge; nothing depends on them any more.
    pub(crate) fn send_last(&mut self, label: &'static str, mut bytes: Vec<u8>) {
        self.tamper.bytes(label, &mut bytes);
        self.proof.extend_from_slice(&bytes);
    }

    pub(crate) fn challenge(&mut self) -> E {
        self.transcript.challenge()
    }

    pub(crate) fn challenges(&mut self, count: usize) -> Vec<E> {
        self.transcript.challenges(count)
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.proof
    }
}
