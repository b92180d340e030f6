//! The hiding prover: a conversation behind pads, and the linear test that settles every equation in pads at
//! once. The construction is in docs/design/proofs.md.

use super::channel::{Channel, Honest, Tamper};
use super::commit::{Commitment, Committed, Data, Hide};
use super::secrets::Secrets;
use super::{Prepared, leaves, pooled};
use crate::claims::Claim;
use crate::error::{ProofError, Result};
use crate::extension::{self, Cubic, Extension, Quadratic};
use crate::field::F;
use crate::forward::{self, Trace};
use crate::header::{self, Header, Statement};
use crate::hiding::{Pads, Plan, input_matrix};
use crate::layout::{self, Column, WeightBlock};
use crate::merkle::Digest;
use crate::mle;
use crate::ntt::Domain;
use crate::params::Security;
use crate::random::{self, Seed};
use crate::transcript::Transcript;
use crate::verifier;

/// Claims on a proof's own blocks, and on each commitment from outside.
pub(super) struct Claimed<E> {
    pub(super) columns: Vec<Claim<E, E>>,
    pub(super) outside: Vec<Vec<Claim<E, E>>>,
}

/// Proves a statement so that the proof tells nothing but the statement.
pub(super) fn prove<E: Extension>(
    prepared: &Prepared,
    plan: &Plan,
    trace: &Trace,
    statement: &Statement<'_>,
    input: Option<&Committed>,
    transcript: Transcript,
    tamper: &mut dyn Tamper<E>,
) -> Result<Vec<u8>> {
    let (header, hides) = (&prepared.header, input.is_some());
    let blocks = layout::all_columns(&header.architecture, statement.batch, hides);
    let values = blocks.iter().map(|(column, _)| leaves::column(trace, *column)).collect();
    let has_weights = plan.outside.len() > usize::from(hides);
    let outside: Vec<&Committed> =
        has_weights.then_some(&prepared.weights).into_iter().chain(input).collect();
    let again = transcript.clone();
    session(
        plan,
        values,
        &outside,
        transcript,
        tamper,
        |channel| {
            let claims = prepared.converse(channel, trace, statement.batch, hides);
            let mut outside = Vec::with_capacity(2);
            if has_weights {
                outside.push(claims.weights);
            }
            if hides {
                let place = blocks.iter().position(|(column, _)| *column == Column::Input);
                let claim = claims.columns[place.unwrap_or_default()].clone();
                outside.push(vec![Claim { block: 0, ..claim }]);
            }
            Claimed { columns: claims.columns, outside }
        },
        |proof| verifier::functional(header, statement, hides, plan, again, proof),
    )
}

/// Proves that two registrations are of the same weights: both have the same value at a random point of every
/// block.
pub(super) fn link<E: Extension>(
    old: &Prepared,
    new: &Prepared,
    plan: &Plan,
    transcript: Transcript,
    tamper: &mut dyn Tamper<E>,
) -> Result<Vec<u8>> {
    let again = transcript.clone();
    session(
        plan,
        Vec::new(),
        &[&old.weights, &new.weights],
        transcript,
        tamper,
        |channel| {
            let blocks = layout::weight_blocks(&old.header.architecture);
            let mut claims = Vec::with_capacity(blocks.len());
            for (block, (name, shape)) in blocks.iter().enumerate() {
                let point = channel.challenges(shape.log_size);
                let value = match name {
                    WeightBlock::Weights(op) => {
                        super::layers::evaluate(&old.packed[*op].weights, &point)
                    }
                    WeightBlock::Bias(op) => {
                        let bias = old.packed[*op].bias.iter().map(|bias| E::from_i64(*bias));
                        mle::evaluate(&bias.collect::<Vec<_>>(), &point)
                    }
                };
                claims.push(Claim { block, point, value });
            }
            channel.send("weights", claims.iter().map(|claim| claim.value).collect());
            Claimed { columns: Vec::new(), outside: vec![claims.clone(), claims] }
        },
        |proof| verifier::link_functional(&old.header, plan, again, proof),
    )
}

