//! The JSON form, for handing a model over from Python. It is not what the digest is taken over.

use serde::Deserialize;

use super::{Architecture, Kind, Op, OpWeights, Table, Tensor, Weights, Window, check_bounds};
use crate::error::{ProofError, Result};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Model {
    format: String,
    input: Input,
    tables: Vec<JsonTable>,
    ops: Vec<JsonOp>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    shape: Vec<usize>,
    lo: i16,
    hi: i16,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonTable {
    q_lo: i32,
    values: Vec<i16>,
}

#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
enum JsonOp {
    Dense {
        input: usize,
        row_axes: usize,
        n: usize,
        weight_offset: usize,
        bias: Vec<i64>,
        multipliers: Vec<u32>,
        shift: u32,
        table: usize,
    },
    #[serde(rename = "conv2d")]
    Conv {
        input: usize,
        o: usize,
        kernel: [usize; 2],
        strides: [usize; 2],
        pads: [usize; 4],
        weight_offset: usize,
        bias: Vec<i64>,
        multipliers: Vec<u32>,
        shift: u32,
        table: usize,
    },
    Add {
        input: usize,
        other: usize,
        scales: [i32; 2],
        multipliers: Vec<u32>,
        shift: u32,
        table: usize,
    },
    AvgPool {
        input: usize,
        kernel: [usize; 2],
        strides: [usize; 2],
        pads: [usize; 4],
        multipliers: Vec<u32>,
        shift: u32,
        table: usize,
    },
    Table {
        input: usize,
        multipliers: Vec<u32>,
        shift: u32,
        table: usize,
    },
}

impl JsonOp {
    /// The operation, and where it has weights, their offset and the biases.
    fn split(self) -> (Op, Option<(usize, Vec<i64>)>) {
        match self {
            Self::Dense { input, row_axes, n, weight_offset, bias, multipliers, shift, table } => {
                let kind = Kind::Dense { row_axes, n };
                (Op { kind, input, multipliers, shift, table }, Some((weight_offset, bias)))
            }
            Self::Conv {
                input,
                o,
                kernel,
                strides,
                pads,
                weight_offset,
                bias,
                multipliers,
                shift,
                table,
            } => {
                let kind = Kind::Conv2d { o, window: Window { kernel, strides, pads } };
                (Op { kind, input, multipliers, shift, table }, Some((weight_offset, bias)))
            }
            Self::Add { input, other, scales, multipliers, shift, table } => {
                let kind = Kind::Add { other, scales };
                (Op { kind, input, multipliers, shift, table }, None)
            }
            Self::AvgPool { input, kernel, strides, pads, multipliers, shift, table } => {
                let kind = Kind::AvgPool { window: Window { kernel, strides, pads } };
                (Op { kind, input, multipliers, shift, table }, None)
            }
            Self::Table { input, multipliers, shift, table } => {
                (Op { kind: Kind::Table, input, multipliers, shift, table }, None)
            }
        }
    }
}

/// Reads a model from its JSON and its weights (little-endian int16, back to back), and checks everything,
/// the static bound included.
///
/// # Errors
/// [`ProofError::InvalidModel`] with the first rule that is broken.
pub fn from_json(text: &str, weight_bytes: &[u8]) -> Result<(Architecture, Weights)> {
    let model: Model =
        serde_json::from_str(text).map_err(|error| ProofError::model(error.to_string()))?;
    if model.format != "maxwell-model/1" {
        return Err(ProofError::model(format!("format {:?}, not maxwell-model/1", model.format)));
    }
    let tables =
        model.tables.into_iter().map(|t| Table { q_lo: t.q_lo, values: t.values }).collect();
    let (ops, extras): (Vec<Op>, Vec<_>) = model.ops.into_iter().map(JsonOp::split).unzip();
    let Input { shape, lo, hi } = model.input;
    let architecture = Architecture::new(Tensor { shape, lo, hi }, tables, ops)?;

    let (values, rest) = weight_bytes.as_chunks::<2>();
    let mut weights = Weights::new();
    let mut next = 0;
    for (index, extra) in extras.into_iter().enumerate() {
        let Some((offset, bias)) = extra else {
            weights.push(OpWeights::default());
            continue;
        };
        let end = next + architecture.weight_counts(index).0;
        let own = values.get(next..end).filter(|_| offset == next).ok_or_else(|| {
            ProofError::model(format!(
                "operation {index}: its weights are not at {offset}, or too few"
            ))
        })?;
        weights.push(OpWeights {
            weights: own.iter().map(|v| i16::from_le_bytes(*v)).collect(),
            bias,
        });
        next = end;
    }
    if next != values.len() || !rest.is_empty() {
        return Err(ProofError::model("more weight bytes than the operations use"));
    }
    check_bounds(&architecture, &weights)?;
    Ok((architecture, weights))
}

/// The weights of all operations as bytes: what [`from_json`] takes.
#[must_use]
pub fn weight_bytes(weights: &Weights) -> Vec<u8> {
    weights.iter().flat_map(|own| &own.weights).flat_map(|weight| weight.to_le_bytes()).collect()
}
