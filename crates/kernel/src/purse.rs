//! A purse: the integer money of one process inside its cell, and every way it can move.
//!
//! The invariant [`Purse::is_conserved`] is asserted after every settlement: what a purse ever
//! received is what it holds plus what it ever paid, to the credit.

use serde::Serialize;

/// Credits per KiB of the burial bond and of the erasure tax (`docs/design`, contracts 7).
pub const BOND_PER_KIB: u64 = 4;
/// One credit per microjoule, in ppm.
pub const PPM: u64 = 1_000_000;

/// The money of one process. All fields are credits; the last ones only ever grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Purse {
    /// Free to spend, the runway included.
    pub free: u64,
    /// Set aside for the slice that runs now.
    pub escrow: u64,
    /// Locked until death for the erasure of the process's memory.
    pub bond: u64,
    /// Locked until questions are resolved.
    pub stake: u64,
    /// Ever received.
    pub funded: u64,
    /// Ever paid for metered joules.
    pub burned: u64,
    /// Ever paid above cost price.
    pub premium: u64,
    /// Ever paid for holding memory and a place.
    pub rent: u64,
    /// Ever paid for erasing.
    pub tax: u64,
    /// Ever sent to other processes.
    pub sent: u64,
    /// Ever handed over as stakes: what was lost, and what the parent holds or paid back as funds.
    pub staked: u64,
    /// Given back at the end.
    pub returned: u64,
}

/// What a slice's settlement could collect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SliceBill {
    /// Credits paid for joules.
    pub burned: u64,
    /// Credits paid above cost.
    pub premium: u64,
    /// Microjoules that nobody could pay.
    pub uncollected_uj: u64,
}

impl Purse {
    /// Whether every credit ever received is held or was paid.
    #[must_use]
    pub fn is_conserved(&self) -> bool {
        let held = [self.free, self.escrow, self.bond, self.stake];
        let paid = [self.burned, self.premium, self.rent, self.tax, self.sent, self.staked];
        let parts = held.iter().chain(&paid).chain([&self.returned]);
        let sum: u128 = parts.map(|&part| u128::from(part)).sum();
        sum == u128::from(self.funded)
    }

    /// Receives `credits`; what would overflow is refused and `false` returned.
    #[must_use]
    pub fn fund(&mut self, credits: u64) -> bool {
        let Some(funded) = self.funded.checked_add(credits) else { return false };
        self.funded = funded;
        self.free += credits;
        true
    }

    /// Sets up to `credits` aside for a slice and returns how many there were.
    pub fn open_escrow(&mut self, credits: u64) -> u64 {
        debug_assert_eq!(self.escrow, 0, "one slice at a time");
        let amount = credits.min(self.free);
        self.free -= amount;
        self.escrow += amount;
        amount
    }

    /// Closes the escrow: pays for `uj` microjoules at `price_ppm`, joules first, premium second,
    /// out of the escrow and then the purse; the rest goes back to the purse.
    pub fn close_escrow(&mut self, uj: u64, price_ppm: u64) -> SliceBill {
        let charge = charge_credits(uj, price_ppm);
        let available = self.escrow + self.free;
        let burned = uj.min(available);
        let premium = charge.saturating_sub(uj).min(available - burned);
        self.free = available - burned - premium;
        self.escrow = 0;
        self.burned += burned;
        self.premium += premium;
        SliceBill { burned, premium, uncollected_uj: uj - burned }
    }

    /// Pays rent as far as it can; returns what stays unpaid.
    pub fn pay_rent(&mut self, credits: u64) -> u64 {
        let paid = credits.min(self.free);
        self.free -= paid;
        self.rent += paid;
        credits - paid
    }

    /// Pays erasure tax of memory freed or discarded as far as it can; returns what stays unpaid.
    pub fn pay_tax(&mut self, credits: u64) -> u64 {
        let paid = credits.min(self.free);
        self.free -= paid;
        self.tax += paid;
        credits - paid
    }

    /// Locks `credits` of burial bond if `runway` stays free afterwards.
    #[must_use]
    pub fn lock_bond(&mut self, credits: u64, runway: u64) -> bool {
        let Some(needed) = credits.checked_add(runway) else { return false };
        if self.free < needed {
            return false;
        }
        self.free -= credits;
        self.bond += credits;
        true
    }

    /// Unlocks `credits` of bond that were locked for memory which never came.
    pub fn unlock_bond(&mut self, credits: u64) {
        let amount = credits.min(self.bond);
        self.bond -= amount;
        self.free += amount;
    }

    /// Pays an erasure tax of `credits` out of the bond, then the purse; returns what it paid.
    pub fn bury(&mut self, credits: u64) -> u64 {
        let available = self.bond + self.free;
        let paid = credits.min(available);
        self.free = available - paid;
        self.bond = 0;
        self.tax += paid;
        paid
    }

    /// Sends `credits` to another process if `runway` stays free afterwards.
    #[must_use]
    pub fn send(&mut self, credits: u64, runway: u64) -> bool {
        let Some(needed) = credits.checked_add(runway) else { return false };
        if self.free < needed {
            return false;
        }
        self.free -= credits;
        self.sent += credits;
        true
    }

    /// Locks `credits` as a stake if `runway` stays free afterwards.
    #[must_use]
    pub fn lock_stake(&mut self, credits: u64, runway: u64) -> bool {
        let Some(needed) = credits.checked_add(runway) else { return false };
        if self.free < needed {
            return false;
        }
        self.free -= credits;
        self.stake += credits;
        true
    }

    /// Unlocks `credits` of a stake that was not lost.
    pub fn unlock_stake(&mut self, credits: u64) {
        let amount = credits.min(self.stake);
        self.stake -= amount;
        self.free += amount;
    }

