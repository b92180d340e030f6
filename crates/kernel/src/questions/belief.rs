//! A belief: what a process says of the next symbol, and the rule that bounds it.

/// Probabilities count in units of 2^-32; this is one.
pub const ONE: u64 = 1 << 32;
/// The least probability that counts, 2^-16: no symbol can cost more than 16 bits.
pub const FLOOR: u32 = 1 << 16;
/// Bits that one symbol can gain or lose.
pub const SYMBOL_BITS_MAX: u64 = 16;

/// A belief over the outcomes of a question.
#[derive(Clone, Debug, Default)]
pub struct Belief {
    probabilities: Vec<u32>,
    /// Sum over the outcomes of what each has above the floor, once raised to it.
    above: u64,
}

/// Why bytes are no belief.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Not four bytes for each outcome.
    Length,
    /// The sum is not 2^32 ± the number of outcomes.
    Sum,
}

impl Belief {
    /// Reads a belief over `outcomes` outcomes: little-endian u32, one each.
    ///
    /// # Errors
    /// [`Malformed`]; the belief is unchanged then.
    pub fn read(&mut self, bytes: &[u8], outcomes: usize) -> Result<(), Malformed> {
        if bytes.len() != outcomes * 4 {
            return Err(Malformed::Length);
        }
        let words = || bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word));
        let sum: u64 = words().map(u64::from).sum();
        if sum.abs_diff(ONE) > outcomes as u64 {
            return Err(Malformed::Sum);
        }
        self.above = words().map(|word| u64::from(word.saturating_sub(FLOOR))).sum();
        self.probabilities.clear();
        self.probabilities.extend(words());
        Ok(())
    }

    /// The probability of `outcome` after clipping and renormalising, at least [`FLOOR`].
    ///
    /// Rule: each probability is raised to the floor; if the sum then exceeds one, what each has
    /// above the floor is scaled down by the same ratio, rounded down, so that it does not:
    /// `F + floor((q − F) · (2^32 − n·F) / Σ(q − F))`. A belief that keeps the floor and does not
    /// exceed one counts as it is. No probability exceeds 1 − 2^-16 as long as there are two
    /// outcomes and the sum is not below one.
    #[must_use]
    pub fn probability(&self, outcome: usize) -> u32 {
        let raised = self.probabilities.get(outcome).copied().unwrap_or(0).max(FLOOR);
        let room = ONE - u64::from(FLOOR) * self.probabilities.len() as u64;
        if self.above <= room {
            return raised;
        }
        // Both factors are below 2^32.
        let scaled = u64::from(raised - FLOOR) * room / self.above;
        FLOOR + u32::try_from(scaled).unwrap_or(u32::MAX - FLOOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(words: &[u32]) -> Result<Belief, Malformed> {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let mut belief = Belief::default();
        belief.read(&bytes, words.len()).map(|()| belief)
    }

    #[test]
    fn malformed_ones_are_refused() {
        let mut belief = Belief::default();
        assert_eq!(belief.read(&[0; 7], 2), Err(Malformed::Length));
        assert_eq!(belief.read(&[0; 12], 2), Err(Malformed::Length));
        assert_eq!(belief.read(&[0; 8], 2), Err(Malformed::Sum));
        assert_eq!(read(&[u32::MAX, u32::MAX]).err(), Some(Malformed::Sum));
        assert_eq!(read(&[u32::MAX - 2, 0]).err(), Some(Malformed::Sum));
        assert!(read(&[u32::MAX - 1, 0]).is_ok());
        assert!(read(&[u32::MAX, 3]).is_ok());
    }

    #[test]
    fn a_fair_belief_counts_as_it_is() {
        let belief = read(&[1 << 31, 1 << 31]).unwrap();
        assert_eq!((belief.probability(0), belief.probability(1)), (1 << 31, 1 << 31));
    }

    #[test]
    fn certainty_is_clipped() {
        let belief = read(&[u32::MAX, 0]).unwrap();
        assert_eq!(belief.probability(1), FLOOR);
        assert_eq!(u64::from(belief.probability(0)), ONE - u64::from(FLOOR));
    }

    proptest! {
        /// Goal: any accepted belief becomes one that sums to at most one and keeps the floor, and
        /// clipping changes no order. Method: random weights over 2 to 256 outcomes, many of them
        /// tiny.
        #[test]
        fn clipping_bounds_and_orders(weights in prop::collection::vec(0u32..40, 2..257)) {
            let weights: Vec<u64> = weights.iter().map(|&w| 1u64 << (w / 2)).collect();
            let total: u64 = weights.iter().sum();
            let words: Vec<u32> = weights
                .iter()
                .map(|&w| u32::try_from(u128::from(w) * u128::from(ONE) / u128::from(total)))
                .map(|word| word.unwrap_or(u32::MAX))
                .collect();
            let belief = read(&words).unwrap();
            let clipped: Vec<u32> = (0..words.len()).map(|i| belief.probability(i)).collect();
            let sum: u64 = clipped.iter().map(|&p| u64::from(p)).sum();
            prop_assert!(sum <= ONE);
            prop_assert!(clipped.iter().all(|&p| p >= FLOOR));
            for (a, b) in words.iter().zip(&clipped).zip(words.iter().zip(&clipped).skip(1)) {
                prop_assert!((a.0 <= b.0) == (a.1 <= b.1) || a.1 == b.1);
            }
        }
    }
}
