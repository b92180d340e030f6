//! Verifies the tree of fractions of the look-up argument.

use super::channel::{Channel, Value};
use super::sumcheck;
use crate::error::Result;
use crate::extension::Extension;

/// What the leaves are claimed to be at a point.
pub(crate) struct Leaves<E, V> {
    /// The numerator.
    pub(crate) p: V,
    /// The denominator.
    pub(crate) q: V,
    /// The point.
    pub(crate) point: Vec<E>,
}

/// Follows the tree from its root, which must be 0 over something that is not 0, to its 2^`depth` leaves.
pub(crate) fn verify<E: Extension, C: Channel<E>>(
    channel: &mut C,
    depth: usize,
) -> Result<Leaves<E, C::Value>> {
    let zero = C::Value::public(E::ZERO);
    let mut leaves = Leaves { p: zero.clone(), q: zero, point: Vec::new() };
    for level in 0..depth {
        let mut next = Vec::new();
        let (mut claim, mut lambda) = (leaves.p.clone(), E::ZERO);
        if level > 0 {
            lambda = channel.challenge();
            claim = claim + leaves.q.times(lambda);
            (claim, next) = sumcheck::weighted(channel, "look-up round", claim, &leaves.point)?;
        }
        let [pl, pr, ql, qr] = channel.receive_array("look-up halves")?;
        let numerator = channel.product(&pl, &qr)? + channel.product(&pr, &ql)?;
        let denominator = channel.product(&ql, &qr)?;
        if level == 0 {
            // The sum is zero, and no denominator vanished: the root's denominator has an inverse.
            let [root, inverse] = channel.receive_array("look-up root")?;
            channel.zero(&(denominator.clone() - root.clone()), "a false look-up root")?;
            let one = channel.product(&root, &inverse)?;
            channel.zero(&(one - C::Value::public(E::ONE)), "a look-up denominator is zero")?;
        }
        let expected = numerator + denominator.times(lambda);
        channel.zero(&(expected - claim), "the look-up tree does not add up")?;
        let low = channel.challenge();
        leaves.p = pl.clone() + (pr - pl).times(low);
        leaves.q = ql.clone() + (qr - ql).times(low);
        next.insert(0, low);
        leaves.point = next;
    }
    Ok(leaves)
}
