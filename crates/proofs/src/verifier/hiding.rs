//! Verifies a hiding proof: the same conversation behind pads, then one linear test for all its equations.
//!
//! Why it convinces, beyond `opening.rs`. The pads and the products of pads are rows of the proof's own
//! matrix, fixed before the first challenge. (1) The products are products: the values that are committed as
//! those of U, V (on a subgroup of order h) and W (on one of order 2h) define polynomials; U·V = W is checked
//! at a random point, which a false product survives with 2h/|E|. (2) All equations are combined with powers
//! of a challenge that comes after everything they are about, so a false one survives with their number/|E|.
//! (3) The linear test: let δ = (1 − ρ)/2, where ρ belongs to the longest polynomial, that of the test. The
//! proximity row covers all rows, so outside of δn places they agree with polynomials of their degree. If the
//! sent polynomial is not Σ row · functional + mask of those, the two agree on at most ρn places, and a query
//! misses with at most ρ + δ = (1 + ρ)/2. If it is, its coefficient is that of the mask, fixed before the
//! challenge of (2), plus the value of the functional; so a mask with a sum of its own gains nothing.

use super::channel::Reader;
use super::opening::{self, Opened};
use super::padded::{Padded, PaddedReader};
use super::{Found, channel::Channel, converse};
use crate::error::{ProofError, Result};
use crate::extension::{E, inverses};
use crate::field::F;
use crate::forward;
use crate::header::{Header, Statement};
use crate::hiding::{MASK_ROWS, Pads, Plan};
use crate::merkle::{self, Digest, SALT};
use crate::ntt::Domain;
use crate::transcript::Transcript;

/// What remains of a hiding proof after its conversation.
pub(crate) struct Settled<'a> {
    /// Reads on, behind the challenge of the equations.
    pub(crate) reader: Reader<'a>,
    /// Root of the proof's own tree.
    pub(crate) root: Digest,
    /// One element a pad.
    pub(crate) functional: Vec<E>,
    /// What the functional must give.
    pub(crate) target: E,
    /// The combinations that the columns must fit.
    pub(crate) columns: Opened,
    pub(crate) weights: Option<Opened>,
}

/// Reads the conversation: everything up to the polynomial of the linear test. Decides nothing.
pub(crate) fn settle<'a>(
    header: &Header,
    statement: &Statement<'_>,
    plan: &'a Plan,
    transcript: Transcript,
    proof: &'a [u8],
) -> Result<Settled<'a>> {
    let (batch, architecture) = (statement.batch, &header.architecture);
    let input = forward::padded(architecture.input(), batch, statement.input)?;
    let output = forward::padded(architecture.output(), batch, statement.output)?;
    let mut reader = Reader::new(transcript, proof);
    let root = reader.receive_digest("columns root")?;
    let mut channel = PaddedReader::new(reader, &plan.pads);
    let found = converse(&mut channel, header, batch, &output)?;
    let Found { columns, weights } = found.with_input(&mut channel, header, batch, &input)?;
    let columns = opening::argue(&mut channel, &plan.columns, &columns)?;
    let weights = match &plan.weights {
        Some(matrix) => Some(opening::argue(&mut channel, matrix, &weights)?),
        None => None,
    };
    if !channel.is_complete() {
        return Err(ProofError::Rejected("BUG: a product that was not asked for"));
    }
    products(&mut channel, &plan.pads)?;
    let factor = channel.challenge();
    let (mut functional, mut target) = (vec![E::ZERO; plan.pads.len()], E::ZERO);
    for (equation, power) in channel.equations.iter().zip(factor.powers(channel.equations.len())) {
        equation.collect(power, &mut functional, &mut target);
    }
    Ok(Settled { reader: channel.reader, root, functional, target, columns, weights })
}

