//! Randomness of the hiding mode: BLAKE3 as a stream, keyed with 32 secret bytes, one stream a label.

use rayon::prelude::*;

use crate::extension::Extension;
use crate::field::F;
use crate::merkle::SALT;

/// 32 secret bytes that everything random of one commitment or proof is drawn from.
pub type Seed = [u8; 32];

/// Fresh bytes of the operating system.
///
/// # Errors
/// [`crate::ProofError::InvalidData`] when it has none, which happens early at boot at most.
pub fn fresh_seed() -> crate::Result<Seed> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| {
        crate::ProofError::InvalidData(format!("no randomness from the operating system: {error}"))
    })?;
    Ok(seed)
}

/// A salt for each of `count` leaves, one after the other.
pub(crate) fn salts(seed: &Seed, label: &str, count: usize) -> Vec<u8> {
    const RUN: usize = 1 << 16;
    let mut out = vec![0; count * SALT];
    out.par_chunks_mut(RUN).enumerate().for_each(|(run, out)| {
        let mut stream = blake3::Hasher::new_keyed(seed).update(label.as_bytes()).finalize_xof();
        stream.set_position((run * RUN) as u64);
        stream.fill(out);
    });
    out
}

/// Uniform field elements, in order.
pub(crate) struct Source {
    stream: blake3::OutputReader,
    buffer: Box<[u8; 1024]>,
    used: usize,
}

impl Source {
    pub(crate) fn new(seed: &Seed, label: &str) -> Self {
        let stream = blake3::Hasher::new_keyed(seed).update(label.as_bytes()).finalize_xof();
        Self { stream, buffer: Box::new([0; 1024]), used: 1024 }
    }

    /// The next element; exactly uniform, since words at or above the modulus are skipped.
    pub(crate) fn element(&mut self) -> F {
        loop {
            if self.used == self.buffer.len() {
                self.stream.fill(&mut *self.buffer);
                self.used = 0;
            }
            let mut word = [0; 8];
            word.copy_from_slice(&self.buffer[self.used..self.used + 8]);
            self.used += 8;
            if let Some(element) = F::from_canonical(u64::from_le_bytes(word)) {
                return element;
            }
        }
    }

    pub(crate) fn elements(&mut self, count: usize) -> Vec<F> {
        (0..count).map(|_| self.element()).collect()
    }

    /// The first elements of a stream.
    pub(crate) fn take(mut self, count: usize) -> Vec<F> {
        self.elements(count)
    }

    pub(crate) fn extension<E: Extension>(&mut self) -> E {
        E::from_fn(|_| self.element())
    }
}
