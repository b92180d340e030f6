//! Where every committed value lies: derived from the architecture and the batch alone, by prover and
//! verifier alike, never from a proof.
//!
//! Each axis of a tensor is padded to a power of two. Padding cells are not special: they hold what the
//! operation gives there (weights are zero in padding), so look-ups and identities hold in them too and a
//! prover has no freedom in them.

use crate::model::{Architecture, Kind, Table, Tensor};

/// log2 of the number of values of the byte range table.
pub const RANGE_BITS: usize = 8;

/// ⌈log2 n⌉, n ≥ 1.
#[must_use]
pub fn log2_ceil(n: usize) -> usize {
    n.next_power_of_two().trailing_zeros() as usize
}

/// Bits of each axis of a tensor with its batch, from the lowest (last axis) to the highest (batch).
#[must_use]
pub fn axis_bits(tensor: &Tensor, batch: usize) -> Vec<usize> {
    tensor.shape.iter().rev().chain([&batch]).map(|dimension| log2_ceil(*dimension)).collect()
}

/// Dimensions of a tensor with its batch, in the order of [`axis_bits`].
#[must_use]
pub fn axis_dimensions(tensor: &Tensor, batch: usize) -> Vec<usize> {
    tensor.shape.iter().rev().copied().chain([batch]).collect()
}

/// log2 of the padded size of a tensor with its batch.
#[must_use]
pub fn tensor_log(tensor: &Tensor, batch: usize) -> usize {
    axis_bits(tensor, batch).iter().sum()
}

/// Calls `visit(dense, padded)` with the row-major index of every real cell and its padded index.
/// Dimensions are from the lowest axis.
pub fn for_each_cell(dimensions: &[usize], mut visit: impl FnMut(usize, usize)) {
    for_each_run(dimensions, |dense, padded| {
        for step in 0..dimensions[0] {
            visit(dense + step, padded + step);
        }
    });
}

/// Calls `visit` with the first cell of every run along the lowest axis, as [`for_each_cell`] does.
pub fn for_each_run(dimensions: &[usize], mut visit: impl FnMut(usize, usize)) {
    let bits: Vec<usize> = dimensions.iter().map(|d| log2_ceil(*d)).collect();
    let total: usize = dimensions.iter().product();
    for dense in (0..total).step_by(dimensions[0]) {
        let (mut rest, mut padded, mut shift) = (dense / dimensions[0], 0, bits[0]);
        for (dimension, bit) in dimensions.iter().zip(&bits).skip(1) {
            padded |= (rest % dimension) << shift;
            rest /= dimension;
            shift += bit;
        }
        visit(dense, padded);
    }
}

/// A committed vector of 2^log_size values, of which those from `active` on are zero by definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// log2 of its size.
    pub log_size: usize,
    /// Values that exist.
    pub active: usize,
}

/// Padded shape of the weights of an operation, as `(K bits, N bits, N)`; `None` without weights.
///
/// Weights are laid out with k in the low bits: index = n·2^(K bits) + k.
#[must_use]
pub fn weight_shape(architecture: &Architecture, op: usize) -> Option<(usize, usize, usize)> {
    let op = &architecture.ops()[op];
    let input = &architecture.tensors()[op.input].shape;
    let (k_bits, n) = match &op.kind {
        Kind::Dense { row_axes, n } => (input[*row_axes..].iter().map(|d| log2_ceil(*d)).sum(), *n),
        Kind::Conv2d { o, window } => {
            let [kh, kw] = window.kernel.map(log2_ceil);
            (log2_ceil(input[0]) + kh + kw, *o)
        }
        Kind::Add { .. } | Kind::AvgPool { .. } | Kind::Table => return None,
    };
    Some((k_bits, log2_ceil(n), n))
}

/// Padded weights of a model.
#[must_use]
pub fn weight_cells(architecture: &Architecture) -> usize {
    let shapes = (0..architecture.ops().len()).filter_map(|op| weight_shape(architecture, op));
    shapes.fold(0, |sum, (k, _, n)| sum.saturating_add(n.saturating_mul(1 << k.min(40))))
}

/// Names of the blocks of the weight commitment, in canonical order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightBlock {
    /// Weights of an operation.
    Weights(usize),
    /// Biases of an operation.
    Bias(usize),
}

/// Blocks of the weight commitment.
#[must_use]
pub fn weight_blocks(architecture: &Architecture) -> Vec<(WeightBlock, Block)> {
    let mut blocks = Vec::new();
    for op in 0..architecture.ops().len() {
        if let Some((k, n_bits, n)) = weight_shape(architecture, op) {
            blocks.push((WeightBlock::Weights(op), Block { log_size: k + n_bits, active: n << k }));
            blocks.push((WeightBlock::Bias(op), Block { log_size: n_bits, active: n }));
        }
    }
    blocks
}

