//! Sum-check verifiers. The number of rounds comes from the layout; a round polynomial has degree 2 by its
//! encoding.

use super::channel::{Channel, Value};
use crate::error::{ProofError, Result};
use crate::extension::{Extension, inverses};

/// g(x) for g(0), leading coefficient and g(1).
fn quadratic<E: Extension, V: Value<E>>(at_0: &V, leading: &V, at_1: &V, x: E) -> V {
    let slope = at_1.clone() - at_0.clone() - leading.clone() + leading.times(x);
    at_0.clone() + slope.times(x)
}

/// Follows `rounds` rounds from a claimed sum. Returns the claimed value at the point, and the point.
pub(crate) fn products<E: Extension, C: Channel<E>>(
    channel: &mut C,
    label: &'static str,
    mut claim: C::Value,
    rounds: usize,
) -> Result<(C::Value, Vec<E>)> {
    let mut point = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let [at_0, leading] = channel.receive_array(label)?;
        let x = channel.challenge();
        let at_1 = claim - at_0.clone();
        claim = quadratic(&at_0, &leading, &at_1, x);
        point.push(x);
    }
    Ok((claim, point))
}

/// The same for Σ eq(outer, ·)·h(·) with the eq factor outside the rounds: g(1) follows from
/// claim = (1 − r)·g(0) + r·g(1). Returns the claimed value of h at the point, and the point.
pub(crate) fn weighted<E: Extension, C: Channel<E>>(
    channel: &mut C,
    label: &'static str,
    mut claim: C::Value,
    outer: &[E],
) -> Result<(C::Value, Vec<E>)> {
    let inverse = inverses(outer).ok_or(ProofError::Rejected("a challenge of zero"))?;
    let mut point = Vec::with_capacity(outer.len());
    for (r, inverse) in outer.iter().zip(inverse) {
        let [at_0, leading] = channel.receive_array(label)?;
        let x = channel.challenge();
        let at_1 = (claim - at_0.times(E::ONE - *r)).times(inverse);
        claim = quadratic(&at_0, &leading, &at_1, x);
        point.push(x);
    }
    Ok((claim, point))
}
