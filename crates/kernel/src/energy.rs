//! Joules of a slice: a linear model over what the kernel counts, in integer picojoules.

use serde::{Deserialize, Serialize};

/// Picojoules in a microjoule.
pub const PJ_PER_UJ: u64 = 1_000_000;

/// Coefficients of `slice = α·fuel + β·ns + γ·bytes + δ·calls + switch`, all in picojoules.
///
/// `maxwell.energy` fits them on the machine (or states a model) and sends them to every cell.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct EnergyModel {
    /// α, pJ per unit of fuel.
    pub alpha_pj_per_fuel: u64,
    /// β, pJ per nanosecond of the core.
    pub beta_pj_per_ns: u64,
    /// γ, pJ per byte that a host call moves.
    pub gamma_pj_per_byte: u64,
    /// δ, pJ per host call.
    pub delta_pj_per_call: u64,
    /// pJ of entering and leaving a slice.
    pub switch_pj: u64,
    /// Femtoseconds of the virtual clock per unit of fuel (deterministic mode).
    pub femtoseconds_per_fuel: u64,
}

/// What a slice used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Fuel, host calls included.
    pub fuel: u64,
    /// Time on the core, ns.
    pub ns: u64,
    /// Bytes moved by host calls.
    pub bytes: u64,
    /// Host calls.
    pub calls: u64,
}

impl EnergyModel {
    /// Energy of one slice, pJ.
    #[must_use]
    pub fn slice_pj(&self, usage: Usage) -> u64 {
        let parts = [
            (self.alpha_pj_per_fuel, usage.fuel),
            (self.beta_pj_per_ns, usage.ns),
            (self.gamma_pj_per_byte, usage.bytes),
            (self.delta_pj_per_call, usage.calls),
        ];
        parts.iter().fold(self.switch_pj, |sum, &(coefficient, amount)| {
            sum.saturating_add(coefficient.saturating_mul(amount))
        })
    }

    /// Virtual time of `fuel`, ns (rounded down).
    #[must_use]
    pub fn fuel_ns(&self, fuel: u64) -> u64 {
        if let Some(fs) = fuel.checked_mul(self.femtoseconds_per_fuel) {
            return fs / 1_000_000;
        }
        let fs = u128::from(fuel) * u128::from(self.femtoseconds_per_fuel);
        u64::try_from(fs / 1_000_000).unwrap_or(u64::MAX)
    }

    /// Estimated energy of running `fuel` that took `ns` before, in whole µJ, rounded up.
    #[must_use]
    pub fn estimate_uj(&self, fuel: u64, ns: u64) -> u64 {
        let pj = self.slice_pj(Usage { fuel, ns, bytes: 0, calls: 0 });
        pj.div_ceil(PJ_PER_UJ).max(1)
    }
}

/// Turns picojoules into whole microjoules and carries the remainder, so nothing is rounded away.
#[derive(Clone, Copy, Debug, Default)]
pub struct Carry {
    remainder_pj: u64,
}

impl Carry {
    /// Adds `pj` and takes the whole microjoules out.
    pub fn take_uj(&mut self, pj: u64) -> u64 {
        let total = self.remainder_pj.saturating_add(pj);
        self.remainder_pj = total % PJ_PER_UJ;
        total / PJ_PER_UJ
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Goal: carrying loses nothing. Method: the sum of what is taken out is the floor of the
        /// sum of what went in.
        #[test]
        fn carry_conserves(parts in prop::collection::vec(0u64..10_000_000_000, 0..64)) {
            let mut carry = Carry::default();
            let taken: u64 = parts.iter().map(|&pj| carry.take_uj(pj)).sum();
            prop_assert_eq!(taken, parts.iter().sum::<u64>() / PJ_PER_UJ);
        }
    }
}
