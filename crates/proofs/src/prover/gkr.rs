//! The look-up argument: Σ 1/(α − looked up) − Σ uses/(α − entry) = 0, as a tree of fractions.
//!
//! LogUp (Haböck 2022) proved by GKR (Papini, Haböck 2023): layer by layer, from the root to the leaves,
//! p = p_l·q_r + p_r·q_l and q = q_l·q_r. The eq factor is kept out of the rounds (Gruen 2024), so a round
//! is two elements. Leaves beyond the last one are the fraction 0/1; they are never stored: every vector
//! here is a prefix with that tail.

use rayon::prelude::*;

use super::channel::Channel;
use crate::extension::Extension;
use crate::lanes;
use crate::mle;

/// Below this many pairs threads cost more than they save.
const PARALLEL: usize = 1 << 11;

/// Numerators and denominators of one level.
pub(crate) struct Level<E> {
    pub(crate) p: Vec<E>,
    pub(crate) q: Vec<E>,
}

impl<E: Extension> Level<E> {
    /// The level above: sums of neighbouring fractions.
    fn above(&self) -> Self {
        let count = self.p.len().div_ceil(2);
        let (mut p, mut q) = (vec![E::ZERO; count], vec![E::ZERO; count]);
        let inputs = self.p.par_chunks(2 * PARALLEL).zip(self.q.par_chunks(2 * PARALLEL));
        let outputs = p.par_chunks_mut(PARALLEL).zip(q.par_chunks_mut(PARALLEL));
        inputs.zip(outputs).for_each(|((p, q), (p_out, q_out))| {
            let whole = p.len() / 2;
            if let ([.., p_last], [.., q_last]) = (&p[2 * whole..], &q[2 * whole..]) {
                (p_out[whole], q_out[whole]) = (*p_last, *q_last);
            }
            let (p_out, q_out) = (&mut p_out[..whole], &mut q_out[..whole]);
            lanes::run(lanes::Fractions { p, q, p_out, q_out });
        });
        Self { p, q }
    }
}

/// The four halves of a level: even (left) and odd (right) numerators and denominators.
struct Halves<E> {
    pl: Vec<E>,
    pr: Vec<E>,
    ql: Vec<E>,
    qr: Vec<E>,
}

impl<E: Extension> Halves<E> {
    fn of(level: &Level<E>) -> Self {
        let split = |values: &[E], tail: E| -> (Vec<E>, Vec<E>) {
            let right = |pair: &[E]| pair.get(1).copied().unwrap_or(tail);
            values.chunks(2).map(|pair| (pair[0], right(pair))).unzip()
        };
        let (pl, pr) = split(&level.p, E::ZERO);
        let (ql, qr) = split(&level.q, E::ONE);
        Self { pl, pr, ql, qr }
    }

    fn fold(&mut self, x: E) {
        let fold = |values: &mut Vec<E>, tail: E| {
            if values.len() % 2 == 1 {
                values.push(tail);
            }
            mle::fold(values, x);
        };
        let Self { pl, pr, ql, qr } = self;
        if pl.len() >= 4 * PARALLEL {
            rayon::join(
                || {
                    fold(pl, E::ZERO);
                    fold(pr, E::ZERO);
                },
                || {
                    fold(ql, E::ONE);
                    fold(qr, E::ONE);
                },
            );
        } else {
            fold(pl, E::ZERO);
            fold(pr, E::ZERO);
            fold(ql, E::ONE);
            fold(qr, E::ONE);
        }
    }

    fn shortest(&self) -> usize {
        [&self.pl, &self.pr, &self.ql, &self.qr].map(Vec::len).into_iter().min().unwrap_or(0)
    }

