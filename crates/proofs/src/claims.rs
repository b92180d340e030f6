//! Evaluation claims about committed and public vectors, and how claims on one matrix share one opening.
//!
//! A claim on a block that fills rows is a row part (eq over the block's rows) times a column part (eq over
//! the row). A claim on a block inside a row is a column part alone. Claims with the same column part, or in
//! the same row, form a *group* with one vector of `C` values; one sum-check over the columns then brings all
//! groups to one column point, and one combination of rows is opened there.

use crate::extension::Extension;
use crate::mle;
use crate::params::Matrix;

/// "The extension of this block is this at this point."
#[derive(Debug, Clone)]
pub(crate) struct Claim<E, V> {
    /// Index of the block in its matrix.
    pub(crate) block: usize,
    /// The point, lowest coordinate first.
    pub(crate) point: Vec<E>,
    /// The claimed value.
    pub(crate) value: V,
}

/// Claims that share a vector of columns.
pub(crate) enum Group<E> {
    /// Claims on blocks of at least a row with one column part: `(claim, block)` each.
    Large {
        /// The column part.
        columns: Vec<E>,
        /// Indices of the claims.
        claims: Vec<usize>,
    },
    /// Claims on blocks inside this row.
    Row {
        /// The row.
        row: usize,
        /// Indices of the claims.
        claims: Vec<usize>,
    },
}

/// Sorts claims into groups, in order of their first claim.
pub(crate) fn groups<E: Extension, V>(matrix: &Matrix, all: &[Claim<E, V>]) -> Vec<Group<E>> {
    let mut groups: Vec<Group<E>> = Vec::new();
    for (index, claim) in all.iter().enumerate() {
        let small = matrix.blocks[claim.block].log_size < matrix.log_columns;
        let own_row = matrix.places[claim.block].row;
        let found = groups.iter_mut().find_map(|group| match group {
            Group::Row { row, claims } if small && *row == own_row => Some(claims),
            Group::Large { columns, claims } if !small && claim.point.starts_with(columns) => {
                Some(claims)
            }
            _ => None,
        });
        if let Some(claims) = found {
            claims.push(index);
        } else if small {
            groups.push(Group::Row { row: own_row, claims: vec![index] });
        } else {
            let columns = claim.point[..matrix.log_columns].to_vec();
            groups.push(Group::Large { columns, claims: vec![index] });
        }
    }
    groups
}

/// The point of a claim inside a row, as a point of the whole row.
pub(crate) fn row_point<E: Extension, V>(matrix: &Matrix, claim: &Claim<E, V>) -> Vec<E> {
    let offset = matrix.places[claim.block].offset;
    let high = matrix.blocks[claim.block].log_size..matrix.log_columns;
    let bit = |bit: usize| if offset >> bit & 1 == 1 { E::ONE } else { E::ZERO };
    claim.point.iter().copied().chain(high.map(bit)).collect()
}

/// Row factors of a claim on a block of at least a row, times a weight: one per row that exists.
pub(crate) fn row_factors<E: Extension, V>(
    matrix: &Matrix,
    claim: &Claim<E, V>,
    weight: E,
) -> Vec<E> {
    let mut factors = mle::scaled_eq_table(&claim.point[matrix.log_columns..], weight);
    factors.truncate(matrix.places[claim.block].rows);
    factors
}

/// Weights of the groups, powers of one challenge, and last that of the proximity row, a challenge of its own:
/// so the combination is a line in it, and the proximity gap of a line is what it costs. With a mask the powers
/// start at the first: weight 1 is the mask's alone, whose error could undo that of a group which had it too.
pub(crate) fn group_weights<E: Extension>(
    base: E,
    proximity: E,
    count: usize,
    masked: bool,
) -> Vec<E> {
    let from = usize::from(masked);
    let mut weights = base.powers(count + from).split_off(from);
    weights.push(proximity);
    weights
}

/// The factors of all rows in the combination that is sent: groups with weights `by_group`, claims weighted by
/// `by_claim`, the proximity row with the last weight, and the mask, of an element a column, with weight 1.
pub(crate) fn all_factors<E: Extension, V>(
    matrix: &Matrix,
    all: &[Claim<E, V>],
    groups: &[Group<E>],
    by_claim: &[E],
    by_group: &[E],
    random: &[E],
) -> Vec<E> {
    let mut factors = combined_factors(matrix, all, groups, by_claim, by_group);
    let last = by_group[groups.len()];
    for (factor, random) in factors.iter_mut().zip(random) {
        *factor += last * *random;
    }
    // The rows of the mask, times 1, X, …; the one behind them is in the proximity row alone.
    for (power, factor) in factors[matrix.rows..].iter_mut().enumerate().take(E::DEGREE) {
        *factor += E::basis(power);
    }
    factors
}

/// The factors of the rows of values in the combination of groups.
fn combined_factors<E: Extension, V>(
    matrix: &Matrix,
    all: &[Claim<E, V>],
    groups: &[Group<E>],
    by_claim: &[E],
    by_group: &[E],
) -> Vec<E> {
    let mut factors = vec![E::ZERO; matrix.all_rows()];
    for (group, weight) in groups.iter().zip(by_group) {
        match group {
            Group::Row { row, .. } => factors[*row] += *weight,
            Group::Large { claims, .. } => {
                for index in claims {
                    let claim = &all[*index];
                    let first = matrix.places[claim.block].row;
                    let own = row_factors(matrix, claim, *weight * by_claim[*index]);
                    for (sum, factor) in factors[first..].iter_mut().zip(own) {
                        *sum += factor;
                    }
                }
            }
        }
    }
    factors
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extension::Cubic as E;

    /// A group with the mask's weight could carry an error that the mask's value undoes.
    #[test]
    fn no_group_has_the_weight_of_the_mask() {
        let [base, proximity] = [E::from_i64(5), E::from_i64(11)];
        let weights = group_weights(base, proximity, 3, true);
        assert_eq!(weights, [base, base * base, base * base * base, proximity]);
        assert_eq!(group_weights(base, proximity, 2, false), [E::ONE, base, proximity]);
    }
}
