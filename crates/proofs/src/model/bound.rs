//! The static bound: a model that could wrap, or miss its table, is refused.

use super::{Architecture, Kind, Weights};
use crate::error::{ProofError, Result};

/// Accumulators times multipliers stay below this, well below p/2.
const PRODUCT_MAX: i128 = 1 << 62;

/// Checks that weights fit the architecture and that no accumulator can wrap or leave its table, for any
/// input in range.
///
/// # Errors
/// [`ProofError::InvalidModel`] with the operation and channel.
pub fn check_bounds(architecture: &Architecture, weights: &Weights) -> Result<()> {
    if weights.len() != architecture.ops.len() {
        return Err(ProofError::model("weights of another number of operations"));
    }
    for (index, own) in weights.iter().enumerate() {
        if architecture.weight_counts(index) != (own.weights.len(), own.bias.len()) {
            return Err(ProofError::model(format!(
                "operation {index}: {} weights and {} biases instead of {:?}",
                own.weights.len(),
                own.bias.len(),
                architecture.weight_counts(index)
            )));
        }
        for (channel, bound) in channel_bounds(architecture, weights, index).iter().enumerate() {
            check_channel(architecture, index, channel, *bound)?;
        }
    }
    Ok(())
}

/// `B_c`: the largest magnitude that each channel's accumulator can have.
fn channel_bounds(architecture: &Architecture, weights: &Weights, index: usize) -> Vec<i128> {
    let (op, own) = (&architecture.ops[index], &weights[index]);
    let largest = i128::from(architecture.tensors[op.input].magnitude());
    let with_bias = |sums: Vec<i128>| -> Vec<i128> {
        let biases = own.bias.iter().map(|bias| i128::from(bias.unsigned_abs()));
        sums.iter().zip(biases).map(|(sum, bias)| largest * sum + bias).collect()
    };
    match &op.kind {
        Kind::Dense { n, .. } => {
            let mut sums = vec![0_i128; *n];
            for row in own.weights.chunks_exact(*n) {
                for (sum, weight) in sums.iter_mut().zip(row) {
                    *sum += i128::from(weight.unsigned_abs());
                }
            }
            with_bias(sums)
        }
        Kind::Conv2d { o, .. } => {
            let filters = own.weights.chunks_exact(own.weights.len() / o);
            with_bias(
                filters.map(|f| f.iter().map(|w| i128::from(w.unsigned_abs())).sum()).collect(),
            )
        }
        Kind::Add { other, scales } => {
            let second = i128::from(architecture.tensors[*other].magnitude());
            let [a, b] = scales.map(|scale| i128::from(scale.unsigned_abs()));
            vec![a * largest + b * second]
        }
        Kind::AvgPool { window } => {
            vec![largest * (window.kernel[0] * window.kernel[1]) as i128]
        }
        Kind::Table => vec![largest],
    }
}

fn check_channel(
    architecture: &Architecture,
    index: usize,
    channel: usize,
    bound: i128,
) -> Result<()> {
    let op = &architecture.ops[index];
    let half = 1_i128 << (op.shift - 1);
    let product = bound * i128::from(op.multiplier(channel));
    if product + half >= PRODUCT_MAX {
        return Err(ProofError::model(format!(
            "operation {index}, channel {channel}: |acc|·m may reach {product}, which is not below 2^62"
        )));
    }
    let (low, high) = ((half - product) >> op.shift, (half + product) >> op.shift);
    let table = &architecture.tables[op.table];
    let first = i128::from(table.q_lo);
    let last = first + table.values.len() as i128 - 1;
    if low < first || high > last {
        return Err(ProofError::model(format!(
            "operation {index}, channel {channel}: q may be {low} to {high}, its table covers {first} to {last}"
        )));
    }
    Ok(())
}
