//! Verifies a hiding proof: the same conversation behind pads, then one linear test for all its equations.
//!
//! Why it convinces, beyond `opening.rs`. The pads and the products of pads are rows of the proof's own
//! matrix, fixed before the first challenge. (1) The products are products: the values that are committed as
//! those of U, V (on a subgroup of order h) and W (on one of order 2h) define polynomials; U·V = W is checked
//! at a random point, which a false product survives with 2h/|E|. (2) All equations are combined with powers,
//! from the first, of a challenge that comes after everything they are about, so a false one survives with their number/|E|.
//! (3) The linear test: let δ = (1 − ρ)/2, where ρ belongs to the longest polynomial, that of the test. The
//! proximity row covers all rows, so outside of δn places they agree with polynomials of their degree. If the
//! sent polynomial is not Σ row · functional + mask of those, the two agree on at most ρn places, and a query
//! misses with at most ρ + δ = (1 + ρ)/2. (It is compared together with the combination, by one more
//! challenge: a place where either is wrong passes with 1/|E|, so that all n places cost n/|E|.) If it is, its
//! coefficient is that of the mask, fixed before the challenge of (2), plus the value of the functional; so a
//! mask with a sum of its own gains nothing.

use super::channel::Reader;
use super::opening::{self, Opened};
use super::padded::{Padded, PaddedReader};
use super::places::{self, Tested};
use super::{Found, channel::Channel, converse, layers};
use crate::claims::Claim;
use crate::error::{ProofError, Result};
use crate::extension::{Extension, inverses};
use crate::field::F;
use crate::forward;
use crate::header::{Header, Statement};
use crate::hiding::{Pads, Plan};
use crate::layout::{self, Column};
use crate::merkle::Digest;
use crate::ntt::Domain;
use crate::transcript::Transcript;

/// What remains of a hiding proof after its conversation.
pub(crate) struct Settled<'a, E> {
    /// Reads on, behind the challenge of the equations.
    pub(crate) reader: Reader<'a>,
    /// Root of the proof's own tree.
    root: Digest,
    /// One element a pad.
    pub(crate) functional: Vec<E>,
    /// What the functional must give.
    pub(crate) target: E,
    /// The combination that the proof's own columns must fit.
    pub(crate) columns: Opened<E>,
    /// The same of each commitment from outside.
    pub(crate) outside: Vec<Opened<E>>,
}

/// Claims on a proof's own blocks, and on each commitment from outside.
type Claimed<E> = (Vec<Claim<E, Padded<E>>>, Vec<Vec<Claim<E, Padded<E>>>>);

/// Reads everything up to the polynomial of the linear test. Decides nothing.
fn settle<'a, E: Extension>(
    plan: &'a Plan,
    transcript: Transcript,
    proof: &'a [u8],
    talk: impl FnOnce(&mut PaddedReader<'a, E>) -> Result<Claimed<E>>,
) -> Result<Settled<'a, E>> {
    let mut reader = Reader::new(transcript, proof);
    let root = reader.receive_digest("columns root")?;
    let mut channel = PaddedReader::new(reader, &plan.pads);
    let (own, claims) = talk(&mut channel)?;
    let columns = opening::argue(&mut channel, &plan.columns, &own)?;
    let mut outside = Vec::with_capacity(claims.len());
    for (matrix, claims) in plan.outside.iter().zip(&claims) {
        outside.push(opening::argue(&mut channel, matrix, claims)?);
    }
    if !channel.is_complete() {
        return Err(ProofError::Rejected("BUG: a product that was not asked for"));
    }
    products(&mut channel, &plan.pads)?;
    let factor = channel.challenge();
    let (mut functional, mut target) = (vec![E::ZERO; plan.pads.len()], E::ZERO);
    // From the first power: the constant is what the mask of the linear test may have for a sum of its own.
    let powers = factor.powers(channel.equations.len() + 1).split_off(1);
    for (equation, power) in channel.equations.iter().zip(powers) {
        equation.collect(power, &mut functional, &mut target);
    }
    Ok(Settled { reader: channel.reader, root, functional, target, columns, outside })
}

/// The conversation about a statement.
pub(crate) fn inference<'a, E: Extension>(
    header: &Header,
    statement: &Statement<'_>,
    hides_input: bool,
    plan: &'a Plan,
    transcript: Transcript,
    proof: &'a [u8],
) -> Result<Settled<'a, E>> {
    let (batch, architecture) = (statement.batch, &header.architecture);
    let output = forward::padded(architecture.output(), batch, statement.output)?;
    let input = if hides_input {
        None
    } else {
        Some(forward::padded(architecture.input(), batch, statement.input)?)
    };
    settle(plan, transcript, proof, |channel| {
        let all = converse(channel, header, batch, hides_input, &output)?;
        let found = all.with_input(channel, header, batch, input.as_deref())?;
        let Found { columns, weights } = found;
        let mut outside = Vec::with_capacity(plan.outside.len());
        if plan.outside.len() > usize::from(hides_input) {
            outside.push(weights);
        }
        if hides_input {
            // The value at the look-ups' point is one of the commitment as well: so both are one tensor.
            let blocks = layout::all_columns(architecture, batch, true);
            let index = layers::block(&blocks, Column::Input)?;
            let claim = columns.get(index).ok_or_else(super::missing)?;
            outside.push(vec![Claim { block: 0, ..claim.clone() }]);
        }
        Ok((columns, outside))
    })
}

