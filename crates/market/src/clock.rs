//! The draws of the race, and the residual clock that a leaving account takes along.

use crate::fixed::neg_ln;
use siphasher::{sip::SipHasher13, sip128};

/// The largest residual that a draw can have: 64 ln 2 in 2^-57 units, rounded up.
pub const RESIDUAL_MAX: u64 = 0x58B9_0BFB_E8E7_BCD6;

/// What remains of an account's exponential clock when it leaves an auction.
///
/// Keep it (in a bounded map of the caller's) and give it back with
/// [`crate::Auction::add_with_residual`]: an account that came back with a fresh clock could
/// leave and re-enter until the clock is a short one. It also migrates an account between cells.
/// Never show it to a guest: bidders that see their clocks can time their bids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Residual {
    /// The account.
    pub account: u64,
    /// The rest of its exponential draw of mean one, in units of 2^-57.
    pub e: u64,
    /// How often it has won; the next draw is number `wins + 1`.
    pub wins: u64,
}

/// The source of draws: e = -ln u, u = PRF(seed, account, cell, wins) / 2^64, its last bit set.
///
/// The PRF is SipHash-1-3 over the little-endian bytes of account (8) and wins (8), under a key
/// for the cell: the 128-bit SipHash-2-4 of the cell's little-endian bytes (4) under the
/// committed seed. Whoever learns the seed after the epoch can check each draw.
#[derive(Clone, Debug)]
pub(crate) struct Draws {
    keyed: SipHasher13,
}

impl Draws {
    pub(crate) fn new(seed: [u8; 16], cell: u32) -> Self {
        let key = sip128::SipHasher24::new_with_key(&seed).hash(&cell.to_le_bytes()).as_bytes();
        Self { keyed: SipHasher13::new_with_key(&key) }
    }

    /// Draw number `wins` of the account: Exp(1) in units of 2^-57, at most [`RESIDUAL_MAX`].
    #[inline(always)]
    pub(crate) fn draw(&self, account: u64, wins: u64) -> u64 {
        let mut message = [0u8; 16];
        message[..8].copy_from_slice(&account.to_le_bytes());
        message[8..].copy_from_slice(&wins.to_le_bytes());
        neg_ln(self.keyed.hash(&message) | 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: draws are exponential with mean one. Method: mean, variance and P(e > 1) of 2^20
    // draws under a fixed seed, each within five standard errors.
    #[test]
    fn draws_are_exponential() {
        let draws = Draws::new(*b"maxwell's demon!", 3);
        let count = 1u32 << 20;
        let (mut sum, mut squares, mut above) = (0.0, 0.0, 0.0);
        for wins in 0..count {
            let e = draws.draw(42, u64::from(wins)) as f64 / (1u64 << 57) as f64;
            sum += e;
            squares += e * e;
            above += f64::from(u8::from(e > 1.0));
        }
        let n = f64::from(count);
        assert!((sum / n - 1.0).abs() < 5.0 / n.sqrt());
        assert!((squares / n - 2.0).abs() < 5.0 * (20.0 / n).sqrt());
        assert!((above / n - (-1f64).exp()).abs() < 5.0 * (0.25 / n).sqrt());
    }

    // Goal: every argument matters, and the same arguments give the same draw.
    #[test]
    fn draws_depend_on_everything() {
        let base = Draws::new([7; 16], 1).draw(5, 9);
        assert_eq!(base, Draws::new([7; 16], 1).draw(5, 9));
        assert_ne!(base, Draws::new([8; 16], 1).draw(5, 9));
        assert_ne!(base, Draws::new([7; 16], 2).draw(5, 9));
        assert_ne!(base, Draws::new([7; 16], 1).draw(6, 9));
        assert_ne!(base, Draws::new([7; 16], 1).draw(5, 10));
    }
}
