//! The integer forward pass on padded tensors: what the prover commits to.

mod linear;

use linear::accumulate;

use crate::error::{ProofError, Result};
use crate::layout::{self, RANGE_BITS};
use crate::model::{Architecture, Kind, Op, Tensor, Weights};

/// Weights of one operation in the committed layout, `n·2^(K bits) + k`, and biases.
#[derive(Debug, Clone, Default)]
pub struct Packed {
    /// Padded weights; only real channels.
    pub weights: Vec<i16>,
    /// Biases of real channels.
    pub bias: Vec<i64>,
    /// log2 of the padded K.
    pub k_bits: usize,
    /// Products are at most 2^23, so that 128 of them fit an i32.
    pub small_products: bool,
}

/// Brings the weights of every operation into the committed layout.
#[must_use]
pub fn pack(architecture: &Architecture, weights: &Weights) -> Vec<Packed> {
    let of = |(index, own): (usize, &crate::model::OpWeights)| {
        let Some((k_bits, _, n)) = layout::weight_shape(architecture, index) else {
            return Packed::default();
        };
        let op = &architecture.ops()[index];
        let input = &architecture.tensors()[op.input].shape;
        let mut packed = vec![0; n << k_bits];
        match &op.kind {
            Kind::Dense { row_axes, .. } => {
                let dimensions: Vec<usize> = input[*row_axes..].iter().rev().copied().collect();
                layout::for_each_cell(&dimensions, |k, padded| {
                    for (channel, weight) in own.weights[k * n..(k + 1) * n].iter().enumerate() {
                        packed[(channel << k_bits) + padded] = *weight;
                    }
                });
            }
            Kind::Conv2d { window, .. } => {
                let dimensions = [window.kernel[1], window.kernel[0], input[0]];
                let per_filter: usize = dimensions.iter().product();
                for (channel, filter) in own.weights.chunks_exact(per_filter).enumerate() {
                    layout::for_each_cell(&dimensions, |k, padded| {
                        packed[(channel << k_bits) + padded] = filter[k];
                    });
                }
            }
            Kind::Add { .. } | Kind::AvgPool { .. } | Kind::Table => {}
        }
        let largest = own.weights.iter().map(|w| u64::from(w.unsigned_abs())).max().unwrap_or(0);
        let product = largest * architecture.tensors()[op.input].magnitude();
        let small_products = product <= 1 << 23;
        Packed { weights: packed, bias: own.bias.clone(), k_bits, small_products }
    };
    weights.iter().enumerate().map(of).collect()
}

/// Everything the forward pass makes, over all padded cells.
#[derive(Debug, Clone)]
pub struct Trace {
    /// Padded tensors: the input, then one per operation.
    pub tensors: Vec<Vec<i16>>,
    /// Accumulators of each operation.
    pub accumulators: Vec<Vec<i64>>,
    /// Quotients of each operation.
    pub quotients: Vec<Vec<i32>>,
    /// Byte limbs of the remainders of each operation, lowest first (wider than a byte so that tests can
    /// break the range).
    pub limbs: Vec<Vec<Vec<u16>>>,
    /// Uses of each table's (padded) entries.
    pub table_uses: Vec<Vec<u32>>,
    /// Uses of each byte.
    pub range_uses: Vec<u32>,
    /// Uses of each value of the input's range; empty unless the input is hidden.
    pub input_uses: Vec<u32>,
}

impl Trace {
    /// Counts the values of a hidden input.
    pub fn count_input(&mut self, input: &Tensor) {
        let mut uses = vec![0; 1 << layout::input_bits(input)];
        for value in &self.tensors[0] {
            let entry = usize::try_from(i32::from(*value) - i32::from(input.lo));
            if let Some(count) = entry.ok().and_then(|entry| uses.get_mut(entry)) {
                *count += 1;
            }
        }
        self.input_uses = uses;
    }
}

/// Copies a tensor with its batch into padded form.
///
/// # Errors
/// [`ProofError::InvalidData`] when the length or a value does not fit the tensor.
pub fn padded(tensor: &Tensor, batch: usize, values: &[i16]) -> Result<Vec<i16>> {
    if values.len() != tensor.len() * batch {
        return Err(ProofError::InvalidData(format!(
            "{} values for a batch of {batch} tensors of shape {:?}",
            values.len(),
            tensor.shape
        )));
    }
    let inside = |value: &i16| tensor.lo <= *value && *value <= tensor.hi;
    // All of them without a branch for each; then the first wrong one, if any.
    let wrong = if values.iter().fold(true, |all, value| all & inside(value)) {
        None
    } else {
        values.iter().find(|value| !inside(value))
    };
    if let Some(wrong) = wrong {
        return Err(ProofError::InvalidData(format!(
            "{wrong} is not in [{}, {}]",
            tensor.lo, tensor.hi
        )));
    }
    let mut cells = vec![0; 1 << layout::tensor_log(tensor, batch)];
    let dimensions = layout::axis_dimensions(tensor, batch);
    layout::for_each_run(&dimensions, |dense, padded| {
        cells[padded..padded + dimensions[0]]
            .copy_from_slice(&values[dense..dense + dimensions[0]]);
    });
    Ok(cells)
}

