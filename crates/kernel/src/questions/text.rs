//! The text of a stream: its bytes, and which outcome each of them is.

use std::path::Path;

use crate::error::{KernelError, Result};

/// Bytes of a stream.
pub const TEXT_BYTES_MAX: u64 = 64 << 20;
const NO_OUTCOME: u16 = u16::MAX;

/// A stream's symbols, one byte each.
#[derive(Debug)]
pub struct Text {
    bytes: Vec<u8>,
    outcome: Box<[u16; 256]>,
    outcomes: usize,
}

impl Text {
    /// Takes a text over `alphabet`, whose bytes are the outcomes in their order; an empty alphabet
    /// is that of all bytes.
    ///
    /// # Errors
    /// [`KernelError::Protocol`] for an alphabet of one symbol or with one twice, for a byte that
    /// is not in it, and for a text that is too long.
    pub fn new(bytes: Vec<u8>, alphabet: &[u8]) -> Result<Self> {
        let bad = |what: String| Err(KernelError::Protocol(what));
        if bytes.len() as u64 > TEXT_BYTES_MAX {
            return bad(format!("a stream of {} bytes", bytes.len()));
        }
        let all: Vec<u8> = (0..=u8::MAX).collect();
        let alphabet = if alphabet.is_empty() { &all } else { alphabet };
        let mut outcome = Box::new([NO_OUTCOME; 256]);
        for (&symbol, place) in alphabet.iter().zip(0..) {
            if outcome[usize::from(symbol)] != NO_OUTCOME {
                return bad(format!("symbol {symbol} twice in an alphabet"));
            }
            outcome[usize::from(symbol)] = place;
        }
        if alphabet.len() < 2 {
            return bad("an alphabet of fewer than two symbols".to_owned());
        }
        if let Some(place) = bytes.iter().position(|&b| outcome[usize::from(b)] == NO_OUTCOME) {
            return bad(format!("byte {} at {place} is not in the alphabet", bytes[place]));
        }
        Ok(Self { bytes, outcome, outcomes: alphabet.len() })
    }

    /// Reads a text from a file.
    ///
    /// # Errors
    /// [`KernelError::Io`], and as [`Text::new`].
    pub fn read(path: &Path, alphabet: &[u8]) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|source| KernelError::Io {
            what: "cannot read a stream",
            path: path.to_owned(),
            source,
        })?;
        Self::new(bytes, alphabet)
    }

    /// Its symbols as they are shown to guests.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many symbols the alphabet has.
    #[must_use]
    pub fn outcomes(&self) -> usize {
        self.outcomes
    }

    /// The outcome at `position`, which is inside the text.
    #[must_use]
    pub fn outcome(&self, position: usize) -> usize {
        usize::from(self.outcome[usize::from(self.bytes[position])])
    }
}