    /// Hands `credits` over as a stake at once, if `runway` stays free afterwards.
    #[must_use]
    pub fn stake_away(&mut self, credits: u64, runway: u64) -> bool {
        credits == 0 || self.lock_stake(credits, runway) && self.lose_stake(credits) == credits
    }

    /// Hands `credits` of the locked stake over; returns how many there were.
    pub fn lose_stake(&mut self, credits: u64) -> u64 {
        let amount = credits.min(self.stake);
        self.stake -= amount;
        self.staked += amount;
        amount
    }

    /// Empties the purse to whoever funds it.
    pub fn give_back(&mut self) -> u64 {
        debug_assert_eq!((self.escrow, self.bond, self.stake), (0, 0, 0), "settle first");
        let rest = self.free;
        self.free = 0;
        self.returned += rest;
        rest
    }
}

/// `ceil(price × µJ)` in credits.
#[must_use]
pub fn charge_credits(uj: u64, price_ppm: u64) -> u64 {
    if let Some(product) = uj.checked_mul(price_ppm) {
        return product.div_ceil(PPM);
    }
    let charge = (u128::from(uj) * u128::from(price_ppm)).div_ceil(u128::from(PPM));
    u64::try_from(charge).unwrap_or(u64::MAX)
}

/// Burial bond (and full erasure tax) of `bytes` of memory, credits.
#[must_use]
pub fn bond_credits(bytes: u64) -> u64 {
    bytes.div_ceil(1024).saturating_mul(BOND_PER_KIB)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Move {
        Fund(u64),
        Slice { escrow: u64, uj: u64, price_ppm: u64 },
        Rent(u64),
        Tax(u64),
        Lock { credits: u64, runway: u64 },
        Unlock(u64),
        Send { credits: u64, runway: u64 },
        Stake { credits: u64, runway: u64 },
        Unstake(u64),
        Lose(u64),
    }

    fn moves() -> impl Strategy<Value = Vec<Move>> {
        let amount = 0u64..1 << 40;
        let one = prop_oneof![
            amount.clone().prop_map(Move::Fund),
            (amount.clone(), amount.clone(), 1_000_000u64..256_000_000)
                .prop_map(|(escrow, uj, price_ppm)| Move::Slice { escrow, uj, price_ppm }),
            amount.clone().prop_map(Move::Rent),
            amount.clone().prop_map(Move::Tax),
            (amount.clone(), amount.clone())
                .prop_map(|(credits, runway)| Move::Lock { credits, runway }),
            amount.clone().prop_map(Move::Unlock),
            (amount.clone(), amount.clone())
                .prop_map(|(credits, runway)| Move::Send { credits, runway }),
            (amount.clone(), amount.clone())
                .prop_map(|(credits, runway)| Move::Stake { credits, runway }),
            amount.clone().prop_map(Move::Unstake),
            amount.prop_map(Move::Lose),
        ];
        prop::collection::vec(one, 0..64)
    }

    proptest! {
        /// Goal: no order of movements makes or loses a credit. Method: random movements, the
        /// invariant after each, and burial at the end gives everything back.
        #[test]
        fn purse_conserves(moves in moves(), tax in 0u64..1 << 40) {
            let mut purse = Purse::default();
            for step in moves {
                match step {
                    Move::Fund(credits) => prop_assert!(purse.fund(credits)),
                    Move::Slice { escrow, uj, price_ppm } => {
                        purse.open_escrow(escrow);
                        prop_assert!(purse.is_conserved());
                        let bill = purse.close_escrow(uj, price_ppm);
                        prop_assert_eq!(bill.burned + bill.uncollected_uj, uj);
                    }
                    Move::Rent(credits) => {
                        let free = purse.free;
                        let unpaid = purse.pay_rent(credits);
                        prop_assert!(unpaid == 0 || purse.free == 0);
                        prop_assert_eq!(free - purse.free + unpaid, credits);
                    }
                    Move::Tax(credits) => {
                        let before = purse;
                        let unpaid = purse.pay_tax(credits);
                        prop_assert!(unpaid == 0 || purse.free == 0);
                        prop_assert_eq!(purse.tax - before.tax + unpaid, credits);
                    }
                    Move::Lock { credits, runway } => {
                        let before = purse;
                        if !purse.lock_bond(credits, runway) { prop_assert_eq!(before, purse); }
                    }
                    Move::Unlock(credits) => purse.unlock_bond(credits),
                    Move::Send { credits, runway } => { let _ = purse.send(credits, runway); }
                    Move::Stake { credits, runway } => {
                        let before = purse;
                        if !purse.lock_stake(credits, runway) { prop_assert_eq!(before, purse); }
                    }
                    Move::Unstake(credits) => purse.unlock_stake(credits),
                    Move::Lose(credits) => prop_assert!(purse.lose_stake(credits) <= credits),
                }
                prop_assert!(purse.is_conserved());
            }
            purse.unlock_stake(u64::MAX);
            purse.bury(tax);
            purse.give_back();
            prop_assert!(purse.is_conserved());
            prop_assert_eq!((purse.free, purse.bond, purse.escrow), (0, 0, 0));
        }
    }

    #[test]
    fn partial_collection_pays_joules_before_premium() {
        let mut purse = Purse::default();
        assert!(purse.fund(150));
        purse.open_escrow(50);
        let bill = purse.close_escrow(100, 2 * PPM);
        assert_eq!(bill, SliceBill { burned: 100, premium: 50, uncollected_uj: 0 });
        assert!(purse.is_conserved());
    }
}
