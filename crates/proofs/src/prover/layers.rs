//! From a claim on an operation's outputs to claims on its weights and inputs.
//!
//! Matrix products by Thaler's sum-check (2013): the accumulator is never committed. The same for
//! convolutions over virtual patches, with a second, small sum-check over the image.

use rayon::prelude::*;

use super::Prepared;
use super::channel::Channel;
use super::sumcheck;
use crate::claims::Claim;
use crate::extension::Extension;
use crate::field::F;
use crate::forward::{Trace, channel_axis};
use crate::layout::{self, WeightBlock};
use crate::mle;
use crate::model::{Kind, Window};
use crate::narrow::{self, Limbs};
use crate::windows;

/// Claims made so far, on each tensor and on the weights.
pub(crate) struct Claims<E> {
    /// `(tensor, point, value)`.
    pub(crate) tensors: Vec<(usize, Vec<E>, E)>,
    /// Claims on the weight commitment.
    pub(crate) weights: Vec<Claim<E, E>>,
}

/// What an operation's proof reads.
pub(crate) struct Context<'a> {
    pub(crate) prepared: &'a Prepared,
    pub(crate) trace: &'a Trace,
    pub(crate) batch: usize,
}

/// Proves operation `index`, whose outputs are claimed at `point`.
pub(crate) fn prove<E: Extension>(
    channel: &mut Channel<'_, E>,
    context: &Context<'_>,
    index: usize,
    point: &[E],
    claims: &mut Claims<E>,
) {
    let architecture = &context.prepared.header.architecture;
    let op = &architecture.ops()[index];
    let mut point = point.to_vec();
    if op.multipliers.len() > 1 {
        bind_channel(channel, context, index, &mut point);
    }
    match &op.kind {
        Kind::Dense { .. } => dense(channel, context, index, &point, claims),
        Kind::Conv2d { window, .. } => convolution(channel, context, index, window, &point, claims),
        Kind::AvgPool { window } => {
            let [h, w] = windows::sides(
                window,
                &architecture.tensors()[op.input].shape,
                &architecture.tensors()[index + 1].shape,
            );
            let bits = layout::axis_bits(&architecture.tensors()[index + 1], context.batch);
            let (across, down) = (
                mle::eq_table(&point[..bits[0]]),
                mle::eq_table(&point[bits[0]..bits[0] + bits[1]]),
            );
            let spread = [h.spread(&down, |_| E::ONE), w.spread(&across, |_| E::ONE)];
            image(channel, context, op.input, &spread, &point[bits[0] + bits[1]..], claims);
        }
        Kind::Add { other, .. } => {
            let values =
                [op.input, *other].map(|tensor| evaluate(&context.trace.tensors[tensor], &point));
            channel.send("addends", values.to_vec());
            claims.tensors.push((op.input, point.clone(), values[0]));
            claims.tensors.push((*other, point, values[1]));
        }
        Kind::Table => {
            let value = evaluate(&context.trace.tensors[op.input], &point);
            claims.tensors.push((op.input, point, value));
        }
    }
}

/// The extension of int16 cells at a point.
pub(crate) fn evaluate<E: Extension>(cells: &[i16], point: &[E]) -> E {
    let low = point.len().min(12);
    let table = Limbs::new(&mle::eq_table(&point[..low]));
    let rows = cells.chunks(1 << low).zip(mle::eq_table(&point[low..]));
    rows.map(|(row, weight)| table.dot(row) * weight).sum()
}

