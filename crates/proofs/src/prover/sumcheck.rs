//! Sum-check provers (Lund, Fortnow, Karloff, Nisan 1992). A round sends g(0) and the leading coefficient;
//! g(1) follows from the claim, so a wrong sum cannot be sent at all, only a wrong claim at the end.

use rayon::prelude::*;

use super::channel::Channel;
use crate::extension::Extension;
use crate::mle;

/// Below this many pairs threads cost more than they save.
const PARALLEL: usize = 1 << 12;

/// Proves Σ_g Σ_i a_g(i)·b_g(i) over `rounds` variables, binding the lowest first. Shorter vectors are zero
/// beyond their end. Returns the point; each vector is folded to its value there.
pub(crate) fn products<E: Extension>(
    channel: &mut Channel<'_, E>,
    label: &'static str,
    rounds: usize,
    pairs: &mut [(Vec<E>, Vec<E>)],
) -> Vec<E> {
    let mut point = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let (mut at_0, mut leading) = (E::ZERO, E::ZERO);
        for (a, b) in pairs.iter() {
            let (zero, lead) = product_round(a, b);
            at_0 += zero;
            leading += lead;
        }
        channel.send(label, vec![at_0, leading]);
        let x = channel.challenge();
        for (a, b) in pairs.iter_mut() {
            mle::fold(a, x);
            mle::fold(b, x);
        }
        point.push(x);
    }
    point
}

fn product_round<E: Extension>(a: &[E], b: &[E]) -> (E, E) {
    let step = |a: &[E], b: &[E]| {
        let [a1, b1] = [a.get(1), b.get(1)].map(|v| v.copied().unwrap_or(E::ZERO));
        (a[0] * b[0], (a1 - a[0]) * (b1 - b[0]))
    };
    let add = |x: (E, E), y: (E, E)| (x.0 + y.0, x.1 + y.1);
    let zero = || (E::ZERO, E::ZERO);
    if a.len() >= 2 * PARALLEL {
        let pairs = a.par_chunks(2).with_min_len(PARALLEL / 2).zip(b.par_chunks(2));
        pairs.map(|(a, b)| step(a, b)).reduce(zero, add)
    } else {
        a.chunks(2).zip(b.chunks(2)).fold(zero(), |sum, (a, b)| add(sum, step(a, b)))
    }
}
