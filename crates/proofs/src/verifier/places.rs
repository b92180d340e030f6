//! The random places of a hiding proof: every tree is opened at them, and every column compared with what was
//! sent about it.

use super::channel::Reader;
use super::opening::{self, Opened};
use crate::dot::{Factors, dot};
use crate::error::{ProofError, Result};
use crate::extension::Extension;
use crate::field::F;
use crate::hiding::Plan;
use crate::lanes::{self, Scale};
use crate::merkle::{self, Digest, SALT};
use crate::ntt::Domain;

/// Reads the columns of the commitments from outside, then their masks. Gives for each place the node of the
/// masks that hangs below the proof's own tree; none when there is no such commitment.
pub(super) fn check_outside<E: Extension>(
    reader: &mut Reader<'_>,
    plan: &Plan,
    roots: &[Digest],
    opened: &[Opened<E>],
    places: &[usize],
) -> Result<Vec<Digest>> {
    // What is missing at each place, of each commitment, for its mask to make up for.
    let mut missing = Vec::with_capacity(opened.len());
    for ((matrix, root), opened) in plan.outside.iter().zip(roots).zip(opened) {
        let mut words = opened.words(matrix.log_length, places);
        let mut leaves = Leaves::new(SALT + 8 * matrix.rows, places.len());
        let factors = Factors::new(&opened.factors);
        for word in &mut words {
            let bytes = reader.take(SALT + 8 * matrix.rows)?;
            leaves.push(bytes, &[]);
            *word -= opening::combine(&bytes[SALT..], &factors)?;
        }
        let (log_length, leaves) = (matrix.log_length, leaves.hash(merkle::salted_leaves));
        let found = merkle::root_of(log_length, places, &leaves, || reader.take_digest());
        if found != Some(*root) {
            return Err(ProofError::Rejected("a column is not in the commitment"));
        }
        missing.push(words);
    }
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    let depth = plan.fold() as usize;
    let bytes = SALT + 8 * plan.mask_rows() * opened.len();
    let mut leaves = Leaves::new(bytes, places.len());
    let mut siblings = Vec::with_capacity(places.len() * depth);
    for index in 0..places.len() {
        let bytes = reader.take(bytes)?;
        leaves.push(bytes, &[]);
        let values = opening::column(&bytes[SALT..])?;
        let each = values.chunks_exact(plan.mask_rows()).zip(plan.outside.iter().zip(opened));
        for ((mask, (matrix, opened)), missing) in each.zip(&missing) {
            let factors = opened.factors.get(matrix.rows..).unwrap_or_default();
            if missing.get(index) != Some(&dot(factors, mask)) {
                return Err(ProofError::Rejected("a column does not fit the combination"));
            }
        }
        for _ in 0..depth {
            let sibling = reader.take_digest();
            siblings.push(sibling.ok_or(ProofError::Rejected("the proof ends early"))?);
        }
    }
    let leaves = leaves.hash(merkle::mask_leaves);
    Ok(merkle::climb(leaves, places, plan.fold(), &siblings))
}

/// Leaves that are hashed together, each with its padding.
struct Leaves {
    width: usize,
    all: Vec<u8>,
}

impl Leaves {
    fn new(bytes: usize, count: usize) -> Self {
        let width = merkle::padded(bytes);
        Self { width, all: Vec::with_capacity(count * width) }
    }

    /// Adds one, and what hangs below it.
    fn push(&mut self, bytes: &[u8], below: &[u8]) {
        let end = self.all.len() + self.width;
        self.all.extend_from_slice(bytes);
        self.all.extend_from_slice(below);
        self.all.resize(end, 0);
    }

    fn hash(&self, all: fn(&[u8], usize) -> Vec<Digest>) -> Vec<Digest> {
        all(&self.all, self.all.len() / self.width)
    }
}