/// The real cells of a padded tensor.
#[must_use]
pub fn unpadded(tensor: &Tensor, batch: usize, cells: &[i16]) -> Vec<i16> {
    let mut values = vec![0; tensor.len() * batch];
    let dimensions = layout::axis_dimensions(tensor, batch);
    layout::for_each_run(&dimensions, |dense, padded| {
        values[dense..dense + dimensions[0]]
            .copy_from_slice(&cells[padded..padded + dimensions[0]]);
    });
    values
}

/// Runs the model on a batch of inputs.
///
/// # Errors
/// [`ProofError::InvalidData`] when the input does not fit the model.
pub fn run(
    architecture: &Architecture,
    packed: &[Packed],
    input: &[i16],
    batch: usize,
) -> Result<Trace> {
    let mut trace = Trace {
        tensors: vec![padded(architecture.input(), batch, input)?],
        accumulators: Vec::new(),
        quotients: Vec::new(),
        limbs: Vec::new(),
        table_uses: Vec::new(),
        range_uses: vec![0; 1 << RANGE_BITS],
        input_uses: Vec::new(),
    };
    for table in &architecture.tables {
        trace.table_uses.push(vec![0; table.values.len().next_power_of_two()]);
    }
    for (index, op) in architecture.ops().iter().enumerate() {
        let accumulators = accumulate(architecture, op, &packed[index], &trace, index, batch);
        requantise(architecture, op, index, &accumulators, batch, &mut trace);
        trace.accumulators.push(accumulators);
    }
    Ok(trace)
}

/// The bits below and of the channel axis of an operation's output.
#[must_use]
pub fn channel_axis(architecture: &Architecture, index: usize) -> (usize, usize) {
    let bits = layout::axis_bits(&architecture.tensors()[index + 1], 1);
    match architecture.ops()[index].kind {
        Kind::Dense { .. } => (0, bits[0]),
        Kind::Conv2d { .. } => (bits[0] + bits[1], bits[2]),
        Kind::Add { .. } | Kind::AvgPool { .. } | Kind::Table => (0, 0),
    }
}

fn requantise(
    architecture: &Architecture,
    op: &Op,
    index: usize,
    accumulators: &[i64],
    batch: usize,
    trace: &mut Trace,
) {
    let size = accumulators.len();
    debug_assert_eq!(size, 1 << layout::tensor_log(&architecture.tensors()[index + 1], batch));
    let table = &architecture.tables[op.table];
    let (below, bits) = channel_axis(architecture, index);
    let real = op.multipliers.len();
    let mut quotients = Vec::with_capacity(size);
    let mut limbs: Vec<Vec<u16>> = (0..op.limbs()).map(|_| Vec::with_capacity(size)).collect();
    let mut values = Vec::with_capacity(size);
    let half = 1_i64 << (op.shift - 1);
    for (cell, accumulator) in accumulators.iter().enumerate() {
        let multiplier = if real == 1 {
            i64::from(op.multipliers[0])
        } else {
            // Channels in the padding have an accumulator of zero.
            op.multipliers.get(cell >> below & ((1 << bits) - 1)).map_or(0, |m| i64::from(*m))
        };
        let scaled = accumulator * multiplier + half;
        let quotient = scaled >> op.shift;
        let remainder = (scaled - (quotient << op.shift)).to_le_bytes();
        for (limb, byte) in limbs.iter_mut().zip(remainder) {
            limb.push(u16::from(byte));
            trace.range_uses[usize::from(byte)] += 1;
        }
        let entry = usize::try_from(quotient - i64::from(table.q_lo)).unwrap_or(usize::MAX);
        // The static bound keeps every quotient inside its table.
        values.push(table.values[entry]);
        trace.table_uses[op.table][entry] += 1;
        quotients.push(i32::try_from(quotient).unwrap_or(i32::MAX));
    }
    trace.quotients.push(quotients);
    trace.limbs.push(limbs);
    trace.tensors.push(values);
}