/// A hiding proof: commits, talks, opens, tests. `functional` tells, from the messages so far, which linear form
/// in pads is tested: the verifier's own code says so.
fn session<E: Extension>(
    plan: &Plan,
    values: Vec<Data>,
    outside: &[&Committed],
    transcript: Transcript,
    tamper: &mut dyn Tamper<E>,
    talk: impl FnOnce(&mut Channel<'_, E>) -> Claimed<E>,
    functional: impl FnOnce(&[u8]) -> Result<(Vec<E>, E)>,
) -> Result<Vec<u8>> {
    let secrets = Secrets::new(plan, values, tamper)?;
    let mut channel = Channel::new(transcript, tamper);
    channel.send_bytes("columns root", &secrets.columns.root());
    channel.hide(secrets.pads[..plan.pads.messages].to_vec());
    let claims = talk(&mut channel);
    secrets.columns.open(&mut channel, &claims.columns, &[]);
    let masks = secrets.masks.as_ref().map_or(&[][..], |masks| &masks.messages);
    let each = outside.iter().zip(&claims.outside).zip(masks.chunks_exact(plan.mask_rows()));
    for ((committed, claims), masks) in each {
        committed.open(&mut channel, claims, masks);
    }
    send_factors(&mut channel, &plan.pads, &secrets.pads);
    // The challenge that combines the equations; the functional below draws it again.
    let _: E = channel.challenge();
    // It fails on messages that are none, and then it does not matter what is sent.
    let (mut functional, target) = functional(&channel.proof).unwrap_or_default();
    functional.resize(plan.pads.len(), E::ZERO);
    let mut polynomial = test(plan, &secrets, &functional);
    // Of a false equation the difference would tell something of what is hidden.
    if channel.tamper.is_honest() && polynomial.get(plan.pad_columns() - 1) != Some(&target) {
        return Err(ProofError::InvalidData("BUG: the prover's own equations do not hold".into()));
    }
    channel.tamper.test(&mut polynomial, plan.pad_columns() - 1, target);
    channel.send_clear("linear test", polynomial);
    reveal(&mut channel, plan, &secrets, outside);
    Ok(channel.finish())
}

/// Sends the two polynomials of factors at a random place, where the random factors hide them.
fn send_factors<E: Extension>(channel: &mut Channel<'_, E>, layout: &Pads, pads: &[E]) {
    let at = channel.challenge();
    let weights = verifier::lagrange(layout.log_half(), at).unwrap_or_default();
    let random = layout.random_factors();
    let value = |side: usize| {
        let factors = layout.pairs.iter().map(|pair| pads[pair[side]]).chain([pads[random[side]]]);
        factors.zip(&weights).map(|(factor, weight)| factor * *weight).sum()
    };
    channel.send_clear("factors of products", vec![value(0), value(1)]);
}

/// The polynomial of the linear test: Σ over rows of pads of row · functional, plus the mask.
fn test<E: Extension>(plan: &Plan, secrets: &Secrets<E>, functional: &[E]) -> Vec<E> {
    let reversed = plan.reversed_rows(functional);

    let log_size = layout::log2_ceil(plan.test_length()) as u32;
    let domain = Domain::new(log_size);
    let length = 1 << plan.columns.log_length;
    let words = |row: usize| &secrets.columns.encoded[row * length..][..domain.size()];
    let mut sum = vec![E::ZERO; domain.size()];
    for (row, coefficients) in reversed.iter().enumerate() {
        let values = extension::by_coordinate(coefficients, |word: &mut Vec<F>| {
            word.resize(domain.size(), F::ZERO);
            domain.evaluate(word, plan.pad_columns());
        });
        // The subgroup's places come first among those of the longer words.
        for (sum, (own, value)) in
            sum.iter_mut().zip(values.iter().zip(words(plan.first_pad_row() + row)))
        {
            *sum += own.scale(*value);
        }
    }
    let masks = &secrets.columns.extra[plan.mask_rows()..];
    let mut coordinate = 0;
    let mut polynomial = extension::by_coordinate(&sum, |word: &mut Vec<F>| {
        domain.interpolate(word);
        for (shift, mask) in [(0, coordinate), (plan.pad_columns() - 1, coordinate + E::DEGREE)] {
            for (sum, value) in word[shift..].iter_mut().zip(&masks[mask]) {
                *sum += *value;
            }
        }
        coordinate += 1;
    });
    polynomial.truncate(plan.test_length());
    polynomial
}

/// Shows all trees at the same random places.
fn reveal<E: Extension>(
    channel: &mut Channel<'_, E>,
    plan: &Plan,
    secrets: &Secrets<E>,
    outside: &[&Committed],
) {
    // The verifier compares two things of each column at once.
    let _: E = channel.challenge();
    let places = channel.transcript.positions(plan.queries, plan.log_places());
    for committed in outside {
        committed.reveal(channel, &places);
    }
    if let Some(masks) = &secrets.masks {
        for place in &places {
            channel.send_last("mask", masks.reveal(*place, plan.fold()));
        }
    }
    let mut own: Vec<usize> = places.iter().map(|place| place >> plan.fold()).collect();
    own.dedup();
    secrets.columns.reveal(channel, &own);
}

/// Commits to an input, as the prover of a proof that hides it does.
fn committed_input(
    header: &Header,
    cells: Vec<i16>,
    batch: usize,
    seed: &Seed,
) -> Result<Committed> {
    let openings = hidden_openings(header)?;
    let security = header.profile.security();
    let matrix = input_matrix(security, &header.architecture, batch, openings)?;
    let hide = Hide { seed, label: "input", extra: Vec::new(), below: &[] };
    Ok(Committed::new::<Quadratic>(matrix, vec![Data::Narrow(cells)], Some(hide), &mut Honest))
}

/// How often the weights of a model may be opened that can hide an input.
fn hidden_openings(header: &Header) -> Result<u32> {
    header
        .profile
        .openings()
        .ok_or_else(|| ProofError::InvalidData("a model that hides nothing hides no input".into()))
}

/// The commitment to an input that a proof hides, from the seed that was drawn for that proof: for whoever owns
/// the input, to see that the proof is about it, or to show to others that it is.
///
/// # Errors
/// [`ProofError::InvalidData`] when the input does not fit the model, or the model does not hide.
pub fn commit_input(header: &Header, input: &[i16], batch: usize, seed: &Seed) -> Result<Digest> {
    header::check_hidden_batch(&header.architecture, batch)?;
    let cells = forward::padded(header.architecture.input(), batch, input)?;
    Ok(committed_input(header, cells, batch, seed)?.root())
}

/// A proof that hides its input.
pub struct HiddenProof {
    /// The proof, for [`crate::verifier::verify_hidden_input`].
    pub bytes: Vec<u8>,
    /// The output it is about.
    pub output: Vec<i16>,
    /// The commitment to the input.
    pub commitment: Digest,
    /// Secret: what the commitment was made with, for [`commit_input`]. It is used for this proof alone.
    pub seed: Seed,
}

impl Prepared {
    /// Runs a model that hides on `batch` inputs and proves the outputs, without telling the inputs.
    ///
    /// # Errors
    /// As [`Prepared::prove`]; [`ProofError::InvalidData`] when the model does not hide.
    pub fn prove_hidden_input(
        &self,
        input: &[i16],
        batch: usize,
        context: &[u8],
    ) -> Result<HiddenProof> {
        pooled(|| match self.header.profile.security() {
            Security::Bits100 => {
                self.prove_hidden_tampered::<Quadratic>(input, batch, context, &mut Honest)
            }
            Security::Bits128 => {
                self.prove_hidden_tampered::<Cubic>(input, batch, context, &mut Honest)
            }
        })
    }

    pub(crate) fn prove_hidden_tampered<E: Extension>(
        &self,
        input: &[i16],
        batch: usize,
        context: &[u8],
        tamper: &mut dyn Tamper<E>,
    ) -> Result<HiddenProof> {
        let architecture = &self.header.architecture;
        header::check_hidden_batch(architecture, batch)?;
        let openings = hidden_openings(&self.header)?;
        let mut trace = self.trace(input, batch)?;
        tamper.trace(&mut trace);
        trace.count_input(architecture.input());
        let output = self.output(&trace, batch);
        let security = self.security::<E>();
        let plan = Plan::new(security, architecture, batch, openings, true)?;
        self.spend(openings)?;
        let seed = random::fresh_seed()?;
        let committed = committed_input(&self.header, trace.tensors[0].clone(), batch, &seed)?;
        let commitment = committed.root();
        let statement = Statement { batch, input: &[], output: &output, context };
        let transcript = statement.hidden_transcript(&self.header.digest(), &commitment);
        let input = Some(&committed);
        let bytes = prove(self, &plan, &trace, &statement, input, transcript, tamper)?;
        Ok(HiddenProof { bytes, output, commitment, seed })
    }

    /// Counts openings that were made before by other objects of the same commitment, so that this one refuses
    /// where all of them together are at the end.
    #[must_use]
    pub fn opened_before(mut self, opened: u32) -> Self {
        *self.opened.get_mut() = opened;
        self
    }

    /// Counts one opening of the weights.
    pub(super) fn spend(&self, openings: u32) -> Result<()> {
        let counted = self.opened.fetch_update(
            std::sync::atomic::Ordering::SeqCst,
            std::sync::atomic::Ordering::SeqCst,
            |opened| (opened < openings).then_some(opened + 1),
        );
        counted.map(|_| ()).map_err(|_| {
            ProofError::BudgetSpent(format!("the weights were opened {openings} times"))
        })
    }
}
