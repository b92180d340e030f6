//! The prover's end of the (non-interactive) conversation: every message goes into the transcript the moment
//! it is sent, so none can be forgotten.

use crate::extension::E;
use crate::transcript::Transcript;

/// What a test may do to a proof while it is made: the malicious prover of the soundness tests. Every method
/// does nothing by default.
pub(crate) trait Tamper: Sync {
    /// Changes the witness before it is committed.
    fn trace(&mut self, _trace: &mut crate::forward::Trace) {}
    /// Changes message number `nth` (counted from 0 per proof) before it is sent and hashed.
    fn message(&mut self, _label: &'static str, _nth: usize, _elements: &mut Vec<E>) {}
    /// Changes code words (row after row) before they are hashed.
    fn code_words(&mut self, _words: &mut [crate::field::F], _length: usize) {}
    /// Changes raw bytes (roots, columns, paths) before they are written.
    fn bytes(&mut self, _label: &'static str, _bytes: &mut Vec<u8>) {}
}

/// The honest prover.
pub(crate) struct Honest;
impl Tamper for Honest {}

/// Collects the proof.
pub(crate) struct Channel<'a> {
    pub(crate) transcript: Transcript,
    pub(crate) tamper: &'a mut dyn Tamper,
    proof: Vec<u8>,
    sent: usize,
}

impl<'a> Channel<'a> {
    pub(crate) fn new(transcript: Transcript, tamper: &'a mut dyn Tamper) -> Self {
        Self { transcript, tamper, proof: Vec::new(), sent: 0 }
    }

    /// Sends field elements.
    pub(crate) fn send(&mut self, label: &'static str, mut elements: Vec<E>) {
        self.tamper.message(label, self.sent, &mut elements);
        self.sent += 1;
        self.transcript.absorb_elements(label, &elements);
        self.proof.extend(elements.iter().flat_map(|element| element.to_bytes()));
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
