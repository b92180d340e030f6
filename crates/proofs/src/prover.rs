//! The prover. It may be wrong or malicious without harm: nothing here decides what is accepted.

mod channel;
mod commit;
mod gkr;
mod hiding;
mod layers;
mod leaves;
mod opening;
mod secrets;
mod sumcheck;

pub(crate) use channel::Tamper;
use channel::{Channel, Honest};
use commit::{Commitment, Committed, Data, Hide};
pub use hiding::{HiddenProof, commit_input};

use std::sync::atomic::AtomicU32;

use crate::claims::Claim;
use crate::error::{ProofError, Result};
use crate::extension::{Cubic, Extension, Quadratic};
use crate::field::F;
use crate::forward::{self, Packed, Trace};
use crate::header::{self, Header, Profile, Statement};
use crate::hiding::{OPENINGS_MAX, Plan, weight_matrix};
use crate::layout::{self, Column, WeightBlock};
use crate::mle;
use crate::model::{Architecture, Weights, check_bounds};
use crate::params::Security;
use crate::random::Seed;
use crate::transcript::Transcript;

/// A registered model, ready to prove: weights, their code words and Merkle tree.
///
/// Holds about 32 bytes of code word per (padded) weight. Registering is deterministic: the same model gives
/// the same header.
pub struct Prepared {
    pub(crate) header: Header,
    pub(crate) packed: Vec<Packed>,
    weights: Committed,
    blocks: Vec<WeightBlock>,
    /// Openings of a hiding commitment by this object; whoever keeps it across processes counts as well.
    pub(crate) opened: AtomicU32,
}

/// Claims that the openings must prove.
struct Claims<E> {
    columns: Vec<Claim<E, E>>,
    weights: Vec<Claim<E, E>>,
}

/// What proving gives.
pub struct Proof {
    /// The proof, for [`crate::verifier::verify`].
    pub bytes: Vec<u8>,
    /// The output it is about: `batch` output tensors, row-major.
    pub output: Vec<i16>,
}

/// Runs in the thread pool from beginning to end: entering it for every loop would wake a thread each time.
fn pooled<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    rayon::scope(|_| work())
}

impl Prepared {
    /// Registers a model that hides nothing, for proofs of 100 bits: checks its static bound and commits to its
    /// weights.
    ///
    /// # Errors
    /// [`crate::ProofError::InvalidModel`] when a bound is broken.
    pub fn new(architecture: Architecture, weights: &Weights) -> Result<Self> {
        Self::registered(architecture, weights, Profile::Plain100, &[0; 32])
    }

    /// Registers a model whose weights stay hidden for as many proofs of 100 bits as `openings` says; `seed` as
    /// in [`Prepared::registered`].
    ///
    /// # Errors
    /// As [`Prepared::registered`].
    pub fn hiding(
        architecture: Architecture,
        weights: &Weights,
        seed: &Seed,
        openings: u32,
    ) -> Result<Self> {
        Self::registered(architecture, weights, Profile::Hiding100 { openings }, seed)
    }

    /// Registers a model under any profile.
    ///
    /// `seed`, which nothing but a hiding profile uses, is 32 secret, fresh random bytes. Whoever knows them and
    /// the weights can register the same model again, with the same header; with another seed it has another
    /// header. No two commitments may share a seed unless they are the same one.
    ///
    /// # Errors
    /// [`crate::ProofError::InvalidModel`] when a bound is broken, or a hiding profile's openings are not 1 to
    /// [`crate::hiding::OPENINGS_MAX`].
    pub fn registered(
        architecture: Architecture,
        weights: &Weights,
        profile: Profile,
        seed: &Seed,
    ) -> Result<Self> {
        if let Some(openings) = profile.openings()
            && !(1..=OPENINGS_MAX).contains(&openings)
        {
            let text = format!("1 to {OPENINGS_MAX} openings, not {openings}");
            return Err(ProofError::InvalidModel(text));
        }
        check_bounds(&architecture, weights)?;
        let packed = forward::pack(&architecture, weights);
        Ok(pooled(|| Self::commit(architecture, packed, profile, seed)))
    }