/// Names of the blocks of a proof's own commitment, in canonical order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// Quotients of an operation.
    Quotient(usize),
    /// One byte limb of the remainders of an operation.
    Limb(usize, usize),
    /// Outputs of an operation.
    Output(usize),
    /// How often each entry of a table is used.
    TableUses(usize),
    /// How often each byte is used.
    RangeUses,
    /// The input, when it is hidden.
    Input,
    /// How often each value is an input, when it is hidden.
    InputUses,
}

/// Blocks of a proof's own commitment when the input is public.
#[must_use]
pub fn columns(architecture: &Architecture, batch: usize) -> Vec<(Column, Block)> {
    all_columns(architecture, batch, false)
}

/// Blocks of a proof's own commitment; those of a hidden input come last.
#[must_use]
pub fn all_columns(
    architecture: &Architecture,
    batch: usize,
    hides_input: bool,
) -> Vec<(Column, Block)> {
    let full = |log_size: usize| Block { log_size, active: 1 << log_size };
    let mut blocks = Vec::new();
    for (index, op) in architecture.ops().iter().enumerate() {
        let block = full(tensor_log(&architecture.tensors()[index + 1], batch));
        blocks.push((Column::Quotient(index), block));
        blocks.extend((0..op.limbs()).map(|limb| (Column::Limb(index, limb), block)));
        blocks.push((Column::Output(index), block));
    }
    for (id, table) in architecture.tables.iter().enumerate() {
        blocks.push((Column::TableUses(id), full(log2_ceil(table.values.len()))));
    }
    blocks.push((Column::RangeUses, full(RANGE_BITS)));
    if hides_input {
        let input = architecture.input();
        blocks.push((Column::Input, full(tensor_log(input, batch))));
        blocks.push((Column::InputUses, full(input_bits(input))));
    }
    blocks
}

/// log2 of the (padded) number of values that an input cell can have.
#[must_use]
pub fn input_bits(input: &Tensor) -> usize {
    log2_ceil(usize::from(input.hi.abs_diff(input.lo)) + 1)
}

/// Value `index` of the range of an input; beyond its end the last one again.
#[must_use]
pub fn input_entry(input: &Tensor, index: usize) -> i64 {
    (i64::from(input.lo) + index as i64).min(i64::from(input.hi))
}

/// A run of leaves of the shared look-up argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Segment {
    /// Look-ups (q, y) of an operation.
    TableLookups(usize),
    /// Look-ups of one limb of an operation.
    LimbLookups(usize, usize),
    /// The entries of a table.
    Table(usize),
    /// The entries of the byte range.
    Range,
    /// Look-ups of a hidden input.
    InputLookups,
    /// The values that an input can have.
    InputRange,
}

/// Segments of the look-up argument, largest first, with log2 of their size and their first leaf. Each
/// starts at a multiple of its size, so the low bits of a leaf's index are its index in the segment.
pub struct Segments {
    /// Segment, log2 of its size, first leaf.
    pub parts: Vec<(Segment, usize, usize)>,
    /// Leaves in all; those beyond, up to a power of two, are the fraction 0/1.
    pub len: usize,
}

/// The segments of a model and batch when the input is public.
#[must_use]
pub fn segments(architecture: &Architecture, batch: usize) -> Segments {
    all_segments(architecture, batch, false)
}

/// The segments of a model and batch.
#[must_use]
pub fn all_segments(architecture: &Architecture, batch: usize, hides_input: bool) -> Segments {
    let mut parts = Vec::new();
    for (index, op) in architecture.ops().iter().enumerate() {
        let log = tensor_log(&architecture.tensors()[index + 1], batch);
        parts.push((Segment::TableLookups(index), log, 0));
        parts.extend((0..op.limbs()).map(|limb| (Segment::LimbLookups(index, limb), log, 0)));
    }
    for (id, table) in architecture.tables.iter().enumerate() {
        parts.push((Segment::Table(id), log2_ceil(table.values.len()), 0));
    }
    parts.push((Segment::Range, RANGE_BITS, 0));
    if hides_input {
        let input = architecture.input();
        parts.push((Segment::InputLookups, tensor_log(input, batch), 0));
        parts.push((Segment::InputRange, input_bits(input), 0));
    }
    parts.sort_by_key(|(_, log, _)| std::cmp::Reverse(*log));
    let mut len = 0;
    for (_, log, first) in &mut parts {
        *first = len;
        len += 1 << *log;
    }
    Segments { parts, len }
}

/// Entry `index` of a table, `(q, y)`; beyond its end the last entry again, which allows nothing new.
#[must_use]
pub fn table_entry(table: &Table, index: usize) -> (i32, i16) {
    let index = index.min(table.values.len().saturating_sub(1));
    let q = i64::from(table.q_lo) + index as i64;
    (i32::try_from(q).unwrap_or(i32::MAX), table.values.get(index).copied().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_visited_in_order() {
        let mut seen = Vec::new();
        for_each_cell(&[3, 2, 2], |dense, padded| seen.push((dense, padded)));
        let padded = [0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14];
        assert_eq!(seen, padded.into_iter().enumerate().collect::<Vec<_>>());
        assert_eq!([1, 2, 3, 1024].map(log2_ceil), [0, 1, 2, 10]);
    }
}