    /// The sums over pairs `from..to` of eq·h(0), of eq times the leading coefficient of h, and of eq.
    fn round(&self, eq: &[E], lambda: E, from: usize, to: usize) -> [E; 3] {
        let at = |values: &[E], index: usize, tail: E| values.get(index).copied().unwrap_or(tail);
        // Whole groups of whole pairs in vectors, the end one by one.
        let groups = (to.min(self.shortest() / 2).saturating_sub(from)) / 8;
        let split = from + 8 * groups;
        let mut sums = lanes::run(lanes::FractionRound {
            halves: [&self.pl, &self.pr, &self.ql, &self.qr]
                .map(|values| &values[2 * from..2 * split]),
            weights: &eq[from..split],
            lambda,
        });
        for (pair, weight) in eq.iter().copied().enumerate().take(to).skip(split) {
            let (low, high) = (2 * pair, 2 * pair + 1);
            let [pl, pr, ql, qr] = [self.pl[low], self.pr[low], self.ql[low], self.qr[low]];
            let [dpl, dpr] = [at(&self.pl, high, E::ZERO) - pl, at(&self.pr, high, E::ZERO) - pr];
            let [dql, dqr] = [at(&self.ql, high, E::ONE) - ql, at(&self.qr, high, E::ONE) - qr];
            sums[0] += weight * (qr * (pl + lambda * ql) + pr * ql);
            sums[1] += weight * (dqr * (dpl + lambda * dql) + dpr * dql);
            sums[2] += weight;
        }
        sums
    }
}

/// Proves that the fractions of the leaves, padded with 0/1 to 2^`depth`, sum to zero. Returns the point at
/// which the leaves' numerators and denominators are claimed.
pub(crate) fn prove<E: Extension>(
    channel: &mut Channel<'_, E>,
    leaves: Level<E>,
    depth: usize,
) -> Vec<E> {
    let mut levels = vec![leaves];
    for _ in 1..depth {
        let above = levels[levels.len() - 1].above();
        levels.push(above);
    }
    let mut point: Vec<E> = Vec::new();
    while let Some(level) = levels.pop() {
        let halves = Halves::of(&level);
        point = layer(channel, halves, &point);
    }
    point
}

/// One layer: from a claim at `point` to a claim at a point with one more coordinate.
fn layer<E: Extension>(channel: &mut Channel<'_, E>, mut halves: Halves<E>, point: &[E]) -> Vec<E> {
    let mut next = Vec::with_capacity(point.len() + 1);
    if let Some((_, above)) = point.split_first() {
        let lambda = channel.challenge();
        let mut eq = mle::eq_table(above);
        for round in 0..point.len() {
            let pairs = halves.pl.len().div_ceil(2);
            let [mut at_0, leading, weight] = if pairs >= 2 * PARALLEL {
                let chunks = (0..pairs.div_ceil(PARALLEL)).into_par_iter();
                let sums = chunks.map(|chunk| {
                    let from = chunk * PARALLEL;
                    halves.round(&eq, lambda, from, (from + PARALLEL).min(pairs))
                });
                sums.reduce(|| [E::ZERO; 3], |a, b| [a[0] + b[0], a[1] + b[1], a[2] + b[2]])
            } else {
                halves.round(&eq, lambda, 0, pairs)
            };
            // In the tail h is λ everywhere, and all weights together are 1.
            at_0 += lambda * (E::ONE - weight);
            channel.send("look-up round", vec![at_0, leading]);
            let x = channel.challenge();
            halves.fold(x);
            if round + 1 < point.len() {
                halve_eq(&mut eq);
            }
            next.push(x);
        }
    }
    let [pl, pr, ql, qr] = [halves.pl[0], halves.pr[0], halves.ql[0], halves.qr[0]];
    channel.send("look-up halves", vec![pl, pr, ql, qr]);
    if point.is_empty() {
        // The verifier must see that no denominator vanished.
        let root = ql * qr;
        channel.send("look-up root", vec![root, root.inverse().unwrap_or(E::ZERO)]);
    }
    let low = channel.challenge();
    next.insert(0, low);
    next
}

/// The table of one coordinate less: sums over the lowest variable.
fn halve_eq<E: Extension>(eq: &mut Vec<E>) {
    let half = eq.len() / 2;
    for index in 0..half {
        eq[index] = eq[2 * index] + eq[2 * index + 1];
    }
    eq.truncate(half);
}