/// The products of pads are products: one random place of two polynomials of factors and one of products.
fn products(channel: &mut PaddedReader<'_>, layout: &Pads) -> Result<()> {
    let unlucky = || ProofError::Rejected("a challenge in a small subgroup");
    let at = channel.challenge();
    let factors = channel.receive_clear("factors of products", 2)?;
    let weights = lagrange(layout.log_half(), at).ok_or_else(unlucky)?;
    for (side, value) in factors.iter().enumerate() {
        let places = layout.pairs.iter().map(|pair| pair[side]);
        let places = places.chain([layout.random_factors()[side]]);
        let terms = places.zip(weights.iter().copied()).collect();
        channel.equations.push(Padded::form(-*value, terms));
    }
    let weights = lagrange(layout.log_half() + 1, at).ok_or_else(unlucky)?;
    let half = 1 << layout.log_half();
    let even = (0..=layout.pairs.len()).map(|index| layout.product(index));
    let odd = (0..half).map(|index| layout.odd() + index);
    let terms = even.zip(weights.iter().copied()).chain(odd.zip(weights[half..].iter().copied()));
    channel.equations.push(Padded::form(-(factors[0] * factors[1]), terms.collect()));
    Ok(())
}

/// The weights that give a polynomial's value at a point from its values on a subgroup of order 2^`log_size`, in
/// the order of [`Domain`]; `None` when the point is in the subgroup.
pub(crate) fn lagrange(log_size: u32, at: E) -> Option<Vec<E>> {
    let domain = Domain::new(log_size);
    let size = domain.size();
    let points: Vec<F> = (0..size).map(|place| domain.point(place)).collect();
    let distances: Vec<E> = points.iter().map(|point| at - E::from(*point)).collect();
    let scale = F::from_u64(size as u64).inverse()?;
    let factor = (at.pow(size as u64) - E::ONE).scale(scale);
    let inverses = inverses(&distances)?;
    Some(points.iter().zip(inverses).map(|(x, inverse)| (factor * inverse).scale(*x)).collect())
}

/// Checks a hiding proof.
pub(super) fn verify(
    header: &Header,
    statement: &Statement<'_>,
    openings: u32,
    transcript: Transcript,
    proof: &[u8],
) -> Result<()> {
    let plan = Plan::new(&header.architecture, statement.batch, openings)?;
    let settled = settle(header, statement, &plan, transcript, proof)?;
    let Settled { mut reader, root, functional, target, columns, weights } = settled;
    let test = reader.elements("linear test", plan.test_length())?;
    if test.get(plan.pad_columns() - 1) != Some(&target) {
        return Err(ProofError::Rejected("an equation behind pads is false"));
    }
    let places = reader.transcript.positions(plan.queries, plan.log_places());
    let below = match (&plan.weights, weights) {
        (Some(matrix), Some(opened)) => {
            check_weights(&mut reader, &plan, matrix, header, &opened, &places)?
        }
        _ => Vec::new(),
    };
    let tested = Tested::new(&plan, &functional, &test);
    check_columns(&mut reader, &plan, &root, &columns, &tested, &places, &below)?;
    reader.finish()
}

/// Reads the weights' columns and their mask at the places. Gives for each place the node that its leaf of the
/// mask hangs below.
fn check_weights(
    reader: &mut Reader<'_>,
    plan: &Plan,
    matrix: &crate::params::Matrix,
    header: &Header,
    opened: &Opened,
    places: &[usize],
) -> Result<Vec<Digest>> {
    let (values, masks) = opened.factors.split_at(matrix.rows);
    let mut sums = Vec::with_capacity(places.len());
    let mut leaves = Vec::with_capacity(places.len());
    for _ in places {
        let bytes = reader.take(SALT + 8 * matrix.rows)?;
        leaves.push(merkle::salted_leaf(bytes));
        sums.push(opening::combine(&bytes[SALT..], values)?);
    }
    let log_length = matrix.log_length;
    let found = merkle::root_of(log_length, places, &leaves, || reader.take_digest());
    if found != Some(header.weight_root) {
        return Err(ProofError::Rejected("a column is not in the commitment"));
    }
    let words = opened.words(log_length, places);
    let mut nodes = Vec::with_capacity(places.len());
    for ((place, sum), word) in places.iter().zip(sums).zip(words) {
        let bytes = reader.take(SALT + 8 * MASK_ROWS)?;
        if sum + opening::combine(&bytes[SALT..], masks)? != word {
            return Err(ProofError::Rejected("a column does not fit the combination"));
        }
        let leaf = merkle::mask_leaf(bytes);
        let node = merkle::climb(leaf, *place, plan.fold(), || reader.take_digest());
        nodes.push(node.ok_or(ProofError::Rejected("the proof ends early"))?);
    }
    Ok(nodes)
}