/// The conversation about two registrations: one value of each block, claimed of both.
fn same_weights<'a, E: Extension>(
    header: &Header,
    plan: &'a Plan,
    transcript: Transcript,
    proof: &'a [u8],
) -> Result<Settled<'a, E>> {
    settle(plan, transcript, proof, |channel| {
        let blocks = layout::weight_blocks(&header.architecture);
        let points: Vec<Vec<E>> =
            blocks.iter().map(|(_, shape)| channel.challenges(shape.log_size)).collect();
        let values = channel.receive("weights", blocks.len())?;
        let claims = points.into_iter().zip(values).enumerate();
        let claims: Vec<Claim<E, Padded<E>>> =
            claims.map(|(block, (point, value))| Claim { block, point, value }).collect();
        Ok((Vec::new(), vec![claims.clone(), claims]))
    })
}

/// The functional that the linear test of a proof is about, and what it must give: for the prover.
pub(crate) fn functional<E: Extension>(
    header: &Header,
    statement: &Statement<'_>,
    hides_input: bool,
    plan: &Plan,
    transcript: Transcript,
    proof: &[u8],
) -> Result<(Vec<E>, E)> {
    let settled = inference(header, statement, hides_input, plan, transcript, proof)?;
    Ok((settled.functional, settled.target))
}

/// The same of a link.
pub(crate) fn link_functional<E: Extension>(
    header: &Header,
    plan: &Plan,
    transcript: Transcript,
    proof: &[u8],
) -> Result<(Vec<E>, E)> {
    let settled = same_weights(header, plan, transcript, proof)?;
    Ok((settled.functional, settled.target))
}

/// Checks a hiding proof of a statement.
pub(super) fn verify<E: Extension>(
    header: &Header,
    statement: &Statement<'_>,
    input: Option<&Digest>,
    openings: u32,
    transcript: Transcript,
    proof: &[u8],
) -> Result<()> {
    let hides = input.is_some();
    let security = header.profile.security();
    let plan = Plan::new(security, &header.architecture, statement.batch, openings, hides)?;
    let settled = inference::<E>(header, statement, hides, &plan, transcript, proof)?;
    let mut roots = Vec::with_capacity(2);
    if plan.outside.len() > usize::from(hides) {
        roots.push(header.weight_root);
    }
    roots.extend(input.copied());
    settled.finish(&plan, &roots)
}

/// Checks a proof that two headers are of the same weights.
pub(super) fn verify_link<E: Extension>(
    old: &Header,
    new: &Header,
    openings: u32,
    transcript: Transcript,
    proof: &[u8],
) -> Result<()> {
    let Some(plan) = Plan::link(old.profile.security(), &old.architecture, openings)? else {
        // Without weights there is one registration only.
        let same = proof.is_empty() && old.weight_root == new.weight_root;
        return if same { Ok(()) } else { Err(ProofError::Rejected("another empty model")) };
    };
    let settled = same_weights::<E>(old, &plan, transcript, proof)?;
    settled.finish(&plan, &[old.weight_root, new.weight_root])
}

impl<E: Extension> Settled<'_, E> {
    /// Checks the linear test and all columns.
    fn finish(self, plan: &Plan, roots: &[Digest]) -> Result<()> {
        let Self { mut reader, root, functional, target, columns, outside } = self;
        let test: Vec<E> = reader.elements("linear test", plan.test_length())?;
        if test.get(plan.pad_columns() - 1) != Some(&target) {
            return Err(ProofError::Rejected("an equation behind pads is false"));
        }
        let both = reader.transcript.challenge();
        let places = reader.transcript.positions(plan.queries, plan.log_places());
        let below = places::check_outside(&mut reader, plan, roots, &outside, &places)?;
        let tested = Tested::new(plan, &functional);
        places::check_columns(
            &mut reader,
            plan,
            &root,
            &columns,
            &tested,
            &test,
            both,
            &places,
            &below,
        )?;
        reader.finish()
    }
}

/// The products of pads are products: one random place of two polynomials of factors and one of products.
fn products<E: Extension>(channel: &mut PaddedReader<'_, E>, layout: &Pads) -> Result<()> {
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
pub(crate) fn lagrange<E: Extension>(log_size: u32, at: E) -> Option<Vec<E>> {
    let domain = Domain::new(log_size);
    let size = domain.size();
    let points: Vec<F> = (0..size).map(|place| domain.point(place)).collect();
    let distances: Vec<E> = points.iter().map(|point| at - E::from(*point)).collect();
    let scale = F::from_u64(size as u64).inverse()?;
    let factor = (at.pow(size as u64) - E::ONE).scale(scale);
    let inverses = inverses(&distances)?;
    Some(points.iter().zip(inverses).map(|(x, inverse)| (factor * inverse).scale(*x)).collect())
}
