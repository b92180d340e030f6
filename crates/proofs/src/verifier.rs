//! The verifier: total, without `unsafe`, and with nothing taken from the proof but field elements and
//! hashes. Which operations there are, how large everything is and how many columns are opened follows from
//! the registered header and the batch.
//!
//! Memory is bounded by the statement's size plus one row of the commitments; time by the same plus the
//! tables.

mod channel;
mod gkr;
mod hiding;
mod layers;
mod leaves;
mod opening;
mod padded;
mod places;
mod public;
mod sumcheck;

use channel::{Channel, Reader, Value};
#[cfg(test)]
pub(crate) use hiding::inference;
pub(crate) use hiding::{functional, lagrange, link_functional};
use opening::Commitment;
#[cfg(test)]
pub(crate) use opening::words;
#[cfg(test)]
pub(crate) use places::Tested;

use crate::claims::Claim;
use crate::error::{ProofError, Result};
use crate::extension::{Cubic, Extension, Quadratic};
use crate::forward;
use crate::header::{self, Header, Statement};
use crate::layout::{self, Column};
use crate::merkle::Digest;
use crate::params::Security;
use crate::transcript::Transcript;

/// Checks a proof.
///
/// # Errors
/// [`ProofError::Rejected`] when the proof does not convince, [`ProofError::InvalidData`] when the
/// statement itself does not fit the model.
pub fn verify(header: &Header, statement: &Statement<'_>, proof: &[u8]) -> Result<()> {
    statement.check(&header.architecture)?;
    verify_with(header, statement, None, statement.transcript(&header.digest()), proof)
}

/// Checks a proof, of a statement that was checked, with challenges from this transcript.
pub(crate) fn verify_with(
    header: &Header,
    statement: &Statement<'_>,
    hidden_input: Option<&Digest>,
    transcript: Transcript,
    proof: &[u8],
) -> Result<()> {
    match header.profile.security() {
        Security::Bits100 => {
            verify_in::<Quadratic>(header, statement, hidden_input, transcript, proof)
        }
        Security::Bits128 => verify_in::<Cubic>(header, statement, hidden_input, transcript, proof),
    }
}

fn verify_in<E: Extension>(
    header: &Header,
    statement: &Statement<'_>,
    hidden_input: Option<&Digest>,
    transcript: Transcript,
    proof: &[u8],
) -> Result<()> {
    match (header.profile.openings(), hidden_input) {
        (None, None) => plain::<E>(header, statement, transcript, proof),
        (None, Some(_)) => {
            Err(ProofError::InvalidData("a model that hides nothing hides no input".into()))
        }
        (Some(openings), input) => {
            hiding::verify::<E>(header, statement, input, openings, transcript, proof)
        }
    }
}

/// Checks a proof that hides nothing.
fn plain<E: Extension>(
    header: &Header,
    statement: &Statement<'_>,
    transcript: Transcript,
    proof: &[u8],
) -> Result<()> {
    let (architecture, batch) = (&header.architecture, statement.batch);
    // Every public number is in its range; the cells are needed below.
    let input = forward::padded(architecture.input(), batch, statement.input)?;
    let output = forward::padded(architecture.output(), batch, statement.output)?;
    let mut reader = Reader::new(transcript, proof);
    let root = reader.receive_digest("columns root")?;
    let all = converse::<E, _>(&mut reader, header, batch, false, &output)?;
    let found = all.with_input(&mut reader, header, batch, Some(&input))?;
    header.column_matrix(batch).verify(&mut reader, &root, &found.columns)?;
    if !found.weights.is_empty() {
        header.weight_matrix().verify(&mut reader, &header.weight_root, &found.weights)?;
    }
    reader.finish()
}

/// Checks a hiding proof whose input is hidden as well, behind the commitment `input`; the statement has no input.
///
/// Who knows the input and its seed can compute the commitment again, by [`crate::commit_input`].
///
/// # Errors
/// As [`verify`]; [`ProofError::InvalidData`] when the model does not hide.
pub fn verify_hidden_input(
    header: &Header,
    statement: &Statement<'_>,
    input: &Digest,
    proof: &[u8],
) -> Result<()> {
    statement.check_hidden(&header.architecture)?;
    let transcript = statement.hidden_transcript(&header.digest(), input);
    verify_with(header, statement, Some(input), transcript, proof)
}

