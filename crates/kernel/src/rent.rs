//! Rent: what holding a place and memory costs per second, in exact integers.

/// Denominator of rent: nanoseconds in a second times bytes in a MiB.
const DENOMINATOR: u128 = 1_000_000_000 << 20;

/// Rates of rent.
#[derive(Clone, Copy, Debug)]
pub struct RentRates {
    /// Credits per second of a process.
    pub per_process: u64,
    /// Credits per second of a resident MiB.
    pub per_mib: u64,
}

/// The running rent of one process; the remainder of each accrual is carried.
#[derive(Clone, Copy, Debug)]
pub struct RentMeter {
    rates: RentRates,
    last_ns: u64,
    resident_bytes: u64,
    resident_bytes_max: u64,
    carry: u128,
    byte_ns: u128,
}

impl RentMeter {
    /// A meter of a process born at `now_ns` with nothing resident.
    #[must_use]
    pub fn new(rates: RentRates, now_ns: u64) -> Self {
        Self {
            rates,
            last_ns: now_ns,
            resident_bytes: 0,
            resident_bytes_max: 0,
            carry: 0,
            byte_ns: 0,
        }
    }

    /// Rent per second now, as credits << 20.
    fn rate(&self, resident_bytes: u64) -> u128 {
        (u128::from(self.rates.per_process) << 20)
            + u128::from(self.rates.per_mib) * u128::from(resident_bytes)
    }

    /// Lets time pass to `now_ns` and returns the whole credits of rent that fell due.
    pub fn accrue(&mut self, now_ns: u64) -> u64 {
        let passed = u128::from(now_ns.saturating_sub(self.last_ns));
        self.last_ns = self.last_ns.max(now_ns);
        self.byte_ns += passed * u128::from(self.resident_bytes);
        self.carry += passed * self.rate(self.resident_bytes);
        if self.carry < DENOMINATOR {
            return 0;
        }
        let due = self.carry / DENOMINATOR;
        self.carry %= DENOMINATOR;
        u64::try_from(due).unwrap_or(u64::MAX)
    }

    /// Changes what is resident; accrue first.
    pub fn set_resident(&mut self, bytes: u64) {
        self.resident_bytes = bytes;
        self.resident_bytes_max = self.resident_bytes_max.max(bytes);
    }

    /// Up to when rent has fallen due, ns.
    #[must_use]
    pub fn paid_until_ns(&self) -> u64 {
        self.last_ns
    }

    /// Resident bytes.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        self.resident_bytes
    }

    /// Most resident bytes so far.
    #[must_use]
    pub fn resident_bytes_max(&self) -> u64 {
        self.resident_bytes_max
    }

    /// Integral of resident bytes over time, byte·ns.
    #[must_use]
    pub fn byte_ns(&self) -> u128 {
        self.byte_ns
    }

    /// One second of rent, rounded up: what slices may not spend.
    #[must_use]
    pub fn runway(&self) -> u64 {
        self.runway_of(self.resident_bytes)
    }

    /// One second of rent with `resident_bytes` resident, rounded up.
    #[must_use]
    pub fn runway_of(&self, resident_bytes: u64) -> u64 {
        let per_second = self.rate(resident_bytes).div_ceil(1 << 20);
        u64::try_from(per_second).unwrap_or(u64::MAX)
    }

    /// Whether a purse of `free` credits can pay all rent until `ns`, if nothing else changes: the
    /// same as `ns < broke_at_ns(free)`, without a division.
    #[must_use]
    pub fn is_payable_until(&self, ns: u64, free: u64) -> bool {
        let passed = u128::from(ns.saturating_sub(self.last_ns));
        let due = self.carry + passed * self.rate(self.resident_bytes);
        due < (u128::from(free) + 1) * DENOMINATOR
    }

    /// When a purse of `free` credits can no longer pay, if nothing else changes, ns.
    #[must_use]
    pub fn broke_at_ns(&self, free: u64) -> u64 {
        let rate = self.rate(self.resident_bytes);
        if rate == 0 {
            return u64::MAX;
        }
        // The first moment at which `free + 1` whole credits have fallen due.
        let missing = ((u128::from(free) + 1) * DENOMINATOR).saturating_sub(self.carry);
        let ns = missing.div_ceil(rate);
        self.last_ns.saturating_add(u64::try_from(ns).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RATES: RentRates = RentRates { per_process: 2_000, per_mib: 400 };

    proptest! {
        /// Goal: rent does not depend on how often it is asked for. Method: one long accrual
        /// against many short ones.
        #[test]
        fn rent_is_additive(bytes in 0u64..1 << 32, steps in prop::collection::vec(0u64..1 << 33, 1..50)) {
            let mut often = RentMeter::new(RATES, 0);
            let mut once = often;
            often.set_resident(bytes);
            once.set_resident(bytes);
            let mut now = 0;
            let mut sum = 0;
            for step in steps {
                now += step;
                sum += often.accrue(now);
            }
            prop_assert_eq!(sum, once.accrue(now));
            prop_assert_eq!(often.byte_ns(), u128::from(bytes) * u128::from(now));
        }

        /// Goal: the deadline is the first ns at which the purse is short.
        #[test]
        fn deadline_is_exact(bytes in 0u64..1 << 32, free in 0u64..1 << 34, start in 0u64..1 << 40) {
            let mut meter = RentMeter::new(RATES, start);
            meter.set_resident(bytes);
            let at = meter.broke_at_ns(free);
            prop_assert!(meter.is_payable_until(at - 1, free));
            prop_assert!(!meter.is_payable_until(at, free));
            let mut early = meter;
            prop_assert!(early.accrue(at - 1) <= free);
            prop_assert!(meter.accrue(at) > free);
        }
    }

    #[test]
    fn a_gibibyte_costs_what_the_contract_says() {
        let mut meter = RentMeter::new(RATES, 0);
        meter.set_resident(1 << 30);
        assert_eq!(meter.accrue(1_000_000_000), 2_000 + 400 * 1024);
        assert_eq!(meter.runway(), 411_600);
    }
}
