//! What a verifier holds of a registered model, and the statement that a proof is about.

use crate::error::{ProofError, Result};
use crate::hiding;
use crate::layout;
use crate::merkle::Digest;
use crate::model::{Architecture, limits};
use crate::params::{Matrix, Security};
use crate::transcript::Transcript;

const MAGIC: &[u8; 4] = b"MQH1";

/// The security profile. It is part of the model digest, never of a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Profile {
    /// 100 bits, provable, nothing hidden.
    Plain100,
    /// 100 bits, provable, weights and activations hidden.
    Hiding100 {
        /// How often the commitment to the weights may be opened.
        openings: u32,
    },
    /// 128 bits, provable, nothing hidden.
    Plain128,
    /// 128 bits, provable, weights and activations hidden.
    Hiding128 {
        /// How often the commitment to the weights may be opened.
        openings: u32,
    },
}

impl Profile {
    /// The profile of a security whose weights may be opened so often; of one that hides nothing without.
    #[must_use]
    pub fn new(security: Security, openings: Option<u32>) -> Self {
        match (security, openings) {
            (Security::Bits100, None) => Self::Plain100,
            (Security::Bits100, Some(openings)) => Self::Hiding100 { openings },
            (Security::Bits128, None) => Self::Plain128,
            (Security::Bits128, Some(openings)) => Self::Hiding128 { openings },
        }
    }

    fn to_bytes(self) -> Vec<u8> {
        let code = match self {
            Self::Plain100 => 1,
            Self::Hiding100 { .. } => 2,
            Self::Plain128 => 3,
            Self::Hiding128 { .. } => 4,
        };
        let openings = self.openings().map(u32::to_le_bytes);
        std::iter::once(code).chain(openings.into_iter().flatten()).collect()
    }

    /// Reads a profile from the front.
    fn from_bytes(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (code, rest) = bytes.split_first()?;
        let security = match code {
            1 | 2 => Security::Bits100,
            3 | 4 => Security::Bits128,
            _ => return None,
        };
        if code % 2 == 1 {
            return Some((Self::new(security, None), rest));
        }
        let (openings, rest) = rest.split_first_chunk()?;
        let openings = u32::from_le_bytes(*openings);
        let allowed = (1..=hiding::OPENINGS_MAX).contains(&openings);
        allowed.then(|| (Self::new(security, Some(openings)), rest))
    }

    /// How likely a false statement is to be accepted, at most.
    #[must_use]
    pub fn security(self) -> Security {
        match self {
            Self::Plain100 | Self::Hiding100 { .. } => Security::Bits100,
            Self::Plain128 | Self::Hiding128 { .. } => Security::Bits128,
        }
    }

    /// How often the commitment to the weights may be opened; `None` of a profile that hides nothing.
    #[must_use]
    pub fn openings(self) -> Option<u32> {
        match self {
            Self::Plain100 | Self::Plain128 => None,
            Self::Hiding100 { openings } | Self::Hiding128 { openings } => Some(openings),
        }
    }

    /// Whether proofs hide the weights.
    #[must_use]
    pub fn hides(self) -> bool {
        self.openings().is_some()
    }
}

/// A registered model without its weights: architecture, profile and the root of the weight commitment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    pub(crate) architecture: Architecture,
    pub(crate) profile: Profile,
    pub(crate) weight_root: Digest,
}

impl Header {
    /// The canonical encoding.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let architecture = self.architecture.to_bytes();
        [MAGIC, &self.profile.to_bytes()[..], &self.weight_root, &architecture].concat()
    }

    /// Decodes a header.
    ///
    /// # Errors
    /// [`ProofError::InvalidModel`] unless the bytes are the canonical encoding of a valid header.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let wrong = || ProofError::model("not a model header of version 1");
        let (magic, rest) = bytes.split_first_chunk::<4>().ok_or_else(wrong)?;
        let read = Profile::from_bytes(rest).filter(|_| magic == MAGIC);
        let (profile, rest) = read.ok_or_else(wrong)?;
        let (root, architecture) = rest.split_first_chunk::<32>().ok_or_else(wrong)?;
        let architecture = Architecture::from_bytes(architecture)?;
        Ok(Self { architecture, profile, weight_root: *root })
    }

    /// D_M, which names the model everywhere.
    #[must_use]
    pub fn digest(&self) -> Digest {
        blake3::derive_key("maxwell 2026 proof model digest v1", &self.to_bytes())
    }

    /// The architecture.
    #[must_use]
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// The security profile.
    #[must_use]
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// The matrix of the weight commitment.
    pub(crate) fn weight_matrix(&self) -> Matrix {
        weight_matrix(&self.architecture, self.profile.security())
    }

    /// The matrix of a proof's own commitment.
    pub(crate) fn column_matrix(&self, batch: usize) -> Matrix {
        let columns = layout::columns(&self.architecture, batch);
        let blocks: Vec<_> = columns.iter().map(|(_, block)| *block).collect();
        Matrix::new(self.profile.security(), &blocks)
    }
}

