//! The result of one decision.

use crate::bidder::BidderId;
use crate::fixed::low64;
use crate::heap::Node;

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
    /// A decision of which only the winner's node and residual are known. They are kept in the
    /// place of the prices, so that deciding many slots needs no memory of its own.
    pub(crate) const fn placeholder(node: Node, residual: u64) -> Self {
        let key = node.key();
        Self {
            winner: BidderId::from_index(node.index()),
            price_ppm: low64(key >> 64),
            bid_ppm: low64(key),
            floor_ppm: residual,
            runner_up: None,
            wins: 0,
        }
    }

    /// The node and the residual of a placeholder.
    pub(crate) const fn unpack(&self) -> (Node, u64) {
        let key = ((self.price_ppm as u128) << 64) | self.bid_ppm as u128;
        (Node::new(key, self.winner.index()), self.floor_ppm)
    }
}
