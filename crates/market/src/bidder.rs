//! One bidder's record: a cache line that holds all a decision or a change of bid needs.

use crate::clock::Residual;
use crate::fixed::{low32, low64};
use crate::grid::{floor_ppm, level_floor, level_ppm, quality_level};
use crate::scale::Depth;

/// The dense id of a bidder within one auction; given again after the bidder is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BidderId(u32);

impl BidderId {
    /// The id of an index; it need not name a bidder.
    pub const fn from_index(index: u32) -> Self {
        Self(index)
    }

    /// The index: below the largest number of bidders that were present at once.
    pub const fn index(self) -> u32 {
        self.0
    }
}

/// A quality of one, ppm.
pub(crate) const QUALITY_PPM_ONE: u64 = 1_000_000;

/// The highest bid counted, in reserves; see [`Terms`].
const BID_IN_RESERVES_MAX: u64 = 256;

/// The prices that all bidders share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prices {
    pub(crate) reserve_ppm: u64,
    pub(crate) rho_ppm: u64,
}

/// What a submitted bid comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    /// The level of the bid on the grid; [`Terms::BELOW_FLOOR`] below the floor.
    pub(crate) level: u16,
}

impl Terms {
    /// Stands for a bid below the floor. No bid of [`crate::RESERVE_PPM_MAX`] reserves or less
    /// has this level.
    const BELOW_FLOOR: u16 = 0xFFFF;

    /// Clamps a bid to 256 reserves (or the floor, if that is higher: raising the floor must not
    /// lock a bidder out) and rounds it down to the grid.
    #[inline(always)]
    pub(crate) fn new(submitted_ppm: u64, floor_ppm: u64, reserve_ppm: u64) -> Self {
        if submitted_ppm < floor_ppm {
            return Self { level: Self::BELOW_FLOOR };
        }
        // Reserves are at most 2^54, so that this does not overflow.
        let clamp = reserve_ppm.wrapping_mul(BID_IN_RESERVES_MAX).max(floor_ppm);
        Self { level: level_floor(submitted_ppm.min(clamp)) }
    }

    /// Whether the bid reaches the floor.
    #[inline(always)]
    pub(crate) const fn is_entered(self) -> bool {
        self.level != Self::BELOW_FLOOR
    }

    /// The bid that races: the grid's, but at least the floor; zero below the floor.
    #[inline(always)]
    pub(crate) fn entered_ppm(self, floor_ppm: u64) -> u64 {
        if self.is_entered() { level_ppm(self.level).max(floor_ppm) } else { 0 }
    }
}

/// Set in [`Bidder::state`] while the record is in use.
const PRESENT: u16 = 1 << 15;
/// Set in [`Bidder::state`] while the bidder is awake.
const AWAKE: u16 = 1 << 14;
/// The quality level in [`Bidder::state`]; levels are at most 384.
const QUALITY: u16 = (1 << 9) - 1;

/// An exponential clock: its residual at a virtual time. While virtual time stands still the
/// residual does too: bids can change any number of times and only the last has an effect.
#[derive(Clone, Copy, Debug)]
#[repr(C, packed(4))]
pub(crate) struct Clock {
    e: u64,
    since_ticks: u64,
    since_fraction: u32,
}

impl Clock {
    /// A clock with residual `e`, 2^-57 units, at virtual time `now`, a node without index.
    #[inline(always)]
    pub(crate) fn new(e: u64, now: u128) -> Self {
        let (since_ticks, since_fraction) = (low64(now >> 64), low32(now >> 32));
        Self { e, since_ticks, since_fraction }
    }

    /// The residual at its own time.
    #[inline(always)]
    pub(crate) const fn residual(self) -> u64 {
        self.e
    }

    /// When the clock rings at a rate.
    #[cfg(test)]
    pub(crate) fn key(self, rate: Depth) -> Option<u128> {
        let since = (u128::from(self.since_ticks) << 64) | (u128::from(self.since_fraction) << 32);
        rate.delay(self.e).map(|delay| since.wrapping_add(delay))
    }

    /// The residual at virtual time `now` of a clock that runs at a rate.
    #[inline(always)]
    pub(crate) fn residual_at(self, now: u128, rate: Depth) -> u64 {
        let since = (u128::from(self.since_ticks) << 64) | (u128::from(self.since_fraction) << 32);
        self.e.saturating_sub(rate.consumed(now.wrapping_sub(since)))
    }
}

/// A bidder. One cache line.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub(crate) struct Bidder {
    /// The clock of the race.
    pub(crate) clock: Clock,
    /// The draw after the next win. It is made one win ahead, so that a decision need not wait
    /// for the PRF.
    pub(crate) e_next: u64,
    /// The level of the score: of the entered bid and of the quality, added.
    score: u16,
    /// Quality level (offset) and flags.
    state: u16,
    /// The bid that races; zero while the submitted bid is below the floor.
    pub(crate) entered_ppm: u64,
    /// The bidder's floor f = max(reserve, rho / q).
    pub(crate) floor_ppm: u64,
    pub(crate) account: u64,
    pub(crate) wins: u64,
}

