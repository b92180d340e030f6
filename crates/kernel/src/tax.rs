//! Erasure tax: what memory costs that a guest erases while it lives, in exact integers.
//!
//! At death the tax is due on pages that are not zero (`Purse::bury`); here it is due on what the
//! counted allocator freed and on what `discard` zeroed.

use crate::purse::BOND_PER_KIB;

/// Bytes that cost one credit.
const BYTES_PER_CREDIT: u64 = 1024 / BOND_PER_KIB;

/// The running tax of one process; the remainder of each look is carried.
#[derive(Clone, Copy, Debug, Default)]
pub struct TaxMeter {
    freed_bytes: u64,
    discarded_bytes: u64,
    carry_bytes: u64,
}

impl TaxMeter {
    /// Takes the counters as they stand and returns the whole credits that fell due. A counter that
    /// went back (it cannot) counts as unchanged.
    pub fn accrue(&mut self, freed_bytes: u64, discarded_bytes: u64) -> u64 {
        let freed = freed_bytes.saturating_sub(self.freed_bytes);
        let discarded = discarded_bytes.saturating_sub(self.discarded_bytes);
        if freed == 0 && discarded == 0 {
            return 0;
        }
        self.freed_bytes += freed;
        self.discarded_bytes += discarded;
        let bytes = self.carry_bytes.saturating_add(freed).saturating_add(discarded);
        self.carry_bytes = bytes % BYTES_PER_CREDIT;
        bytes / BYTES_PER_CREDIT
    }

    /// Bytes that the allocator freed.
    #[must_use]
    pub fn freed_bytes(&self) -> u64 {
        self.freed_bytes
    }

    /// Bytes that `discard` zeroed and that held something.
    #[must_use]
    pub fn discarded_bytes(&self) -> u64 {
        self.discarded_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Goal: the tax does not depend on how often it is asked for. Method: many small looks
        /// against the sum.
        #[test]
        fn tax_is_additive(steps in prop::collection::vec((0u64..1 << 40, 0u64..1 << 40), 0..64)) {
            let mut meter = TaxMeter::default();
            let (mut freed, mut discarded, mut due) = (0, 0, 0);
            for (more_freed, more_discarded) in steps {
                freed += more_freed;
                discarded += more_discarded;
                due += meter.accrue(freed, discarded);
                prop_assert_eq!(meter.accrue(freed, discarded), 0);
            }
            prop_assert_eq!(due, (freed + discarded) / 256);
            prop_assert_eq!((meter.freed_bytes(), meter.discarded_bytes()), (freed, discarded));
        }
    }

    #[test]
    fn a_mebibyte_costs_what_the_contract_says() {
        assert_eq!(TaxMeter::default().accrue(1 << 20, 0), 4_096);
    }
}
