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

use super::channel::{Channel, Reader};
use super::sumcheck;
use crate::claims::{self, Claim, Group};
use crate::error::{ProofError, Result};
use crate::extension::E;
use crate::field::F;
use crate::layout::log2_ceil;
use crate::merkle::{self, Digest};
use crate::mle;
use crate::ntt::Domain;
use crate::params::Matrix;

/// How the claims on a commitment are verified; the prover's counterpart is `prover::commit::Commitment`.
pub(crate) trait Commitment {
    /// Checks all claims against the commitment `root`.
    fn verify(&self, channel: &mut Reader<'_>, root: &Digest, claims: &[Claim<E>]) -> Result<()>;
}

impl Commitment for Matrix {
    fn verify(&self, channel: &mut Reader<'_>, root: &Digest, claims: &[Claim<E>]) -> Result<()> {
        verify(channel, self, root, claims)
    }
}

fn verify(
    channel: &mut Reader<'_>,
    matrix: &Matrix,
    root: &Digest,
    all: &[Claim<E>],
) -> Result<()> {
    let by_claim = channel.challenge().powers(all.len());
    let groups = claims::groups(matrix, all);
    let total = all.iter().zip(&by_claim).map(|(claim, weight)| claim.value * *weight).sum();
    let (last, point) = sumcheck::products(channel, "column round", total, matrix.log_columns)?;
    let values = channel.elements("column values", groups.len())?;
    let weighted = |group: &Group| match group {
        Group::Large { columns, .. } => mle::eq(columns, &point),
        Group::Row { claims, .. } => {
            let of = |index: &usize| {
                by_claim[*index] * mle::eq(&claims::row_point(matrix, &all[*index]), &point)
            };
            claims.iter().map(of).sum()
        }
    };
    let found: E =
        groups.iter().map(weighted).zip(&values).map(|(weight, value)| weight * *value).sum();
    channel.zero(&(found - last), "the columns do not add up")?;

    let random = mle::eq_table(&channel.challenges(log2_ceil(matrix.rows)));
    let [proximity] = channel.receive_array("proximity value")?;
    let by_group = claims::group_weights(channel.challenge(), channel.challenge(), groups.len());
    let combination = channel.elements("combination", matrix.columns())?;
    let expected: E = values
        .iter()
        .chain([&proximity])
        .zip(&by_group)
        .map(|(value, weight)| *value * *weight)
        .sum();
    let found = inner_product(&combination, &mle::eq_table(&point));
    channel.zero(&(found - expected), "the combination has another value")?;

    let mut factors = claims::combined_factors(matrix, all, &groups, &by_claim, &by_group);
    let last = by_group[groups.len()];
    for (factor, random) in factors.iter_mut().zip(&random) {
        *factor += last * *random;
    }
    check_columns(channel, matrix, root, &factors, &combination)
}

fn inner_product(a: &[E], b: &[E]) -> E {
    a.iter().zip(b).map(|(x, y)| *x * *y).sum()
}

/// Opens random columns and compares each with the code word of the combination.
fn check_columns(
    channel: &mut Reader<'_>,
    matrix: &Matrix,
    root: &Digest,
    factors: &[E],
    combination: &[E],
) -> Result<()> {
    let positions = channel.transcript.positions(matrix.queries, matrix.log_length());
    let domain = Domain::new(matrix.log_length());
    let encode = |coordinate: fn(&E) -> F| {
        let mut word: Vec<F> = combination.iter().map(coordinate).collect();
        word.resize(domain.size(), F::ZERO);
        domain.evaluate(&mut word, combination.len());
        word
    };
    let (low, high) = (encode(|e| e.0), encode(|e| e.1));
    let mut leaves = Vec::with_capacity(positions.len());
    for position in &positions {
        let bytes = channel.take(8 * matrix.rows)?;
        leaves.push(merkle::leaf(bytes));
        let (chunks, _) = bytes.as_chunks::<8>();
        let mut sum = E::ZERO;
        for (chunk, factor) in chunks.iter().zip(factors) {
            let value = F::from_canonical(u64::from_le_bytes(*chunk))
                .ok_or(ProofError::Rejected("a column that is not canonical"))?;
            sum += factor.scale(value);
        }
        if sum != E(low[*position], high[*position]) {
            return Err(ProofError::Rejected("a column does not fit the combination"));
        }
    }
    let found = merkle::root_of(matrix.log_length(), &positions, &leaves, || channel.take_digest());
    if found != Some(*root) {
        return Err(ProofError::Rejected("a column is not in the commitment"));
    }
    Ok(())
}