/// The linear test, ready for many places.
struct Tested<'a> {
    plan: &'a Plan,
    /// For each coefficient, one element a row of pads.
    coefficients: Vec<Vec<E>>,
    test: &'a [E],
}

impl<'a> Tested<'a> {
    fn new(plan: &'a Plan, functional: &[E], test: &'a [E]) -> Self {
        Self { plan, coefficients: plan.reversed_rows(functional), test }
    }

    /// Whether a column fits: test(x) = Σ functional(x)·row + m_0 + x^(P − 1)·m_1.
    fn holds(&self, x: F, word: E, column: &[F]) -> bool {
        let (masks, pads) = column.split_at(self.plan.first_pad_row());
        let [.., a, b, c, d] = masks else { return false };
        let powers: Vec<F> = std::iter::successors(Some(F::ONE), |power| Some(*power * x))
            .take(self.plan.pad_columns())
            .collect();
        let last = powers.last().copied().unwrap_or(F::ONE);
        let mut sum = E(*a, *b) + E(*c, *d).scale(last);
        for (row, value) in self.coefficients.iter().zip(pads) {
            let terms = row.iter().zip(&powers).map(|(factor, power)| factor.scale(*power));
            sum += terms.sum::<E>().scale(*value);
        }
        sum == word
    }
}

/// Reads the columns of the proof's own matrix and compares them with the combination and the linear test.
fn check_columns(
    reader: &mut Reader<'_>,
    plan: &Plan,
    root: &Digest,
    opened: &Opened,
    tested: &Tested<'_>,
    places: &[usize],
    below: &[Digest],
) -> Result<()> {
    let matrix = &plan.columns;
    let mut own: Vec<usize> = places.iter().map(|place| place >> plan.fold()).collect();
    own.dedup();
    let words = opened.words(matrix.log_length, &own);
    let tests = opening::words(tested.test, matrix.log_length, &own);
    let domain = Domain::new(matrix.log_length);
    let mut leaves = Vec::with_capacity(own.len());
    for ((place, word), test) in own.iter().zip(words).zip(tests) {
        let bytes = reader.take(SALT + 8 * matrix.all_rows())?;
        let column = opening::column(&bytes[SALT..])?;
        if opening::inner(&column, &opened.factors) != word {
            return Err(ProofError::Rejected("a column does not fit the combination"));
        }
        if !tested.holds(domain.point(*place), test, &column) {
            return Err(ProofError::Rejected("a column does not fit the linear test"));
        }
        let mut nodes = places.iter().zip(below).filter(|(q, _)| **q >> plan.fold() == *place);
        let mut leaf = bytes.to_vec();
        if let Some((_, node)) = nodes.next() {
            if nodes.any(|(_, other)| other != node) {
                return Err(ProofError::Rejected("a mask is not in the commitment"));
            }
            leaf.extend_from_slice(node);
        }
        leaves.push(merkle::salted_leaf(&leaf));
    }
    let found = merkle::root_of(matrix.log_length, &own, &leaves, || reader.take_digest());
    if found != Some(*root) {
        return Err(ProofError::Rejected("a column is not in the commitment"));
    }
    Ok(())
}
