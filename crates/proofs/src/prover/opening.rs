//! Opens many claims on one matrix with one combination of its rows.

use super::channel::Channel;
use super::commit::{Commitment, Committed};
use super::sumcheck;
use crate::claims::{self, Claim, Group};
use crate::extension::Extension;
use crate::field::F;
use crate::layout::log2_ceil;
use crate::merkle::Digest;
use crate::mle;
use crate::params::Matrix;

impl Commitment for Committed {
    fn root(&self) -> Digest {
        self.tree.root()
    }

    fn open<E: Extension>(
        &self,
        channel: &mut Channel<'_, E>,
        claims: &[Claim<E, E>],
        masks: &[Vec<F>],
    ) {
        open(channel, self, claims, masks);
    }

    fn reveal<E: Extension>(&self, channel: &mut Channel<'_, E>, positions: &[usize]) {
        for position in positions {
            channel.send_last("column", self.column(*position));
        }
        let path = self.tree.open(positions);
        channel.send_last("path", path.concat());
    }
}

/// Proves all claims. The verifier's side, with the argument, is `verifier/opening.rs`.
///
/// `masks` are the messages of the extra rows where these are not committed to together with the values.
fn open<E: Extension>(
    channel: &mut Channel<'_, E>,
    committed: &Committed,
    all: &[Claim<E, E>],
    masks: &[Vec<F>],
) {
    let matrix = &committed.matrix;
    let extra = if masks.is_empty() { &committed.extra } else { masks };
    let by_claim = channel.challenge().powers(all.len());
    let groups = claims::groups(matrix, all);
    let mut pairs: Vec<(Vec<E>, Vec<E>)> = groups
        .iter()
        .map(|group| match group {
            Group::Large { columns, claims } => {
                let job = |index: &usize| {
                    let claim = &all[*index];
                    (claim.block, claims::row_factors(matrix, claim, by_claim[*index]))
                };
                let jobs: Vec<_> = claims.iter().map(job).collect();
                (mle::eq_table(columns), committed.combine_blocks(&jobs))
            }
            Group::Row { row, claims } => {
                let mut weights = vec![E::ZERO; matrix.columns()];
                for index in claims {
                    let claim = &all[*index];
                    let table = mle::scaled_eq_table(&claim.point, by_claim[*index]);
                    let offset = matrix.places[claim.block].offset;
                    for (sum, weight) in weights[offset..].iter_mut().zip(table) {
                        *sum += weight;
                    }
                }
                (weights, committed.row(*row).into_iter().map(E::from).collect())
            }
        })
        .collect();
    let vectors: Vec<Vec<E>> = pairs.iter().map(|(_, vector)| vector.clone()).collect();
    let point = sumcheck::products(channel, "column round", matrix.log_columns, &mut pairs);
    channel.send("column values", pairs.iter().map(|(_, vector)| vector[0]).collect());

    let random = mle::eq_table(&channel.challenges(log2_ceil(matrix.all_rows())));
    let proximity = committed.combine_all(&random[..matrix.all_rows()], extra);
    channel.send("proximity value", vec![mle::evaluate(&proximity, &point)]);
    let mask = masked(matrix, extra);
    if channel.hides() {
        channel.send("mask value", vec![mle::evaluate(&mask, &point)]);
    }

    let by_group = claims::group_weights(
        channel.challenge(),
        channel.challenge(),
        groups.len(),
        channel.hides(),
    );
    let mut combination = mask;
    for (vector, weight) in vectors.iter().chain([&proximity]).zip(&by_group) {
        for (sum, value) in combination.iter_mut().zip(vector) {
            *sum += *weight * *value;
        }
    }
    if channel.hides() {
        let factors = claims::all_factors(matrix, all, &groups, &by_claim, &by_group, &random);
        combination.extend(committed.combine_random(&factors, extra));
    }
    channel.send_clear("combination", combination);
}

/// The values of the mask of a combination; zero when nothing is hidden.
fn masked<E: Extension>(matrix: &Matrix, extra: &[Vec<F>]) -> Vec<E> {
    if extra.len() < E::DEGREE {
        return vec![E::ZERO; matrix.columns()];
    }
    let value = |column: usize| E::from_fn(|row| extra[row][column]);
    (0..matrix.columns()).map(value).collect()
}
