//! The prover. It may be wrong or malicious without harm: nothing here decides what is accepted.

mod channel;
mod commit;
mod gkr;
mod layers;
mod leaves;
mod opening;
mod sumcheck;

pub(crate) use channel::Tamper;
use channel::{Channel, Honest};
use commit::{Commitment, Committed, Data};

use crate::claims::Claim;
use crate::error::Result;
use crate::extension::E;
use crate::field::F;
use crate::forward::{self, Packed, Trace};
use crate::header::{self, Header, Profile, Statement};
use crate::layout::{self, Column, WeightBlock};
use crate::mle;
use crate::model::{Architecture, Weights, check_bounds};

/// A registered model, ready to prove: weights, their code words and Merkle tree.
///
/// Holds about 32 bytes of code word per (padded) weight. Registering is deterministic: the same model gives
/// the same header.
pub struct Prepared {
    pub(crate) header: Header,
    pub(crate) packed: Vec<Packed>,
    weights: Committed,
    blocks: Vec<WeightBlock>,
}

/// What proving gives.
pub struct Proof {
    /// The proof, for [`crate::verifier::verify`].
    pub bytes: Vec<u8>,
    /// The output it is about: `batch` output tensors, row-major.
    pub output: Vec<i16>,
}

impl Prepared {
    /// Registers a model: checks its static bound and commits to its weights.
    ///
    /// # Errors
    /// [`crate::ProofError::InvalidModel`] when a bound is broken.
    pub fn new(architecture: Architecture, weights: &Weights) -> Result<Self> {
        check_bounds(&architecture, weights)?;
        let packed = forward::pack(&architecture, weights);
        Ok(Self::commit(architecture, packed))
    }

    /// Commits to weights in the committed layout, unchecked: what a registrar could do who wants to cheat.
    pub(crate) fn commit(architecture: Architecture, packed: Vec<Packed>) -> Self {
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
        let weights = Committed::new(header::weight_matrix(&architecture), data, &mut Honest);
        let header =
            Header { architecture, profile: Profile::Plain100, weight_root: weights.root() };
        Self { header, packed, weights, blocks }
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
        self.prove_tampered(input, batch, context, &mut Honest)
    }

    /// Proves as [`Prepared::prove`] does, with a malicious prover's hands in it.
    pub(crate) fn prove_tampered(
        &self,
        input: &[i16],
        batch: usize,
        context: &[u8],
        tamper: &mut dyn Tamper,
    ) -> Result<Proof> {
        let mut trace = self.trace(input, batch)?;
        tamper.trace(&mut trace);
        let output = self.output(&trace, batch);
        let statement = Statement { batch, input, output: &output, context };
        let transcript = statement.transcript(&self.header.digest());
        let mut channel = Channel::new(transcript, tamper);
        self.converse(&mut channel, &trace, batch);
        let bytes = channel.finish();
        Ok(Proof { bytes, output })
    }

    fn converse(&self, channel: &mut Channel<'_>, trace: &Trace, batch: usize) {
        let architecture = &self.header.architecture;
        let columns = layout::columns(architecture, batch);
        let data = columns.iter().map(|(column, _)| leaves::column(trace, *column)).collect();
        let committed = Committed::new(self.header.column_matrix(batch), data, channel.tamper);
        channel.send_bytes("columns root", &committed.root());

        let folding = channel.challenge();
        let alpha = channel.challenge();
        let (level, depth) = leaves::level(architecture, trace, batch, folding, alpha);
        let point = gkr::prove(channel, level, depth);
        let mut column_claims: Vec<Claim<E>> = Vec::with_capacity(columns.len());
        for (block, (column, shape)) in columns.iter().enumerate() {
            let point = point[..shape.log_size].to_vec();
            let value = leaves::evaluate(trace, *column, &point);
            column_claims.push(Claim { block, point, value });
        }
        channel.send("look-up columns", column_claims.iter().map(|claim| claim.value).collect());

        let context = layers::Context { prepared: self, trace, batch };
        let mut claims = layers::Claims::default();
        for index in 0..architecture.ops().len() {
            let log = layout::tensor_log(&architecture.tensors()[index + 1], batch);
            layers::prove(channel, &context, index, &point[..log], &mut claims);
        }
        claims.tensors.push(self.bind_output(channel, trace, batch));
        for (tensor, point, value) in claims.tensors {
            if let Some(op) = tensor.checked_sub(1) {
                let is = |(column, _): &(Column, _)| *column == Column::Output(op);
                let block = columns.iter().position(is).unwrap_or(usize::MAX);
                column_claims.push(Claim { block, point, value });
            }
        }
        committed.open(channel, &column_claims);
        if !claims.weights.is_empty() {
            self.weights.open(channel, &claims.weights);
        }
    }

    /// The committed output equals the public one in every real cell: a sum-check of eq(random, ·), cut to the
    /// real cells, times the output.
    fn bind_output(
        &self,
        channel: &mut Channel<'_>,
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