    /// Commits to weights in the committed layout, unchecked: what a registrar could do who wants to cheat.
    pub(crate) fn commit(
        architecture: Architecture,
        packed: Vec<Packed>,
        profile: Profile,
        seed: &Seed,
    ) -> Self {
        let (blocks, data) = layout::weight_blocks(&architecture)
            .iter()
            .map(|(name, _)| {
                let data = match name {
                    WeightBlock::Weights(op) => Data::Narrow(packed[*op].weights.clone()),
                    WeightBlock::Bias(op) => {
                        Data::Wide(packed[*op].bias.iter().map(|b| F::from_i64(*b)).collect())
                    }
                };
                (*name, data)
            })
            .unzip();
        let security = profile.security();
        let (matrix, hide) = match profile.openings() {
            None => (Some(header::weight_matrix(&architecture, security)), None),
            Some(openings) => {
                let matrix = weight_matrix(security, &architecture, openings);
                let hide = Hide { seed, label: "weights", extra: Vec::new(), below: &[] };
                let hide = matrix.is_some().then_some(hide);
                (matrix, hide)
            }
        };
        // A model without weights commits to an empty matrix.
        let matrix = matrix.unwrap_or_else(|| header::weight_matrix(&architecture, security));
        let weights = Committed::new::<Quadratic>(matrix, data, hide, &mut Honest);
        let header = Header { architecture, profile, weight_root: weights.root() };
        Self { header, packed, weights, blocks, opened: AtomicU32::new(0) }
    }

