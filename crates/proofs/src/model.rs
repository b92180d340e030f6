//! Proof models: the integer network that a proof is about. Normative text: docs/reference/proof-model.md.
//!
//! [`Architecture`] is the public part (operations, shapes, multipliers, tables) and can only be made
//! through its checks; [`Weights`] is the part that a verifier does not need.

mod bound;
mod bytes;
mod json;
mod shape;
#[cfg(test)]
mod tests;

pub use bound::check_bounds;
pub use json::{from_json, weight_bytes};

use crate::error::{ProofError, Result};

/// Hard limits; the arithmetic is in docs/reference/proof-model.md.
pub mod limits {
    /// Operations of a model.
    pub const OPS: usize = 64;
    /// Tables of a model.
    pub const TABLES: usize = 64;
    /// Values of one table.
    pub const TABLE_VALUES: usize = 1 << 16;
    /// Values of all tables.
    pub const TABLE_VALUES_TOTAL: usize = 1 << 18;
    /// Weights of a model, padded.
    pub const WEIGHTS: usize = 1 << 26;
    /// Cells of one padded tensor with its batch.
    pub const CELLS: usize = 1 << 24;
    /// Leaves of one proof's look-up argument: 2·2^25/|E| is an error of 2^−102.
    pub const LEAVES: usize = 1 << 25;
    /// Inferences of one proof.
    pub const BATCH: usize = 4096;
    /// Kernel side and stride.
    pub const KERNEL: usize = 64;
    /// Axes of a tensor, without the batch.
    pub const RANK: usize = 4;
    /// One dimension.
    pub const DIMENSION: usize = 1 << 24;
}

/// A tensor: its shape (without the batch) and the closed range of its integers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    /// Dimensions, row-major.
    pub shape: Vec<usize>,
    /// Smallest value.
    pub lo: i16,
    /// Largest value.
    pub hi: i16,
}

impl Tensor {
    /// How many integers one inference has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// A tensor always has cells.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }

    /// max(|lo|, |hi|).
    #[must_use]
    pub fn magnitude(&self) -> u64 {
        u64::from(self.lo.unsigned_abs().max(self.hi.unsigned_abs()))
    }
}

/// A look-up table: `q ↦ values[q − q_lo]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The `q` of the first value.
    pub q_lo: i32,
    /// The values.
    pub values: Vec<i16>,
}

/// A window moved over an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Height and width.
    pub kernel: [usize; 2],
    /// Vertical and horizontal step.
    pub strides: [usize; 2],
    /// Zeros added at the top, left, bottom, right.
    pub pads: [usize; 4],
}

/// The linear part of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A matrix product over all axes after the first `row_axes`.
    Dense {
        /// Leading axes that are rows.
        row_axes: usize,
        /// Output channels.
        n: usize,
    },
    /// A convolution with `o` filters.
    Conv2d {
        /// Output channels.
        o: usize,
        /// Its window.
        window: Window,
    },
    /// `scales[0]·input + scales[1]·other`.
    Add {
        /// The second tensor.
        other: usize,
        /// The two factors.
        scales: [i32; 2],
    },
    /// The sum over a window.
    AvgPool {
        /// Its window.
        window: Window,
    },
    /// The input itself.
    Table,
}

/// One operation: linear part, requantisation, table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Op {
    /// The linear part.
    pub kind: Kind,
    /// The tensor read.
    pub input: usize,
    /// One multiplier, or one per output channel.
    pub multipliers: Vec<u32>,
    /// The shift: a multiple of 8 from 8 to 40.
    pub shift: u32,
    /// The table's number.
    pub table: usize,
}

impl Op {
    /// The tensors read, one or two.
    pub fn reads(&self) -> impl Iterator<Item = usize> {
        let other = if let Kind::Add { other, .. } = self.kind { Some(other) } else { None };
        std::iter::once(self.input).chain(other)
    }

    /// The multiplier of a channel.
    #[must_use]
    pub fn multiplier(&self, channel: usize) -> u32 {
        if self.multipliers.len() == 1 { self.multipliers[0] } else { self.multipliers[channel] }
    }

    /// Byte limbs of the remainder.
    #[must_use]
    pub fn limbs(&self) -> usize {
        (self.shift / 8) as usize
    }
}

/// The public part of a model, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Architecture {
    pub(crate) tables: Vec<Table>,
    pub(crate) ops: Vec<Op>,
    /// Tensor 0 is the input; operation i makes tensor i + 1.
    pub(crate) tensors: Vec<Tensor>,
}

