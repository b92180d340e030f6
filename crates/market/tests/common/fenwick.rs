//! The independent oracle: a Fenwick tree of integer rates that samples the winner directly, and
//! the closed form of the critical price. Same law as the race, no clock in common with it.

use super::random::Random;

pub struct Fenwick {
    tree: Vec<u64>,
    rates: Vec<u64>,
    total: u64,
    /// The largest power of two that is at most the size.
    top: usize,
}

impl Fenwick {
    /// Integer rates; their sum stays below 2^63.
    pub fn new(rates: &[u64]) -> Self {
        let top = 1 << rates.len().max(1).ilog2();
        let mut tree = vec![0; rates.len() + 1];
        for (i, &rate) in rates.iter().enumerate() {
            tree[i + 1] += rate;
            let next = (i + 1) + ((i + 1) & (i + 1).wrapping_neg());
            if next < tree.len() {
                let sum = tree[i + 1];
                tree[next] += sum;
            }
        }
        Self { tree, rates: rates.to_vec(), total: rates.iter().sum(), top }
    }

    pub fn set(&mut self, index: usize, rate: u64) {
        let delta = rate.wrapping_sub(self.rates[index]);
        self.rates[index] = rate;
        self.total = self.total.wrapping_add(delta);
        let mut i = index + 1;
        while i < self.tree.len() {
            self.tree[i] = self.tree[i].wrapping_add(delta);
            i += i & i.wrapping_neg();
        }
    }

    /// A winner with probability proportional to its rate, and R = (key_w - V) / (k2 - V), the
    /// ratio whose power T times the winner's bid is the critical price.
    ///
    /// The first key is Exp(Z) away whoever wins, and the first losing key Exp(Z - lambda_w)
    /// later, since the losers' clocks have no memory.
    pub fn decide(&self, random: &mut Random) -> Option<(usize, f64)> {
        if self.total == 0 {
            return None;
        }
        let mut rest = random.below(self.total);
        let mut at = 0;
        let mut step = self.top;
        while step > 0 {
            let next = at + step;
            if next < self.tree.len() && self.tree[next] <= rest {
                rest -= self.tree[next];
                at = next;
            }
            step >>= 1;
        }
        let others = self.total - self.rates[at];
        if others == 0 {
            return Some((at, 0.0));
        }
        let first = random.exponential() / self.total as f64;
        let second = random.exponential() / others as f64;
        Some((at, first / (first + second)))
    }
}