/// Multipliers per channel: Σ_j m_j·eq(point, j)·acc(j) becomes one claim on acc at a random channel.
fn bind_channel<E: Extension>(
    channel: &mut Channel<'_, E>,
    context: &Context<'_>,
    index: usize,
    point: &mut [E],
) {
    let architecture = &context.prepared.header.architecture;
    let (below, bits) = channel_axis(architecture, index);
    let eq_low = mle::eq_table(&point[..below]);
    let eq_high = mle::eq_table(&point[below + bits..]);
    let accumulators = &context.trace.accumulators[index];
    let mut sums = vec![E::ZERO; 1 << bits];
    let run = 1 << below;
    for (block, weight) in accumulators.chunks_exact(run << bits).zip(&eq_high) {
        for (sum, cells) in sums.iter_mut().zip(block.chunks_exact(run)) {
            let terms = cells.iter().zip(&eq_low);
            let inner: E = terms.map(|(cell, eq)| eq.scale(F::from_i64(*cell))).sum();
            *sum += inner * *weight;
        }
    }
    let op = &architecture.ops()[index];
    let eq = mle::eq_table(&point[below..below + bits]);
    let weights =
        eq.iter().zip(&op.multipliers).map(|(eq, m)| eq.scale(F::from_u64(u64::from(*m))));
    let mut pairs = [(weights.collect(), sums)];
    let bound = sumcheck::products(channel, "channel round", bits, &mut pairs);
    channel.send("channel accumulator", vec![pairs[0].1[0]]);
    point[below..below + bits].copy_from_slice(&bound);
}

/// Sends the bias at the channel point and claims it.
fn send_bias<E: Extension>(
    channel: &mut Channel<'_, E>,
    context: &Context<'_>,
    index: usize,
    point: &[E],
    claims: &mut Claims<E>,
) {
    let bias: Vec<E> =
        context.prepared.packed[index].bias.iter().map(|b| E::from_i64(*b)).collect();
    let value = mle::evaluate(&bias, point);
    channel.send("bias", vec![value]);
    let block = context.prepared.weight_block(WeightBlock::Bias(index));
    claims.weights.push(Claim { block, point: point.to_vec(), value });
}

/// Σ_j eq(channels, j)·W(j, k) for every k.
fn contract_weights<E: Extension>(context: &Context<'_>, index: usize, channels: &[E]) -> Vec<E> {
    let packed = &context.prepared.packed[index];
    let width = 1 << packed.k_bits;
    let factors = mle::eq_table(channels);
    let rows = packed.weights.len() / width;
    let chunk = rows.div_ceil(rayon::current_num_threads()).max(16);
    let sums = packed.weights.par_chunks(chunk * width).zip(factors[..rows].par_chunks(chunk)).map(
        |(rows, factors)| {
            let mut sum = vec![E::ZERO; width];
            narrow::combine_rows(rows, width, factors, &mut sum);
            sum
        },
    );
    sums.reduce(
        || vec![E::ZERO; width],
        |mut a, b| {
            super::commit::add(&mut a, &b);
            a
        },
    )
}

/// Σ_r eq(rows, r)·X(r, k) for every k.
fn contract_rows<E: Extension>(cells: &[i16], width: usize, rows: &[E]) -> Vec<E> {
    let factors = mle::eq_table(rows);
    let chunk = factors.len().div_ceil(rayon::current_num_threads()).max(16);
    let sums =
        cells.par_chunks(chunk * width).zip(factors.par_chunks(chunk)).map(|(cells, factors)| {
            let mut sum = vec![E::ZERO; width];
            narrow::combine_rows(cells, width, factors, &mut sum);
            sum
        });
    sums.reduce(
        || vec![E::ZERO; width],
        |mut a, b| {
            super::commit::add(&mut a, &b);
            a
        },
    )
}

/// The sum-check over k of left(k)·weights(k); sends both values and claims the weights.
fn inner<E: Extension>(
    channel: &mut Channel<'_, E>,
    context: &Context<'_>,
    index: usize,
    left: Vec<E>,
    channels: &[E],
    claims: &mut Claims<E>,
) -> (Vec<E>, E) {
    let weights = contract_weights(context, index, channels);
    let mut pairs = [(left, weights)];
    let k_bits = context.prepared.packed[index].k_bits;
    let k = sumcheck::products(channel, "inner round", k_bits, &mut pairs);
    let (value, weight) = (pairs[0].0[0], pairs[0].1[0]);
    channel.send("factors", vec![value, weight]);
    let block = context.prepared.weight_block(WeightBlock::Weights(index));
    claims.weights.push(Claim { block, point: [&k, channels].concat(), value: weight });
    (k, value)
}

