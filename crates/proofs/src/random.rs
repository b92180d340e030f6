//! Randomness of the hiding mode: BLAKE3 as a stream, keyed with 32 secret bytes, one stream a label.

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

/// A salt for every leaf of a tree, made when it is needed.
#[derive(Clone)]
pub(crate) struct Salts(blake3::Hasher);

impl Salts {
    pub(crate) fn new(seed: &Seed, label: &str) -> Self {
        let mut hasher = blake3::Hasher::new_keyed(seed);
        hasher.update(label.as_bytes());
        Self(hasher)
    }

    /// Writes the salts of the leaves from number `first` on to the fronts of `leaves`, of `width` bytes each.
    pub(crate) fn fill(&self, first: usize, leaves: &mut [u8], width: usize) {
        const RUN: usize = 32;
        let mut stream = self.0.finalize_xof();
        stream.set_position((first * SALT) as u64);
        for run in leaves.chunks_mut(RUN * width) {
            let mut salts = [[0; SALT]; RUN];
            stream.fill(salts.as_flattened_mut());
            for (leaf, salt) in run.chunks_exact_mut(width).zip(&salts) {
                leaf[..SALT].copy_from_slice(salt);
            }
        }
    }

    /// The salt of one leaf.
    pub(crate) fn of(&self, leaf: usize) -> [u8; SALT] {
        let mut salt = [0; SALT];
        self.fill(leaf, &mut salt, SALT);
        salt
    }
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