/// The linear test, ready for many places.
pub(crate) struct Tested<'a, E> {
    plan: &'a Plan,
    /// The polynomial of each row of pads.
    coefficients: Vec<Factors<E>>,
}

impl<'a, E: Extension> Tested<'a, E> {
    pub(crate) fn new(plan: &'a Plan, functional: &[E]) -> Self {
        let rows = plan.reversed_rows(functional);
        Self { plan, coefficients: rows.iter().map(|row| Factors::new(row)).collect() }
    }

    /// What a column gives: Σ functional(x)·row + m_0 + x^(P − 1)·m_1.
    pub(crate) fn at(&self, x: F, column: &[F]) -> E {
        let (masks, pads) = column.split_at(self.plan.first_pad_row().min(column.len()));
        let Some((_, masks)) =
            masks.split_at_checked(self.plan.columns.rows + self.plan.mask_rows())
        else {
            return E::ZERO;
        };
        let powers = powers(x, self.plan.log_pad_columns);
        let last = powers.last().copied().unwrap_or(F::ONE);
        let rows = self.coefficients.iter().zip(pads);
        let sum: E = rows.map(|(row, value)| row.dot(&powers).scale(*value)).sum();
        let mask = |first: usize| {
            E::from_fn(|index| masks.get(first + index).copied().unwrap_or_default())
        };
        sum + mask(0) + mask(E::DEGREE).scale(last)
    }
}

/// `1, x, x², …`: `2^log` of them, by doubling, so that products do not wait for each other.
fn powers(x: F, log: usize) -> Vec<F> {
    let (mut powers, mut next) = (vec![F::ONE; 1 << log], x);
    for half in (0..log).map(|log| 1 << log) {
        let (low, rest) = powers.split_at_mut(half);
        lanes::run(Scale { from: low, to: &mut rest[..half], factor: next });
        next *= next;
    }
    powers
}

#[allow(clippy::too_many_arguments, reason = "one comparison of everything that was sent")]
/// Reads the columns of the proof's own matrix and compares them with the combination plus `both` times the
/// linear test: a challenge that comes after both were sent, so that two comparisons are one.
pub(super) fn check_columns<E: Extension>(
    reader: &mut Reader<'_>,
    plan: &Plan,
    root: &Digest,
    opened: &Opened<E>,
    tested: &Tested<'_, E>,
    test: &[E],
    both: E,
    places: &[usize],
    below: &[Digest],
) -> Result<()> {
    let matrix = &plan.columns;
    let mut own: Vec<usize> = places.iter().map(|place| place >> plan.fold()).collect();
    own.dedup();
    let words = opened.words_with(both, test, matrix.log_length, &own);
    let (domain, factors) = (Domain::new(matrix.log_length), Factors::new(&opened.factors));
    let bytes = SALT + 8 * matrix.all_rows();
    let mut leaves = Leaves::new(if below.is_empty() { bytes } else { bytes + 32 }, own.len());
    for (place, word) in own.iter().zip(words) {
        let bytes = reader.take(bytes)?;
        let column = opening::column(&bytes[SALT..])?;
        let combined = factors.dot(&column);
        if combined + both * tested.at(domain.point(*place), &column) != word {
            return Err(ProofError::Rejected("a column does not fit what was sent of it"));
        }
        let mut nodes = places.iter().zip(below).filter(|(q, _)| **q >> plan.fold() == *place);
        let node = nodes.next().map(|(_, node)| node);
        if nodes.any(|(_, other)| Some(other) != node) {
            return Err(ProofError::Rejected("a mask is not in the commitment"));
        }
        leaves.push(bytes, node.map_or(&[], |node| &node[..]));
    }
    let leaves = leaves.hash(merkle::salted_leaves);
    let found = merkle::root_of(matrix.log_length, &own, &leaves, || reader.take_digest());
    if found != Some(*root) {
        return Err(ProofError::Rejected("a column is not in the commitment"));
    }
    Ok(())
}
