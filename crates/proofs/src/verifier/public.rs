//! Public tensors: the verifier evaluates them itself.

use super::channel::{Channel, Value};
use super::sumcheck;
use crate::error::Result;
use crate::extension::Extension;
use crate::layout;
use crate::mle;
use crate::model::Architecture;
use crate::narrow::Limbs;

/// The extension of padded int16 cells at a point.
pub(crate) fn evaluate<E: Extension>(cells: &[i16], point: &[E]) -> E {
    let low = point.len().min(12);
    let table = Limbs::new(&mle::eq_table(&point[..low]));
    let rows = cells.chunks(1 << low).zip(mle::eq_table(&point[low..]));
    rows.map(|(row, weight)| table.dot(row) * weight).sum()
}

/// Checks that the committed output equals the public one in every real cell; gives the claim on the
/// committed output that remains.
pub(crate) fn bind_output<E: Extension, C: Channel<E>>(
    channel: &mut C,
    architecture: &Architecture,
    batch: usize,
    output: &[i16],
) -> Result<(usize, Vec<E>, C::Value)> {
    let tensor = architecture.output();
    let log = layout::tensor_log(tensor, batch);
    let random = channel.challenges(log);
    // Cells in the padding are zero in `output`, so this sums over real cells alone.
    let claim = C::Value::public(evaluate(output, &random));
    let (last, point) = sumcheck::products(channel, "output round", claim, log)?;
    let value = channel.receive_one("output value")?;
    // The extension of eq(random, ·) cut to real cells is a product over the axes.
    let (mut weight, mut from) = (E::ONE, 0);
    let bits = layout::axis_bits(tensor, batch);
    for (bits, dimension) in bits.iter().zip(layout::axis_dimensions(tensor, batch)) {
        let axis = from..from + bits;
        let (a, b) = (mle::eq_table(&random[axis.clone()]), mle::eq_table(&point[axis]));
        weight *= a.iter().zip(&b).take(dimension).map(|(a, b)| *a * *b).sum::<E>();
        from += bits;
    }
    channel.zero(&(value.times(weight) - last), "the output is another one")?;
    Ok((architecture.ops().len(), point, value))
}
