//! Fiat–Shamir: a hash chain over everything that prover and verifier both know.
//!
//! Each challenge is BLAKE3 keyed with the previous state over every message since, each with its label and
//! length, so that no two sequences of messages hash the same bytes. The hash is deliberately not an
//! algebraic one: no proved model contains it, which is what the attack of Khovratovich, Rothblum and
//! Soukhanov (2025) on Fiat–Shamir'd GKR needs.

use crate::extension::{self, Extension};
use crate::field::F;

/// The running transcript of one proof.
#[derive(Clone)]
pub struct Transcript {
    state: [u8; 32],
    pending: Vec<u8>,
    /// Challenges do not depend on messages: a simulator's transcript.
    #[cfg(test)]
    programmed: bool,
}

impl Transcript {
    /// Starts the transcript of a protocol.
    #[must_use]
    pub fn new(protocol: &str) -> Self {
        Self {
            state: blake3::derive_key(protocol, b"transcript"),
            pending: Vec::new(),
            #[cfg(test)]
            programmed: false,
        }
    }

    /// A transcript whose challenges are known beforehand.
    #[cfg(test)]
    pub(crate) fn programmed(protocol: &str) -> Self {
        Self { programmed: true, ..Self::new(protocol) }
    }

    /// Takes a message in. Labels and lengths are part of what is hashed.
    pub fn absorb(&mut self, label: &str, message: &[u8]) {
        for part in [label.as_bytes(), message] {
            self.pending.extend_from_slice(&(part.len() as u64).to_le_bytes());
            self.pending.extend_from_slice(part);
        }
    }

    /// Takes field elements in.
    pub fn absorb_elements<E: Extension>(&mut self, label: &str, elements: &[E]) {
        self.absorb(label, &extension::to_bytes(elements));
    }

    /// Advances the chain over everything pending and opens a stream of pseudo-random bytes.
    fn squeeze(&mut self) -> blake3::OutputReader {
        #[cfg(test)]
        if self.programmed {
            self.pending.clear();
        }
        let mut stream =
            blake3::Hasher::new_keyed(&self.state).update(&self.pending).finalize_xof();
        self.pending.clear();
        stream.fill(&mut self.state);
        stream
    }

    /// A uniform challenge in E that depends on everything absorbed so far.
    pub fn challenge<E: Extension>(&mut self) -> E {
        element(&mut self.squeeze())
    }

    /// Several independent challenges.
    pub fn challenges<E: Extension>(&mut self, count: usize) -> Vec<E> {
        let mut stream = self.squeeze();
        (0..count).map(|_| element(&mut stream)).collect()
    }

    /// `count` independent uniform positions below `2^log_size`, sorted, without the repeated ones.
    pub fn positions(&mut self, count: usize, log_size: u32) -> Vec<usize> {
        let mut stream = self.squeeze();
        let mask = (1_u32 << log_size) - 1;
        let mut positions: Vec<usize> = (0..count)
            .map(|_| {
                let mut bytes = [0; 4];
                stream.fill(&mut bytes);
                (u32::from_le_bytes(bytes) & mask) as usize
            })
            .collect();
        positions.sort_unstable();
        positions.dedup();
        positions
    }
}

/// 128 bits modulo p per coordinate: within a factor 1 ± 2^−64 of uniform.
fn element<E: Extension>(stream: &mut blake3::OutputReader) -> E {
    E::from_fn(|_| {
        let mut bytes = [0; 16];
        stream.fill(&mut bytes);
        F::from_u128(u128::from_le_bytes(bytes))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extension::Cubic as E;

    fn after(messages: &[(&str, &[u8])]) -> E {
        let mut transcript = Transcript::new("test");
        for (label, message) in messages {
            transcript.absorb(label, message);
        }
        transcript.challenge()
    }

    /// Moving a byte between label and message, or between messages, changes the challenge.
    #[test]
    fn framing_is_injective() {
        let all = [
            after(&[("a", b"bc")]),
            after(&[("ab", b"c")]),
            after(&[("a", b"b"), ("", b"c")]),
            after(&[("a", b"bc"), ("", b"")]),
            after(&[]),
        ];
        for (i, a) in all.iter().enumerate() {
            assert!(all[i + 1..].iter().all(|b| a != b));
        }
    }

    #[test]
    fn challenges_chain() {
        let mut transcript = Transcript::new("test");
        let first: E = transcript.challenge();
        assert_ne!(first, transcript.challenge());
        assert_ne!(first, Transcript::new("other").challenge());
        let positions = transcript.positions(148, 9);
        assert!(positions.windows(2).all(|w| w[0] < w[1]) && positions.iter().all(|p| *p < 512));
    }
}
