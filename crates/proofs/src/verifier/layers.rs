//! From a claim on an operation's outputs to claims on its weights and inputs. What each step means is told
//! in `prover/layers.rs` and docs/concepts/proof-of-inference.md.

use super::channel::{Channel, Value};
use super::sumcheck;
use crate::claims::Claim;
use crate::error::{ProofError, Result};
use crate::extension::Extension;
use crate::field::F;
use crate::forward::channel_axis;
use crate::header::Header;
use crate::layout::{self, Block, Column, WeightBlock};
use crate::mle;
use crate::model::{Architecture, Kind, Op, Window};
use crate::windows;

/// Claims made so far.
pub(crate) struct Claims<E, V> {
    /// `(tensor, point, value)`.
    pub(crate) tensors: Vec<(usize, Vec<E>, V)>,
    /// Claims on the weight commitment.
    pub(crate) weights: Vec<Claim<E, V>>,
}

/// The block of an operation's output among the columns.
pub(crate) fn output_block(architecture: &Architecture, batch: usize, op: usize) -> Result<usize> {
    block(&layout::columns(architecture, batch), Column::Output(op))
}

/// A block among the columns.
pub(crate) fn block(columns: &[(Column, Block)], name: Column) -> Result<usize> {
    columns.iter().position(|(column, _)| *column == name).ok_or_else(super::missing)
}

/// `acc·m` at the look-up point: q·2^s + Σ 2^(8i)·limb_i − 2^(s−1).
pub(crate) fn scaled<E: Extension, V: Value<E>>(
    architecture: &Architecture,
    blocks: &[(Column, Block)],
    values: &[V],
    index: usize,
) -> V {
    let op = &architecture.ops()[index];
    let mut sum = V::public(-E::from(F::from_u64(1 << (op.shift - 1))));
    for ((column, _), value) in blocks.iter().zip(values) {
        let power = match column {
            Column::Quotient(own) if *own == index => op.shift as usize,
            Column::Limb(own, limb) if *own == index => 8 * limb,
            _ => continue,
        };
        sum = sum + value.times(E::from(F::from_u64(1 << power)));
    }
    sum
}

/// Verifies operation `index`: `sum` is Σ eq(point, cell)·m·acc.
pub(crate) fn verify<E: Extension, C: Channel<E>>(
    channel: &mut C,
    header: &Header,
    batch: usize,
    index: usize,
    sum: C::Value,
    point: &[E],
    claims: &mut Claims<E, C::Value>,
) -> Result<()> {
    let architecture = &header.architecture;
    let op = &architecture.ops()[index];
    let mut point = point.to_vec();
    let claim = if let [multiplier] = op.multipliers[..] {
        let inverse = F::from_u64(u64::from(multiplier)).inverse().ok_or_else(super::missing)?;
        sum.times(E::from(inverse))
    } else {
        bind_channel(channel, architecture, index, sum, &mut point)?
    };
    match &op.kind {
        Kind::Dense { .. } => dense(channel, architecture, index, claim, &point, claims),
        Kind::Conv2d { window, .. } => {
            convolution(channel, architecture, batch, index, window, claim, &point, claims)
        }
        Kind::AvgPool { window } => {
            let bits = layout::axis_bits(&architecture.tensors()[index + 1], batch);
            let (across, rest) = point.split_at(bits[0]);
            let (down, outer) = rest.split_at(bits[1]);
            let [h, w] = sides(architecture, index, window);
            let spread = [
                h.spread(&mle::eq_table(down), |_| E::ONE),
                w.spread(&mle::eq_table(across), |_| E::ONE),
            ];
            image(channel, architecture, batch, op.input, &spread, claim, outer, claims)
        }
        Kind::Add { other, scales } => {
            let [a, b] = channel.receive_array("addends")?;
            let scale = |value: &C::Value, scale: i32| value.times(E::from_i64(i64::from(scale)));
            let sum = scale(&a, scales[0]) + scale(&b, scales[1]);
            channel.zero(&(sum - claim), "a sum of two tensors is wrong")?;
            claims.tensors.push((op.input, point.clone(), a));
            claims.tensors.push((*other, point, b));
            Ok(())
        }
        Kind::Table => {
            claims.tensors.push((op.input, point, claim));
            Ok(())
        }
    }
}

fn sides(architecture: &Architecture, index: usize, window: &Window) -> [windows::Side; 2] {
    let input = architecture.ops()[index].input;
    windows::sides(
        window,
        &architecture.tensors()[input].shape,
        &architecture.tensors()[index + 1].shape,
    )
}

/// Multipliers per channel: gives the claim on the accumulators and moves the point to it.
fn bind_channel<E: Extension, C: Channel<E>>(
    channel: &mut C,
    architecture: &Architecture,
    index: usize,
    sum: C::Value,
    point: &mut [E],
) -> Result<C::Value> {
    let op: &Op = &architecture.ops()[index];
    let (below, bits) = channel_axis(architecture, index);
    let (last, bound) = sumcheck::products(channel, "channel round", sum, bits)?;
    let claim = channel.receive_one("channel accumulator")?;
    let own = &mut point[below..below + bits];
    let (eq_old, eq_new) = (mle::eq_table(own), mle::eq_table(&bound));
    let terms = eq_old.iter().zip(&eq_new).zip(&op.multipliers);
    let weight: E = terms.map(|((a, b), m)| (*a * *b).scale(F::from_u64(u64::from(*m)))).sum();
    channel.zero(&(claim.times(weight) - last), "a requantisation is wrong")?;
    own.copy_from_slice(&bound);
    Ok(claim)
}