/// The matrix of the weight commitment of an architecture.
pub(crate) fn weight_matrix(architecture: &Architecture, security: Security) -> Matrix {
    let blocks = layout::weight_blocks(architecture);
    Matrix::new(security, &blocks.iter().map(|(_, block)| *block).collect::<Vec<_>>())
}

/// What is proved: the model on these inputs gives these outputs, in this context.
#[derive(Debug, Clone, Copy)]
pub struct Statement<'a> {
    /// Inferences.
    pub batch: usize,
    /// `batch` input tensors, row-major.
    pub input: &'a [i16],
    /// `batch` output tensors, row-major.
    pub output: &'a [i16],
    /// Whatever the proof is bound to: the canonical bytes of a claim record, or nothing. A proof is valid
    /// for these bytes only.
    pub context: &'a [u8],
}

impl Statement<'_> {
    /// Checks sizes and limits against the model.
    pub(crate) fn check(&self, architecture: &Architecture) -> Result<()> {
        check_batch(architecture, self.batch)?;
        let lengths = [
            (self.input.len(), architecture.input().len()),
            (self.output.len(), architecture.output().len()),
        ];
        if lengths.iter().any(|(found, one)| *found != one * self.batch) {
            return Err(ProofError::InvalidData("input or output of another size".into()));
        }
        Ok(())
    }

    /// The same when the input is hidden behind a commitment: it is not in the statement.
    pub(crate) fn check_hidden(&self, architecture: &Architecture) -> Result<()> {
        check_hidden_batch(architecture, self.batch)?;
        if !self.input.is_empty() || self.output.len() != architecture.output().len() * self.batch {
            return Err(ProofError::InvalidData("an input, or an output of another size".into()));
        }
        Ok(())
    }

    /// The transcript of a statement about a hidden input.
    pub(crate) fn hidden_transcript(&self, digest: &Digest, input: &Digest) -> Transcript {
        let mut transcript = self.transcript(digest);
        transcript.absorb("hidden input", input);
        transcript
    }

    /// The transcript with everything public in it, before the first challenge.
    pub(crate) fn transcript(&self, digest: &Digest) -> Transcript {
        let bytes =
            |values: &[i16]| -> Vec<u8> { values.iter().flat_map(|v| v.to_le_bytes()).collect() };
        let mut transcript = Transcript::new("maxwell 2026 proof of inference v1");
        transcript.absorb("model", digest);
        transcript.absorb("context", self.context);
        transcript.absorb("batch", &(self.batch as u64).to_le_bytes());
        transcript.absorb("input", &bytes(self.input));
        transcript.absorb("output", &bytes(self.output));
        transcript
    }
}

/// [`check_batch`] for a hidden input, which is looked up as well, in a range that must contain the padding.
pub(crate) fn check_hidden_batch(architecture: &Architecture, batch: usize) -> Result<()> {
    check_batch(architecture, batch)?;
    let input = architecture.input();
    if !(input.lo..=input.hi).contains(&0)
        || layout::all_segments(architecture, batch, true).len > limits::LEAVES
    {
        return Err(ProofError::InvalidData(format!("a batch of {batch} hidden inputs")));
    }
    Ok(())
}

/// Refuses a batch that is empty, too large, or makes a tensor too large.
pub(crate) fn check_batch(architecture: &Architecture, batch: usize) -> Result<()> {
    let largest = layout::log2_ceil(limits::CELLS);
    let fits = (1..=limits::BATCH).contains(&batch)
        && architecture.tensors().iter().all(|t| layout::tensor_log(t, batch) <= largest)
        && layout::segments(architecture, batch).len <= limits::LEAVES;
    if fits { Ok(()) } else { Err(ProofError::InvalidData(format!("a batch of {batch}"))) }
}

/// The openings of two hiding headers that may be linked: equal but for their roots.
pub(crate) fn check_link(old: &Header, new: &Header) -> Result<u32> {
    let same = old.profile == new.profile && old.architecture == new.architecture;
    old.profile.openings().filter(|_| same).ok_or_else(|| {
        ProofError::model("a link is between two hiding registrations of one architecture")
    })
}

/// The transcript of the proof that two headers are of the same weights.
pub(crate) fn link_transcript(old: &Header, new: &Header) -> Transcript {
    let mut transcript = Transcript::new("maxwell 2026 proof model link v1");
    transcript.absorb("old", &old.digest());
    transcript.absorb("new", &new.digest());
    transcript
}