const _: () = assert!(size_of::<Bidder>() == 64, "a bidder is one cache line");

impl Bidder {
    /// A bidder of quality one, asleep, without a bid.
    pub(crate) fn new(residual: Residual, e_next: u64) -> Self {
        Self {
            clock: Clock::new(residual.e, 0),
            e_next,
            score: quality_level(QUALITY_PPM_ONE),
            state: PRESENT | quality_level(QUALITY_PPM_ONE),
            entered_ppm: 0,
            floor_ppm: 1,
            account: residual.account,
            wins: residual.wins,
        }
    }

    /// The rate lambda = (b q)^(1/T) as a logarithm; see [`crate::scale`].
    #[inline(always)]
    pub(crate) fn x(&self, temperature_log2: u32) -> u32 {
        u32::from(self.score) << (temperature_log2 & 7)
    }

    /// The level of the score: at most 3968 + 384.
    #[inline(always)]
    pub(crate) const fn score(&self) -> u16 {
        self.score
    }

    /// The level of the entered bid.
    #[inline(always)]
    pub(crate) const fn level(&self) -> u16 {
        self.score.wrapping_sub(self.quality_level())
    }

    #[inline(always)]
    pub(crate) const fn quality_level(&self) -> u16 {
        self.state & QUALITY
    }

    /// Sets a quality whose range the caller has checked.
    pub(crate) fn set_quality(&mut self, quality_ppm: u64) {
        let level = self.level();
        self.state = (self.state & !QUALITY) | quality_level(quality_ppm);
        self.score = level + self.quality_level();
    }

    #[inline(always)]
    pub(crate) const fn is_present(&self) -> bool {
        self.state & PRESENT != 0
    }

    #[inline(always)]
    pub(crate) const fn is_awake(&self) -> bool {
        self.state & AWAKE != 0
    }

    pub(crate) const fn set_awake(&mut self, awake: bool) {
        self.state = if awake { self.state | AWAKE } else { self.state & !AWAKE };
    }

    /// Marks the record as free.
    pub(crate) const fn set_absent(&mut self) {
        self.state &= !PRESENT;
    }

    /// Whether the bidder may race.
    #[inline(always)]
    pub(crate) const fn is_eligible(&self) -> bool {
        self.is_awake() && self.entered_ppm > 0
    }

    /// Applies changed prices, a changed bid or a changed quality.
    pub(crate) fn apply(&mut self, prices: Prices, request: Request) {
        self.floor_ppm = floor_ppm(prices.reserve_ppm, prices.rho_ppm, request.quality_ppm);
        self.enter(Terms::new(request.bid_ppm, self.floor_ppm, prices.reserve_ppm));
    }

    /// Races at these terms from now on.
    #[inline(always)]
    pub(crate) fn enter(&mut self, terms: Terms) {
        let level = if terms.is_entered() { terms.level } else { 0 };
        self.score = level.wrapping_add(self.quality_level());
        self.entered_ppm = terms.entered_ppm(self.floor_ppm);
    }
}

/// What was asked for a bidder; what a decision does not need of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    pub(crate) bid_ppm: u64,
    pub(crate) quality_ppm: u64,
}

impl Request {
    /// No bid, and a quality of one.
    pub(crate) const NONE: Self = Self { bid_ppm: 0, quality_ppm: QUALITY_PPM_ONE };
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: contracts 6: the entered bid is at most the bid, at least the floor, clamped, on the
    // grid, and entering it again changes nothing.
    #[test]
    fn terms_clamp_and_round_down() {
        let reserve = 1_000_000;
        for submitted in (1_000_000u64..300_000_000).step_by(1_234_567) {
            let entered = entered(submitted, reserve, reserve);
            assert!(entered <= submitted.min(256 * reserve));
            assert!(entered >= reserve);
            assert!(entered as f64 * 1.0109 > submitted.min(256 * reserve) as f64);
            assert_eq!(super::tests::entered(entered, reserve, reserve), entered);
        }
        assert_eq!(entered(999_999, reserve, reserve), 0);
        assert_eq!(entered(reserve, reserve, reserve), reserve);
        let high_floor = 257 * reserve;
        assert_eq!(entered(u64::MAX, high_floor, reserve), high_floor);
        let top = crate::RESERVE_PPM_MAX;
        assert_eq!(entered(u64::MAX, top, top), 256 * top);
    }

    fn entered(submitted_ppm: u64, floor_ppm: u64, reserve_ppm: u64) -> u64 {
        Terms::new(submitted_ppm, floor_ppm, reserve_ppm).entered_ppm(floor_ppm)
    }
}