/// Checks that two hiding headers are of the same weights: a model that was registered again, with new
/// randomness, is still the model.
///
/// # Errors
/// [`ProofError::Rejected`] when the proof does not convince, [`ProofError::InvalidModel`] when the headers
/// differ in more than the weights' commitment.
pub fn verify_link(old: &Header, new: &Header, proof: &[u8]) -> Result<()> {
    let openings = header::check_link(old, new)?;
    let transcript = header::link_transcript(old, new);
    match old.profile.security() {
        Security::Bits100 => {
            hiding::verify_link::<Quadratic>(old, new, openings, transcript, proof)
        }
        Security::Bits128 => hiding::verify_link::<Cubic>(old, new, openings, transcript, proof),
    }
}

/// The claims that remain for the openings.
struct Found<E, V> {
    columns: Vec<Claim<E, V>>,
    weights: Vec<Claim<E, V>>,
}

/// The claims that remain after everything but the openings.
struct All<E, V> {
    found: Found<E, V>,
    tensors: Vec<(usize, Vec<E>, V)>,
}

impl<E: Extension, V: Value<E>> All<E, V> {
    /// Checks the claims on the public input, and makes those on other tensors claims on columns.
    fn with_input<C: Channel<E, Value = V>>(
        self,
        channel: &mut C,
        header: &Header,
        batch: usize,
        input: Option<&[i16]>,
    ) -> Result<Found<E, V>> {
        let mut found = self.found;
        for (tensor, point, value) in self.tensors {
            if let Some(op) = tensor.checked_sub(1) {
                let block = layers::output_block(&header.architecture, batch, op)?;
                found.columns.push(Claim { block, point, value });
            } else if let Some(input) = input {
                let claimed = V::public(public::evaluate(input, &point));
                channel.zero(&(claimed - value), "the input is another one")?;
            } else {
                let columns = layout::all_columns(&header.architecture, batch, true);
                let block = layers::block(&columns, Column::Input)?;
                found.columns.push(Claim { block, point, value });
            }
        }
        Ok(found)
    }
}

/// Everything between the commitment and the openings.
fn converse<E: Extension, C: Channel<E>>(
    channel: &mut C,
    header: &Header,
    batch: usize,
    hides_input: bool,
    output: &[i16],
) -> Result<All<E, C::Value>> {
    let architecture = &header.architecture;
    let folding = channel.challenge();
    let alpha = channel.challenge();
    let segments = layout::all_segments(architecture, batch, hides_input);
    let leaves = gkr::verify(channel, layout::log2_ceil(segments.len))?;
    let blocks = layout::all_columns(architecture, batch, hides_input);
    let values = channel.receive("look-up columns", blocks.len())?;
    leaves::check(channel, architecture, &segments, &leaves, &blocks, &values, folding, alpha)?;

    let mut claims = layers::Claims { tensors: Vec::new(), weights: Vec::new() };
    for index in 0..architecture.ops().len() {
        let log = layout::tensor_log(&architecture.tensors()[index + 1], batch);
        let sum = layers::scaled(architecture, &blocks, &values, index);
        layers::verify(channel, header, batch, index, sum, &leaves.point[..log], &mut claims)?;
    }
    claims.tensors.push(public::bind_output(channel, architecture, batch, output)?);
    let with_point = |(block, (shape, value)): (usize, (&(Column, layout::Block), C::Value))| {
        Claim { block, point: leaves.point[..shape.1.log_size].to_vec(), value }
    };
    let columns = blocks.iter().zip(values).enumerate().map(with_point).collect();
    Ok(All { found: Found { columns, weights: claims.weights }, tensors: claims.tensors })
}

/// What a broken layout would be; never the proof's fault.
fn missing() -> ProofError {
    ProofError::Rejected("BUG: a block that the layout does not have")
}