    /// What verifiers need.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    pub(crate) fn weight_block(&self, name: WeightBlock) -> usize {
        self.blocks.iter().position(|block| *block == name).unwrap_or(usize::MAX)
    }

    /// Runs the model without proving anything.
    ///
    /// # Errors
    /// [`crate::ProofError::InvalidData`] when the input does not fit.
    pub fn run(&self, input: &[i16], batch: usize) -> Result<Vec<i16>> {
        Ok(self.output(&self.trace(input, batch)?, batch))
    }

    fn trace(&self, input: &[i16], batch: usize) -> Result<Trace> {
        header::check_batch(&self.header.architecture, batch)?;
        forward::run(&self.header.architecture, &self.packed, input, batch)
    }

    fn output(&self, trace: &Trace, batch: usize) -> Vec<i16> {
        let architecture = &self.header.architecture;
        forward::unpadded(architecture.output(), batch, &trace.tensors[architecture.ops().len()])
    }

    /// Runs the model on `batch` inputs and proves the outputs, bound to `context`.
    ///
    /// # Errors
    /// [`crate::ProofError::InvalidData`] when the input does not fit.
    pub fn prove(&self, input: &[i16], batch: usize, context: &[u8]) -> Result<Proof> {
        pooled(|| match self.header.profile.security() {
            Security::Bits100 => {
                self.prove_tampered::<Quadratic>(input, batch, context, &mut Honest)
            }
            Security::Bits128 => self.prove_tampered::<Cubic>(input, batch, context, &mut Honest),
        })
    }

    /// The security of this model, whose challenges must be in E.
    fn security<E: Extension>(&self) -> Security {
        let security = self.header.profile.security();
        assert!(
            security.degree() == E::DEGREE,
            "BUG: challenges in an extension of another degree"
        );
        security
    }

    /// Proves as [`Prepared::prove`] does, with a malicious prover's hands in it.
    pub(crate) fn prove_tampered<E: Extension>(
        &self,
        input: &[i16],
        batch: usize,
        context: &[u8],
        tamper: &mut dyn Tamper<E>,
    ) -> Result<Proof> {
        let mut trace = self.trace(input, batch)?;
        tamper.trace(&mut trace);
        let output = self.output(&trace, batch);
        let statement = Statement { batch, input, output: &output, context };
        let transcript = statement.transcript(&self.header.digest());
        let security = self.security::<E>();
        let bytes = match self.header.profile.openings() {
            None => self.prove_plain(&trace, batch, transcript, tamper),
            Some(openings) => {
                self.spend(openings)?;
                let plan = Plan::new(security, &self.header.architecture, batch, openings, false)?;
                hiding::prove(self, &plan, &trace, &statement, None, transcript, tamper)?
            }
        };
        Ok(Proof { bytes, output })
    }

    /// Proves that `newer` is a registration of the same weights, for [`crate::verifier::verify_link`]. That
    /// spends one opening of both.
    ///
    /// # Errors
    /// [`ProofError::InvalidModel`] when the two differ in anything but the weights' commitment, or do not
    /// hide; [`ProofError::BudgetSpent`] when an opening is missing.
    pub fn link(&self, newer: &Self) -> Result<Vec<u8>> {
        pooled(|| match self.header.profile.security() {
            Security::Bits100 => self.link_tampered::<Quadratic>(newer, &mut Honest),
            Security::Bits128 => self.link_tampered::<Cubic>(newer, &mut Honest),
        })
    }

    pub(crate) fn link_tampered<E: Extension>(
        &self,
        newer: &Self,
        tamper: &mut dyn Tamper<E>,
    ) -> Result<Vec<u8>> {
        let openings = header::check_link(&self.header, &newer.header)?;
        let Some(plan) = Plan::link(self.security::<E>(), &self.header.architecture, openings)?
        else {
            return Ok(Vec::new());
        };
        let weights = |own: &Self| -> Vec<_> {
            own.packed.iter().map(|op| (op.weights.clone(), op.bias.clone())).collect()
        };
        if tamper.is_honest() && weights(self) != weights(newer) {
            return Err(ProofError::model("two registrations of different weights"));
        }
        self.spend(openings)?;
        newer.spend(openings)?;
        let transcript = header::link_transcript(&self.header, &newer.header);
        hiding::link(self, newer, &plan, transcript, tamper)
    }

    fn prove_plain<E: Extension>(
        &self,
        trace: &Trace,
        batch: usize,
        transcript: Transcript,
        tamper: &mut dyn Tamper<E>,
    ) -> Vec<u8> {
        let columns = layout::columns(&self.header.architecture, batch);
        let data = columns.iter().map(|(column, _)| leaves::column(trace, *column)).collect();
        let matrix = self.header.column_matrix(batch);
        let committed = Committed::new(matrix, data, None, tamper);
        let mut channel = Channel::new(transcript, tamper);
        channel.send_bytes("columns root", &committed.root());
        let claims = self.converse(&mut channel, trace, batch, false);
        for (committed, claims) in [(&committed, claims.columns), (&self.weights, claims.weights)] {
            if !claims.is_empty() {
                committed.open(&mut channel, &claims, &[]);
                let matrix = &committed.matrix;
                let places = channel.transcript.positions(matrix.queries, matrix.log_length);
                committed.reveal(&mut channel, &places);
            }
        }
        channel.finish()
    }

    /// Everything between the commitment and the openings.
    fn converse<E: Extension>(
        &self,
        channel: &mut Channel<'_, E>,
        trace: &Trace,
        batch: usize,
        hides_input: bool,
    ) -> Claims<E> {
        let architecture = &self.header.architecture;
        let columns = layout::all_columns(architecture, batch, hides_input);
        let folding = channel.challenge();
        let alpha = channel.challenge();
        let (level, depth) = leaves::level(architecture, trace, batch, folding, alpha);
        let point = gkr::prove(channel, level, depth);
        let mut column_claims: Vec<Claim<E, E>> = Vec::with_capacity(columns.len());
        for (block, (column, shape)) in columns.iter().enumerate() {
            let point = point[..shape.log_size].to_vec();
            let value = leaves::evaluate(trace, *column, &point);
            column_claims.push(Claim { block, point, value });
        }
        channel.send("look-up columns", column_claims.iter().map(|claim| claim.value).collect());

        let context = layers::Context { prepared: self, trace, batch };
        let mut claims = layers::Claims { tensors: Vec::new(), weights: Vec::new() };
        for index in 0..architecture.ops().len() {
            let log = layout::tensor_log(&architecture.tensors()[index + 1], batch);
            layers::prove(channel, &context, index, &point[..log], &mut claims);
        }
        claims.tensors.push(self.bind_output(channel, trace, batch));
        for (tensor, point, value) in claims.tensors {
            // A public input is evaluated by the verifier.
            let name = tensor.checked_sub(1).map_or(Column::Input, Column::Output);
            if let Some(block) = columns.iter().position(|(column, _)| *column == name) {
                column_claims.push(Claim { block, point, value });
            }
        }
        Claims { columns: column_claims, weights: claims.weights }
    }

    /// The committed output equals the public one in every real cell: a sum-check of eq(random, ·), cut to the
    /// real cells, times the output.
    fn bind_output<E: Extension>(
        &self,
        channel: &mut Channel<'_, E>,
        trace: &Trace,
        batch: usize,
    ) -> (usize, Vec<E>, E) {
        let architecture = &self.header.architecture;
        let tensor = architecture.output();
        let log = layout::tensor_log(tensor, batch);
        let eq = mle::eq_table(&channel.challenges(log));
        let mut real = vec![E::ZERO; eq.len()];
        layout::for_each_cell(&layout::axis_dimensions(tensor, batch), |_, cell| {
            real[cell] = eq[cell];
        });
        let index = architecture.ops().len();
        let cells = trace.tensors[index].iter().map(|y| E::from_i64(i64::from(*y))).collect();
        let mut pairs = [(real, cells)];
        let point = sumcheck::products(channel, "output round", log, &mut pairs);
        let value = pairs[0].1[0];
        channel.send("output value", vec![value]);
        (index, point, value)
    }
}
