//! Verifies one opening of a matrix.
//!
//! Why it convinces. Let δ = (1 − ρ)/2. (1) The combination contains, with a weight of its own, a random
//! combination of *all* rows (the proximity row, drawn after every other claim was fixed). If the rows do not
//! agree with codewords on a common set of (1 − δ)n columns, that row is δ-far except with probability
//! log(rows)·n/|E|, so is the sum except with n/|E|, and each query then misses with at most 1 − δ. (2)
//! Otherwise the rows decode uniquely. If the sent combination is not that of the decoded rows, the two
//! codewords agree on at most ρn columns, and with δn bad columns a query misses with at most ρ + δ =
//! (1 + ρ)/2. (3) Otherwise the sent vector is the true one, and since its value is checked against weights
//! drawn after the column values were fixed, those are true except with groups/|E|; then so is the last
//! claim of the column sum-check, and with 2·log C/|E| and claims/|E| every single claim.

use super::channel::{Channel, Reader, Value};
use super::sumcheck;
use crate::claims::{self, Claim, Group};
use crate::dot::Factors;
use crate::error::{ProofError, Result};
use crate::extension::{self, Extension};
use crate::field::F;
use crate::layout::log2_ceil;
use crate::merkle::{self, Digest};
use crate::mle;
use crate::ntt::Domain;
use crate::params::Matrix;

/// How the claims on a commitment are verified; the prover's counterpart is `prover::commit::Commitment`.
pub(crate) trait Commitment {
    /// Checks all claims against the commitment `root`.
    fn verify<E: Extension>(
        &self,
        channel: &mut Reader<'_>,
        root: &Digest,
        claims: &[Claim<E, E>],
    ) -> Result<()>;
}

impl Commitment for Matrix {
    fn verify<E: Extension>(
        &self,
        channel: &mut Reader<'_>,
        root: &Digest,
        claims: &[Claim<E, E>],
    ) -> Result<()> {
        let opened = argue(channel, self, claims)?;
        check_columns(channel, self, root, &opened)
    }
}

/// A combination of rows that was sent, and what it is a combination with.
pub(crate) struct Opened<E> {
    /// One factor a row.
    pub(crate) factors: Vec<E>,
    combination: Vec<E>,
}

impl<E: Extension> Opened<E> {
    /// The code word of the combination at some positions.
    pub(crate) fn words(&self, log_length: u32, positions: &[usize]) -> Vec<E> {
        words(&self.combination, log_length, positions)
    }

    /// The same of the combination plus `factor` times a longer vector.
    pub(crate) fn words_with(
        &self,
        factor: E,
        longer: &[E],
        log_length: u32,
        positions: &[usize],
    ) -> Vec<E> {
        let mut sum: Vec<E> = longer.iter().map(|element| *element * factor).collect();
        for (sum, element) in sum.iter_mut().zip(&self.combination) {
            *sum += *element;
        }
        words(&sum, log_length, positions)
    }
}

/// Follows an opening up to the combination that columns must then fit.
pub(crate) fn argue<E: Extension, C: Channel<E>>(
    channel: &mut C,
    matrix: &Matrix,
    all: &[Claim<E, C::Value>],
) -> Result<Opened<E>> {
    let by_claim = channel.challenge().powers(all.len());
    let groups = claims::groups(matrix, all);
    let zero = || C::Value::public(E::ZERO);
    let terms = all.iter().zip(&by_claim).map(|(claim, weight)| claim.value.times(*weight));
    let total = terms.fold(zero(), |sum, term| sum + term);
    let (last, point) = sumcheck::products(channel, "column round", total, matrix.log_columns)?;
    let values = channel.receive("column values", groups.len())?;
    let weighted = |group: &Group<E>| match group {
        Group::Large { columns, .. } => mle::eq(columns, &point),
        Group::Row { claims, .. } => {
            let of = |index: &usize| {
                by_claim[*index] * mle::eq(&claims::row_point(matrix, &all[*index]), &point)
            };
            claims.iter().map(of).sum()
        }
    };
    let terms = groups.iter().map(weighted).zip(&values).map(|(weight, value)| value.times(weight));
    let found = terms.fold(zero(), |sum, term| sum + term);
    channel.zero(&(found - last), "the columns do not add up")?;

    let random = mle::eq_table(&channel.challenges(log2_ceil(matrix.all_rows())));
    let proximity = channel.receive_one("proximity value")?;
    // The mask is fixed with its value, before the weights of the combination are known.
    let mask = if channel.hides() { channel.receive_one("mask value")? } else { zero() };
    let by_group = claims::group_weights(
        channel.challenge(),
        channel.challenge(),
        groups.len(),
        channel.hides(),
    );
    let combination = channel.receive_clear("combination", matrix.message)?;
    let terms = values.iter().chain([&proximity]).zip(&by_group);
    let expected = terms.fold(mask, |sum, (value, weight)| sum + value.times(*weight));
    let found = inner_product(&combination, &mle::eq_table(&point));
    channel.zero(&(C::Value::public(found) - expected), "the combination has another value")?;
    let factors = claims::all_factors(matrix, all, &groups, &by_claim, &by_group, &random);
    Ok(Opened { factors, combination })
}

fn inner_product<E: Extension>(a: &[E], b: &[E]) -> E {
    a.iter().zip(b).map(|(x, y)| *x * *y).sum()
}

/// The code word of a vector at some positions.
pub(crate) fn words<E: Extension>(vector: &[E], log_length: u32, positions: &[usize]) -> Vec<E> {
    let domain = Domain::new(log_length);
    extension::by_coordinate(vector, |word| {
        word.resize(domain.size(), F::ZERO);
        domain.evaluate_at(word, vector.len(), positions);
        *word = positions.iter().map(|position| word[*position]).collect();
    })
}

/// The values of a column.
pub(crate) fn column(bytes: &[u8]) -> Result<Vec<F>> {
    let (chunks, _) = bytes.as_chunks::<8>();
    let values = chunks.iter().map(|chunk| F::from_canonical(u64::from_le_bytes(*chunk)));
    let column: Option<Vec<F>> = values.collect();
    column.ok_or(ProofError::Rejected("a column that is not canonical"))
}

/// The combination of a column.
pub(crate) fn combine<E: Extension>(bytes: &[u8], factors: &Factors<E>) -> Result<E> {
    Ok(factors.dot(&column(bytes)?))
}

/// Opens random columns and compares each with the code word of the combination.
fn check_columns<E: Extension>(
    channel: &mut Reader<'_>,
    matrix: &Matrix,
    root: &Digest,
    opened: &Opened<E>,
) -> Result<()> {
    let positions = channel.transcript.positions(matrix.queries, matrix.log_length);
    let words = opened.words(matrix.log_length, &positions);
    let (width, factors) = (8 * matrix.rows, Factors::new(&opened.factors));
    let mut leaves = Vec::with_capacity(positions.len() * width);
    for word in words {
        let bytes = channel.take(width)?;
        leaves.extend_from_slice(bytes);
        if combine(bytes, &factors)? != word {
            return Err(ProofError::Rejected("a column does not fit the combination"));
        }
    }
    let leaves = merkle::leaves(&leaves, positions.len());
    let found = merkle::root_of(matrix.log_length, &positions, &leaves, || channel.take_digest());
    if found != Some(*root) {
        return Err(ProofError::Rejected("a column is not in the commitment"));
    }
    Ok(())
}
