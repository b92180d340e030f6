//! What can go wrong. Nothing here changes state: every function of the crate is pure.

/// An error of the proof system.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// The model breaks a rule of the proof-model format; the caller should fix the model.
    #[error("model refused: {0}")]
    InvalidModel(String),
    /// Input or output data does not fit the model; the caller passed something else than it registered.
    #[error("data refused: {0}")]
    InvalidData(String),
    /// The proof does not convince the verifier: it is malformed, or the statement is false, or it was made
    /// for another model, input, output or context. The statement must be treated as unproved.
    #[error("proof rejected: {0}")]
    Rejected(&'static str),
    /// A hiding commitment was opened as often as its randomness allows; refresh it.
    #[error("hiding budget spent: {0}")]
    BudgetSpent(String),
}

impl ProofError {
    pub(crate) fn model(reason: impl Into<String>) -> Self {
        Self::InvalidModel(reason.into())
    }
}

/// What functions of this crate return.
pub type Result<T> = std::result::Result<T, ProofError>;
