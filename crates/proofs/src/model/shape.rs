//! Shapes, references and limits of operations.

use super::{Architecture, Kind, Op, Table, Tensor, Window, limits};
use crate::error::{ProofError, Result};

pub(super) fn check_tensor(tensor: &Tensor) -> Result<()> {
    let rank = tensor.shape.len();
    let dimensions = tensor.shape.iter().all(|d| (1..=limits::DIMENSION).contains(d));
    if rank == 0 || rank > limits::RANK || !dimensions {
        return Err(ProofError::model(format!("a tensor of shape {:?}", tensor.shape)));
    }
    let cells =
        tensor.shape.iter().map(|d| d.next_power_of_two()).try_fold(1_usize, usize::checked_mul);
    if cells.is_none_or(|cells| cells > limits::CELLS) {
        return Err(ProofError::model(format!(
            "a tensor of shape {:?} has more than {} padded cells",
            tensor.shape,
            limits::CELLS
        )));
    }
    if tensor.lo > tensor.hi {
        return Err(ProofError::model(format!("an empty range [{}, {}]", tensor.lo, tensor.hi)));
    }
    Ok(())
}

/// The output positions of a window along one side; `None` when it does not fit.
fn side(length: usize, kernel: usize, stride: usize, before: usize, after: usize) -> Option<usize> {
    let fits = (1..=limits::KERNEL).contains(&kernel)
        && (1..=limits::KERNEL).contains(&stride)
        && before < kernel
        && after < kernel;
    let padded = length + before + after;
    (fits && padded >= kernel).then(|| (padded - kernel) / stride + 1)
}

fn image(shape: &[usize], window: &Window) -> Result<[usize; 2]> {
    let [top, left, bottom, right] = window.pads;
    let &[_, height, width] = shape else {
        return Err(ProofError::model(format!("a window over a tensor of shape {shape:?}")));
    };
    let rows = side(height, window.kernel[0], window.strides[0], top, bottom);
    let columns = side(width, window.kernel[1], window.strides[1], left, right);
    match (rows, columns) {
        (Some(rows), Some(columns)) => Ok([rows, columns]),
        _ => {
            Err(ProofError::model(format!("{window:?} does not fit shape {shape:?} or its limits")))
        }
    }
}

/// Checks one operation against what precedes it and gives its output tensor.
pub(super) fn output(architecture: &Architecture, op: &Op) -> Result<Tensor> {
    let index = architecture.ops.len();
    let wrong = |what: String| ProofError::model(format!("operation {index}: {what}"));
    if op.reads().any(|read| read > index) {
        return Err(wrong("reads a tensor that does not exist yet".into()));
    }
    let table: &Table =
        architecture.tables.get(op.table).ok_or_else(|| wrong(format!("no table {}", op.table)))?;
    if !op.shift.is_multiple_of(8) || !(8..=40).contains(&op.shift) {
        return Err(wrong(format!("shift {}: one of 8, 16, 24, 32, 40", op.shift)));
    }
    let input = &architecture.tensors[op.input].shape;
    let (shape, channels) = match &op.kind {
        Kind::Dense { row_axes, n } => {
            if *row_axes >= input.len() || !(1..=limits::DIMENSION).contains(n) {
                return Err(wrong(format!("row_axes {row_axes} and n {n} of shape {input:?}")));
            }
            ([&input[..*row_axes], &[*n]].concat(), *n)
        }
        Kind::Conv2d { o, window } => {
            let [rows, columns] = image(input, window)?;
            if !(1..=limits::DIMENSION).contains(o) {
                return Err(wrong(format!("{o} filters")));
            }
            (vec![*o, rows, columns], *o)
        }
        Kind::Add { other, scales } => {
            if &architecture.tensors[*other].shape != input || scales.contains(&0) {
                return Err(wrong("adds tensors of two shapes, or with a scale of 0".into()));
            }
            (input.clone(), 1)
        }
        Kind::AvgPool { window } => {
            let [rows, columns] = image(input, window)?;
            (vec![input[0], rows, columns], 1)
        }
        Kind::Table => (input.clone(), 1),
    };
    let count = op.multipliers.len();
    if (count != 1 && count != channels) || op.multipliers.contains(&0) {
        return Err(wrong(format!("{count} multipliers for {channels} channels, or one of 0")));
    }
    let lo = table.values.iter().copied().min().unwrap_or(0);
    let hi = table.values.iter().copied().max().unwrap_or(0);
    let tensor = Tensor { shape, lo, hi };
    check_tensor(&tensor)?;
    Ok(tensor)
}
