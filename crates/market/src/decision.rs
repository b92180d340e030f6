//! The result of one decision.

use crate::bidder::BidderId;

/// Who won a slice, and at which price.
///
/// Guarantees: `floor_ppm <= price_ppm <= bid_ppm`; while the same bidder wins against the same
/// clocks, `price_ppm` does not depend on its bid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The winner.
    pub winner: BidderId,
    /// The critical price, ppm: the least bid that would still have won, at least the floor.
    pub price_ppm: u64,
    /// The winner's bid as entered, ppm: clamped and rounded down to the grid.
    pub bid_ppm: u64,
    /// The winner's floor f = max(reserve, rho / q), ppm.
    pub floor_ppm: u64,
    /// The first bidder that lost, if there was one. Never tell guests about it.
    pub runner_up: Option<BidderId>,
    /// How often the winner has won, this time included.
    pub wins: u64,
}

impl Decision {
    /// A decision of which only the winner is known.
    pub(crate) const fn placeholder(winner: BidderId) -> Self {
        Self { winner, price_ppm: 0, bid_ppm: 0, floor_ppm: 0, runner_up: None, wins: 0 }
    }
}
