//! The linear part of every operation, on padded tensors.

use rayon::prelude::*;

use super::{Packed, Trace};
use crate::layout;
use crate::model::{Architecture, Kind, Op, Window};

/// The accumulators of operation `index` over all padded cells.
pub(super) fn accumulate(
    architecture: &Architecture,
    op: &Op,
    packed: &Packed,
    trace: &Trace,
    index: usize,
    batch: usize,
) -> Vec<i64> {
    let input = &trace.tensors[op.input];
    let output = &architecture.tensors()[index + 1];
    let size = 1 << layout::tensor_log(output, batch);
    match &op.kind {
        Kind::Dense { n, .. } => {
            let mut cells = vec![0; size];
            let width = n.next_power_of_two();
            let rows =
                cells.par_chunks_exact_mut(width).zip(input.par_chunks_exact(1 << packed.k_bits));
            if size / width >= 4 {
                rows.for_each(|(row, x)| {
                    for (n, cell) in row.iter_mut().enumerate().take(*n) {
                        *cell = channel(packed, n, x);
                    }
                });
            } else {
                for (row, x) in
                    cells.chunks_exact_mut(width).zip(input.chunks_exact(1 << packed.k_bits))
                {
                    let cells = row.par_iter_mut().with_min_len(64).enumerate().take(*n);
                    cells.for_each(|(n, cell)| *cell = channel(packed, n, x));
                }
            }
            cells
        }
        Kind::Conv2d { o, window } => {
            let shape = &architecture.tensors()[op.input].shape;
            convolve(packed, *o, window, shape, &output.shape, input, size)
        }
        Kind::Add { other, scales } => {
            let [a, b] = scales.map(i64::from);
            let pairs = input.iter().zip(&trace.tensors[*other]);
            pairs.map(|(x, y)| a * i64::from(*x) + b * i64::from(*y)).collect()
        }
        Kind::AvgPool { window } => {
            let shape = &architecture.tensors()[op.input].shape;
            pool(window, shape, &output.shape, input, size)
        }
        Kind::Table => input.iter().map(|x| i64::from(*x)).collect(),
    }
}

/// Bias plus the dot product of a channel's weights.
fn channel(packed: &Packed, n: usize, x: &[i16]) -> i64 {
    let weights = &packed.weights[n << packed.k_bits..(n + 1) << packed.k_bits];
    packed.bias[n] + if packed.small_products { small_dot(weights, x) } else { dot(weights, x) }
}

/// [`dot`] for products of at most 2^23: 128 of them stay within 2^30, so the inner sums are 32 bits wide, which is
/// one instruction for two products.
fn small_dot(a: &[i16], b: &[i16]) -> i64 {
    let inner = |(a, b): (&[i16], &[i16])| {
        let terms = a.iter().zip(b);
        let sum = terms
            .fold(0_i32, |sum, (x, y)| sum.wrapping_add(i32::from(*x).wrapping_mul(i32::from(*y))));
        i64::from(sum)
    };
    a.chunks(128).zip(b.chunks(128)).map(inner).sum()
}

/// An exact dot product: products of at most 2^30 in 64-bit sums.
fn dot(a: &[i16], b: &[i16]) -> i64 {
    a.iter().zip(b).fold(0_i64, |sum, (x, y)| {
        sum.wrapping_add(i64::from(i32::from(*x).wrapping_mul(i32::from(*y))))
    })
}

/// The source row or column of an output position and kernel offset; `None` in the padding.
fn source(
    position: usize,
    stride: usize,
    offset: usize,
    before: usize,
    length: usize,
) -> Option<usize> {
    (position * stride + offset).checked_sub(before).filter(|place| *place < length)
}

fn convolve(
    packed: &Packed,
    channels: usize,
    window: &Window,
    shape: &[usize],
    output: &[usize],
    input: &[i16],
    size: usize,
) -> Vec<i64> {
    let [_, w_bits, h_bits] = [0, layout::log2_ceil(shape[2]), layout::log2_ceil(shape[1])];
    let image_bits = layout::log2_ceil(shape[0]) + h_bits + w_bits;
    let [oh_bits, ow_bits] = [layout::log2_ceil(output[1]), layout::log2_ceil(output[2])];
    let out_bits = layout::log2_ceil(channels) + oh_bits + ow_bits;
    let [kh_bits, kw_bits] = window.kernel.map(layout::log2_ceil);
    let mut cells = vec![0; size];
    cells
        .par_chunks_exact_mut(1 << out_bits)
        .zip(input.par_chunks_exact(1 << image_bits))
        .for_each(|(cells, image)| {
            for (channel, bias) in packed.bias.iter().enumerate() {
                // Padded positions hold the bias alone.
                let first = channel << (oh_bits + ow_bits);
                cells[first..first + (1 << (oh_bits + ow_bits))].fill(*bias);
            }
            let mut patch = vec![0; 1 << packed.k_bits];
            for (oh, ow) in (0..output[1]).flat_map(|oh| (0..output[2]).map(move |ow| (oh, ow))) {
                for c in 0..shape[0] {
                    for i in 0..window.kernel[0] {
                        let h = source(oh, window.strides[0], i, window.pads[0], shape[1]);
                        for j in 0..window.kernel[1] {
                            let w = source(ow, window.strides[1], j, window.pads[1], shape[2]);
                            patch[(((c << kh_bits) + i) << kw_bits) + j] = match (h, w) {
                                (Some(h), Some(w)) => image[(((c << h_bits) + h) << w_bits) + w],
                                _ => 0,
                            };
                        }
                    }
                }
                for n in 0..channels {
                    cells[(((n << oh_bits) + oh) << ow_bits) + ow] = channel(packed, n, &patch);
                }
            }
        });
    cells
}

fn pool(
    window: &Window,
    shape: &[usize],
    output: &[usize],
    input: &[i16],
    size: usize,
) -> Vec<i64> {
    let [h_bits, w_bits] = [layout::log2_ceil(shape[1]), layout::log2_ceil(shape[2])];
    let [oh_bits, ow_bits] = [layout::log2_ceil(output[1]), layout::log2_ceil(output[2])];
    let mut cells = vec![0; size];
    // One image per batch entry and (padded) channel.
    let images = input.chunks_exact(1 << (h_bits + w_bits));
    for (cells, image) in cells.chunks_exact_mut(1 << (oh_bits + ow_bits)).zip(images) {
        for (oh, ow) in (0..output[1]).flat_map(|oh| (0..output[2]).map(move |ow| (oh, ow))) {
            let mut sum = 0;
            for i in 0..window.kernel[0] {
                let Some(h) = source(oh, window.strides[0], i, window.pads[0], shape[1]) else {
                    continue;
                };
                for j in 0..window.kernel[1] {
                    if let Some(w) = source(ow, window.strides[1], j, window.pads[1], shape[2]) {
                        sum += i64::from(image[(h << w_bits) + w]);
                    }
                }
            }
            cells[(oh << ow_bits) + ow] = sum;
        }
    }
    cells
}