/// The claim without its bias.
fn without_bias<E: Extension, C: Channel<E>>(
    channel: &mut C,
    architecture: &Architecture,
    index: usize,
    claim: C::Value,
    point: &[E],
    claims: &mut Claims<E, C::Value>,
) -> Result<C::Value> {
    let value = channel.receive_one("bias")?;
    let block = weight_block(architecture, WeightBlock::Bias(index))?;
    claims.weights.push(Claim { block, point: point.to_vec(), value: value.clone() });
    Ok(claim - value)
}

fn weight_block(architecture: &Architecture, name: WeightBlock) -> Result<usize> {
    let blocks = layout::weight_blocks(architecture);
    blocks.iter().position(|(found, _)| *found == name).ok_or_else(super::missing)
}

/// The sum-check over k: gives its point and the claim on the left factor.
fn inner<E: Extension, C: Channel<E>>(
    channel: &mut C,
    architecture: &Architecture,
    index: usize,
    claim: C::Value,
    channels: &[E],
    claims: &mut Claims<E, C::Value>,
) -> Result<(Vec<E>, C::Value)> {
    let (k_bits, ..) = layout::weight_shape(architecture, index).ok_or_else(super::missing)?;
    let (last, k) = sumcheck::products(channel, "inner round", claim, k_bits)?;
    let [left, weight]: [C::Value; 2] = channel.receive_array("factors")?;
    let product = channel.product(&left, &weight)?;
    channel.zero(&(product - last), "a matrix product is wrong")?;
    let block = weight_block(architecture, WeightBlock::Weights(index))?;
    claims.weights.push(Claim { block, point: [&k, channels].concat(), value: weight });
    Ok((k, left))
}

fn dense<E: Extension, C: Channel<E>>(
    channel: &mut C,
    architecture: &Architecture,
    index: usize,
    claim: C::Value,
    point: &[E],
    claims: &mut Claims<E, C::Value>,
) -> Result<()> {
    let (_, n_bits) = channel_axis(architecture, index);
    let (channels, rows) = point.split_at(n_bits);
    let claim = without_bias(channel, architecture, index, claim, channels, claims)?;
    let (k, left) = inner(channel, architecture, index, claim, channels, claims)?;
    claims.tensors.push((architecture.ops()[index].input, [&k, rows].concat(), left));
    Ok(())
}

#[allow(clippy::too_many_arguments, reason = "the same as the other operations, plus its window")]
fn convolution<E: Extension, C: Channel<E>>(
    channel: &mut C,
    architecture: &Architecture,
    batch: usize,
    index: usize,
    window: &Window,
    claim: C::Value,
    point: &[E],
    claims: &mut Claims<E, C::Value>,
) -> Result<()> {
    let bits = layout::axis_bits(&architecture.tensors()[index + 1], batch);
    let (across, rest) = point.split_at(bits[0]);
    let (down, rest) = rest.split_at(bits[1]);
    let (channels, images) = rest.split_at(bits[2]);
    let claim = without_bias(channel, architecture, index, claim, channels, claims)?;
    let (k, left) = inner(channel, architecture, index, claim, channels, claims)?;
    let [kh_bits, kw_bits] = window.kernel.map(layout::log2_ceil);
    let (kw, rest) = k.split_at(kw_bits);
    let (kh, c) = rest.split_at(kh_bits);
    let (kw, kh) = (mle::eq_table(kw), mle::eq_table(kh));
    let [h, w] = sides(architecture, index, window);
    let spread =
        [h.spread(&mle::eq_table(down), |i| kh[i]), w.spread(&mle::eq_table(across), |j| kw[j])];
    let input = architecture.ops()[index].input;
    image(channel, architecture, batch, input, &spread, left, &[c, images].concat(), claims)
}

/// Σ_{h,w} A(h)·B(w)·x(h, w) = claim, x at `outer` in channel and batch.
#[allow(clippy::too_many_arguments, reason = "one equation over an image")]
fn image<E: Extension, C: Channel<E>>(
    channel: &mut C,
    architecture: &Architecture,
    batch: usize,
    input: usize,
    [down, across]: &[Vec<E>; 2],
    claim: C::Value,
    outer: &[E],
    claims: &mut Claims<E, C::Value>,
) -> Result<()> {
    let bits = layout::axis_bits(&architecture.tensors()[input], batch);
    let (w_bits, h_bits) = (bits[0], bits[1]);
    let (last, place) = sumcheck::products(channel, "image round", claim, w_bits + h_bits)?;
    let pixel = channel.receive_one("pixel")?;
    let weight = mle::evaluate(across, &place[..w_bits]) * mle::evaluate(down, &place[w_bits..]);
    channel.zero(&(pixel.times(weight) - last), "a window over an image is wrong")?;
    let point = [&place, outer].concat();
    if point.len() != bits.iter().sum::<usize>() {
        return Err(ProofError::Rejected("BUG: a point of another length"));
    }
    claims.tensors.push((input, point, pixel));
    Ok(())
}
