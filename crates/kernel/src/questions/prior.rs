//! The public belief of a stream: an adaptive model of order 0, the same for every process.

use super::belief::{FLOOR, ONE};

/// Counts of the symbols seen so far.
///
/// The probability of symbol s after N symbols of an alphabet of n is the estimator of
/// Krichevsky and Trofimov (1981), mixed with the uniform so that none is below 2^-16:
/// `2^16 + floor((2^32 − n · 2^16) · (2·count(s) + 1) / (2N + n))` in units of 2^-32.
#[derive(Clone, Debug)]
pub struct OrderZero {
    counts: Vec<u32>,
    total: u32,
}

impl OrderZero {
    /// Nothing seen of an alphabet of `outcomes` symbols.
    #[must_use]
    pub fn new(outcomes: usize) -> Self {
        Self { counts: vec![0; outcomes], total: 0 }
    }

    /// The probability of `outcome`, in units of 2^-32.
    #[must_use]
    pub fn probability(&self, outcome: usize) -> u32 {
        let outcomes = self.counts.len() as u64;
        let room = ONE - u64::from(FLOOR) * outcomes;
        let weight = 2 * u64::from(self.counts.get(outcome).copied().unwrap_or(0)) + 1;
        let weights = 2 * u64::from(self.total) + outcomes;
        let scaled = u128::from(room) * u128::from(weight) / u128::from(weights);
        FLOOR + u32::try_from(scaled).unwrap_or(u32::MAX - FLOOR)
    }

    /// Counts a symbol that was revealed.
    pub fn see(&mut self, outcome: usize) {
        if let Some(count) = self.counts.get_mut(outcome) {
            *count += 1;
            self.total += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_uniform_and_learns() {
        let mut prior = OrderZero::new(256);
        assert_eq!(prior.probability(7), 1 << 24);
        for _ in 0..1000 {
            prior.see(7);
        }
        assert!(prior.probability(7) > 3 << 30);
        assert!(prior.probability(8) >= FLOOR);
        let sum: u64 = (0..256).map(|outcome| u64::from(prior.probability(outcome))).sum();
        assert!(sum <= ONE && sum > ONE - 256);
    }
}