/// Weights and bias of one operation; empty where it has none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OpWeights {
    /// `[K, N]` or `[O, C, KH, KW]`, row-major.
    pub weights: Vec<i16>,
    /// One per output channel.
    pub bias: Vec<i64>,
}

/// What a verifier does not need: one entry per operation.
pub type Weights = Vec<OpWeights>;

impl Architecture {
    /// Checks shapes, references and limits.
    ///
    /// # Errors
    /// [`ProofError::InvalidModel`] with the rule that is broken.
    pub fn new(input: Tensor, tables: Vec<Table>, ops: Vec<Op>) -> Result<Self> {
        let architecture = Self::new_unread(input, tables, ops)?;
        architecture.check_all_read()?;
        Ok(architecture)
    }

    /// [`Architecture::new`] without the rule that everything must be used.
    pub(crate) fn new_unread(input: Tensor, tables: Vec<Table>, ops: Vec<Op>) -> Result<Self> {
        shape::check_tensor(&input)?;
        if ops.is_empty() || ops.len() > limits::OPS {
            return Err(ProofError::model(format!(
                "1 to {} operations, not {}",
                limits::OPS,
                ops.len()
            )));
        }
        if tables.is_empty() || tables.len() > limits::TABLES {
            return Err(ProofError::model(format!("1 to {} tables", limits::TABLES)));
        }
        for (id, table) in tables.iter().enumerate() {
            let span = i64::from(table.q_lo) + table.values.len() as i64;
            let fits = !table.values.is_empty() && table.values.len() <= limits::TABLE_VALUES;
            if !fits || table.q_lo > 0 || span < 1 || span > i64::from(i32::MAX) {
                return Err(ProofError::model(format!(
                    "table {id} needs 1 to {} values and must contain q = 0",
                    limits::TABLE_VALUES
                )));
            }
        }
        if tables.iter().map(|table| table.values.len()).sum::<usize>() > limits::TABLE_VALUES_TOTAL
        {
            return Err(ProofError::model(format!(
                "more than {} table values",
                limits::TABLE_VALUES_TOTAL
            )));
        }
        let mut architecture = Self { tables, ops: Vec::new(), tensors: vec![input] };
        for op in ops {
            let output = shape::output(&architecture, &op)?;
            architecture.ops.push(op);
            architecture.tensors.push(output);
        }
        if crate::layout::weight_cells(&architecture) > limits::WEIGHTS {
            return Err(ProofError::model(format!("more than {} padded weights", limits::WEIGHTS)));
        }
        Ok(architecture)
    }

    fn check_all_read(&self) -> Result<()> {
        for tensor in 0..self.ops.len() {
            if !self.ops.iter().any(|op| op.reads().any(|read| read == tensor)) {
                return Err(ProofError::model(format!("tensor {tensor} is read by no operation")));
            }
        }
        for table in 0..self.tables.len() {
            if !self.ops.iter().any(|op| op.table == table) {
                return Err(ProofError::model(format!("table {table} is used by no operation")));
            }
        }
        Ok(())
    }

    /// The input tensor.
    #[must_use]
    pub fn input(&self) -> &Tensor {
        &self.tensors[0]
    }

    /// The output tensor.
    #[must_use]
    pub fn output(&self) -> &Tensor {
        &self.tensors[self.ops.len()]
    }

    /// The operations.
    #[must_use]
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// All tensors: the input, then one per operation.
    #[must_use]
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// How many weights and biases operation `op` has.
    #[must_use]
    pub fn weight_counts(&self, op: usize) -> (usize, usize) {
        let input = &self.tensors[self.ops[op].input].shape;
        match &self.ops[op].kind {
            Kind::Dense { row_axes, n } => (input[*row_axes..].iter().product::<usize>() * n, *n),
            Kind::Conv2d { o, window } => (o * input[0] * window.kernel[0] * window.kernel[1], *o),
            Kind::Add { .. } | Kind::AvgPool { .. } | Kind::Table => (0, 0),
        }
    }

    /// Multiply-accumulates of one inference: what a sponsor pays by.
    #[must_use]
    pub fn macs(&self) -> u64 {
        let of = |index: usize| {
            let (weights, channels) = self.weight_counts(index);
            let positions = self.tensors[index + 1].len().checked_div(channels).unwrap_or(0);
            (weights * positions) as u64
        };
        (0..self.ops.len()).map(of).sum()
    }
}