fn dense<E: Extension>(
    channel: &mut Channel<'_, E>,
    context: &Context<'_>,
    index: usize,
    point: &[E],
    claims: &mut Claims<E>,
) {
    let architecture = &context.prepared.header.architecture;
    let (_, n_bits) = channel_axis(architecture, index);
    let (channels, rows) = point.split_at(n_bits);
    send_bias(channel, context, index, channels, claims);
    let input = architecture.ops()[index].input;
    let width = 1 << context.prepared.packed[index].k_bits;
    let left = contract_rows(&context.trace.tensors[input], width, rows);
    let (k, value) = inner(channel, context, index, left, channels, claims);
    claims.tensors.push((input, [&k, rows].concat(), value));
}

fn convolution<E: Extension>(
    channel: &mut Channel<'_, E>,
    context: &Context<'_>,
    index: usize,
    window: &Window,
    point: &[E],
    claims: &mut Claims<E>,
) {
    let architecture = &context.prepared.header.architecture;
    let op = &architecture.ops()[index];
    let bits = layout::axis_bits(&architecture.tensors()[index + 1], context.batch);
    let (across, rest) = point.split_at(bits[0]);
    let (down, rest) = rest.split_at(bits[1]);
    let (channels, images) = rest.split_at(bits[2]);
    send_bias(channel, context, index, channels, claims);

    let shape = &architecture.tensors()[op.input].shape;
    let [h, w] = windows::sides(window, shape, &architecture.tensors()[index + 1].shape);
    let in_bits = layout::axis_bits(&architecture.tensors()[op.input], context.batch);
    let [kh_bits, kw_bits] = window.kernel.map(layout::log2_ceil);
    let (across, down) = (mle::eq_table(across), mle::eq_table(down));
    // Images of the batch, contracted; then one patch value per (channel, kernel row, kernel column).
    let area = 1 << (in_bits[0] + in_bits[1]);
    let image_cells = contract_rows(&context.trace.tensors[op.input], area << in_bits[2], images);
    let mut left = vec![E::ZERO; 1 << (kw_bits + kh_bits + in_bits[2])];
    left.par_chunks_mut(1 << (kw_bits + kh_bits)).zip(image_cells.par_chunks(area)).for_each(
        |(patch, cells)| {
            for i in 0..h.kernel {
                let rows = h.at(&down, i);
                for j in 0..w.kernel {
                    let columns = w.at(&across, j);
                    let row_sum = |(y, weight): &(usize, E)| {
                        let row = &cells[y << in_bits[0]..];
                        *weight * columns.iter().map(|(x, weight)| row[*x] * *weight).sum::<E>()
                    };
                    patch[(i << kw_bits) + j] = rows.iter().map(row_sum).sum();
                }
            }
        },
    );
    let (k, _) = inner(channel, context, index, left, channels, claims);
    let (kw, rest) = k.split_at(kw_bits);
    let (kh, c) = rest.split_at(kh_bits);
    let (kw, kh) = (mle::eq_table(kw), mle::eq_table(kh));
    let spread = [h.spread(&down, |i| kh[i]), w.spread(&across, |j| kw[j])];
    image(channel, context, op.input, &spread, &[c, images].concat(), claims);
}

/// The sum-check over an image: Σ_{h,w} A(h)·B(w)·x(h, w), x contracted over channel and batch at `outer`.
fn image<E: Extension>(
    channel: &mut Channel<'_, E>,
    context: &Context<'_>,
    input: usize,
    [down, across]: &[Vec<E>; 2],
    outer: &[E],
    claims: &mut Claims<E>,
) {
    let tensor = &context.prepared.header.architecture.tensors()[input];
    let bits = layout::axis_bits(tensor, context.batch);
    let (w_bits, h_bits) = (bits[0], bits[1]);
    let cells = contract_rows(&context.trace.tensors[input], 1 << (w_bits + h_bits), outer);
    let mut weights = vec![E::ZERO; 1 << (w_bits + h_bits)];
    for (row, a) in weights.chunks_exact_mut(1 << w_bits).zip(down) {
        for (cell, b) in row.iter_mut().zip(across) {
            *cell = *a * *b;
        }
    }
    let mut pairs = [(weights, cells)];
    let place = sumcheck::products(channel, "image round", w_bits + h_bits, &mut pairs);
    let value = pairs[0].1[0];
    channel.send("pixel", vec![value]);
    claims.tensors.push((input, [&place, outer].concat(), value));
}
