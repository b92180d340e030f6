//! Accounts on a cell: several processes of one account bid as one (contracts 8).

use std::collections::BTreeSet;

use maxwell_market::BidderId;

/// An account on this cell.
#[derive(Debug)]
pub struct Account {
    /// Its bidder in the auction.
    pub bidder: BidderId,
    /// The process that runs next: of those that want a slice, the one that used the least energy.
    head: Option<(u64, usize)>,
    /// The others that want one. Most accounts have one process: it needs no tree.
    others: BTreeSet<(u64, usize)>,
    /// What they may spend together, credits.
    spendable: u64,
}

impl Account {
    /// An account without processes.
    #[must_use]
    pub fn new(bidder: BidderId) -> Self {
        Self { bidder, head: None, others: BTreeSet::new(), spendable: 0 }
    }

    /// A process that used `energy_uj` so far and may spend `credits` wants a slice.
    pub fn enter(&mut self, process: usize, energy_uj: u64, credits: u64) {
        let entry = (energy_uj, process);
        let is_new = match self.head {
            None => self.head.replace(entry).is_none(),
            Some(head) if head == entry => false,
            Some(head) if entry < head => {
                self.head = Some(entry);
                self.others.insert(head)
            }
            Some(_) => self.others.insert(entry),
        };
        if is_new {
            self.spendable = self.spendable.saturating_add(credits);
        }
    }

    /// The process no longer wants a slice; energy and credits as at [`Account::enter`].
    pub fn leave(&mut self, process: usize, energy_uj: u64, credits: u64) {
        let entry = (energy_uj, process);
        let was_there = if self.head == Some(entry) {
            self.head = self.others.pop_first();
            true
        } else {
            self.others.remove(&entry)
        };
        if was_there {
            self.spendable = self.spendable.saturating_sub(credits);
        }
    }

    /// Who runs next: the process with the least energy so far.
    #[must_use]
    pub fn head(&self) -> Option<usize> {
        self.head.map(|(_, process)| process)
    }

    /// What all waiting processes may spend, credits.
    #[must_use]
    pub fn spendable(&self) -> u64 {
        self.spendable
    }

    /// Processes that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::from(self.head.is_some()) + self.others.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.head.is_none()
    }
}

/// What a bid is made of.
#[derive(Clone, Copy, Debug)]
pub struct BidTerms {
    /// Explicit bid, ppm.
    pub explicit_ppm: Option<u64>,
    /// Urgency of the head, thousandths.
    pub urgency_millis: u32,
    /// Spendable credits of the account.
    pub account_credits: u64,
    /// Spendable credits of the head.
    pub head_credits: u64,
    /// Horizon of the head, µJ.
    pub horizon_uj: u64,
    /// Energy of the head's next quantum, µJ.
    pub quantum_uj: u64,
    /// Lowest accepted bid, ppm.
    pub floor_ppm: u64,
}

/// The bid of an account, ppm: `max(f, min(u·ΣB/H, B/E))`, or the explicit bid capped by the
/// head's purse; a proxy never stays below the floor, an explicit bid may (contracts 8).
#[must_use]
pub fn bid_ppm(terms: BidTerms) -> u64 {
    // Credits per µJ in ppm; a purse of 2^64 credits over one µJ saturates.
    let ratio = |credits: u64, uj: u64, scale: u64| {
        let wide = u128::from(credits) * u128::from(scale) / u128::from(uj.max(1));
        u64::try_from(wide).unwrap_or(u64::MAX)
    };
    let cap = ratio(terms.head_credits, terms.quantum_uj, 1_000_000);
    match terms.explicit_ppm {
        Some(ppm) => ppm.min(cap),
        None => {
            let scale = u64::from(terms.urgency_millis) * 1_000;
            ratio(terms.account_credits, terms.horizon_uj, scale).min(cap).max(terms.floor_ppm)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: BidTerms = BidTerms {
        explicit_ppm: None,
        urgency_millis: 500,
        account_credits: 20_000_000,
        head_credits: 20_000_000,
        horizon_uj: 5_000_000,
        quantum_uj: 100,
        floor_ppm: 1_000_000,
    };

    #[test]
    fn proxy_is_urgency_times_balance_over_horizon() {
        assert_eq!(bid_ppm(TERMS), 2_000_000);
        assert_eq!(bid_ppm(BidTerms { urgency_millis: 0, ..TERMS }), 1_000_000);
        assert_eq!(bid_ppm(BidTerms { head_credits: 150, ..TERMS }), 1_500_000);
        assert_eq!(bid_ppm(BidTerms { explicit_ppm: Some(3), ..TERMS }), 3);
    }

    #[test]
    fn the_head_is_whoever_used_least() {
        let mut account = Account::new(BidderId::from_index(0));
        account.enter(1, 50, 10);
        account.enter(2, 20, 10);
        assert_eq!((account.head(), account.spendable(), account.len()), (Some(2), 20, 2));
        account.leave(2, 20, 10);
        assert_eq!((account.head(), account.spendable()), (Some(1), 10));
    }
}
