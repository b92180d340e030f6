//! Proof of inference: a registered, quantised network on this input gives this output, checked without
//! running it.
//!
//! What is proved, under which assumptions and with which error is in docs/concepts/proof-of-inference.md;
//! the integer semantics are in docs/reference/proof-model.md. The prover and the verifier share the field,
//! the layout and the model, and nothing else.

#![forbid(unsafe_code)]
#![allow(
    clippy::cast_possible_truncation,
    reason = "u32 and u64 to usize on a 64-bit target; other narrowing casts are checked by hand"
)]

mod claims;
mod dot;
mod error;
pub mod extension;
pub mod field;
pub mod forward;
pub mod freivalds;
mod hash;
mod header;
pub mod hiding;
mod lanes;
pub mod layout;
pub mod merkle;
pub mod mle;
pub mod model;
mod narrow;
pub mod ntt;
pub mod params;
pub mod prover;
mod random;
pub mod transcript;
pub mod verifier;
mod windows;

pub use error::{ProofError, Result};
pub use header::{Header, Profile, Statement};
pub use prover::{HiddenProof, Prepared, Proof, commit_input};
pub use random::{Seed, fresh_seed};

#[cfg(test)]
mod tests;
