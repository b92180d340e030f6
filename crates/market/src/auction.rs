//! The auction: who races, with which key, and what a change does to the keys.

mod decide;
#[cfg(test)]
mod tests;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::bidder::{Bidder, BidderId, Clock, Prices, Request, Terms};
use crate::census::Census;
use crate::clock::{Draws, RESIDUAL_MAX, Residual};
use crate::error::AuctionError;
use crate::heap::{Node, RaceHeap};
use crate::scale::{Scale, bucket};
use crate::statistics::Statistics;

/// Largest `temperature_log2`: T = 1/16.
pub const TEMPERATURE_LOG2_MAX: u8 = 4;
/// Largest reserve and rho, ppm: 256 times it is a bid that still has a level.
pub const RESERVE_PPM_MAX: u64 = 1 << 54;
/// Smallest quality, ppm.
pub const QUALITY_PPM_MIN: u64 = 125_000;
/// Largest quality, ppm.
pub const QUALITY_PPM_MAX: u64 = 8_000_000;
/// Most bidders of one auction: 104 bytes each, 440 MB.
pub const BIDDERS_MAX: u32 = 1 << 22;

/// How an auction is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuctionConfig {
    /// m, with temperature T = 2^-m in 1/16 ..= 1. T = 1 is a truthful lottery; the colder, the
    /// closer to Vickrey and the longer a low bidder waits. Good value: 2.
    pub temperature_log2: u8,
    /// The least price of the cell, ppm; at least 1. The contract's reserve is 1,000,000 or more.
    pub reserve_ppm: u64,
    /// The committed seed of all draws.
    pub seed: [u8; 16],
    /// The cell: an account has independent clocks on different cells.
    pub cell: u32,
    /// Where virtual time starts. No decision depends on it.
    pub virtual_time_start: u64,
}

/// The exponential-race Vickrey auction of one cell.
///
/// Every racing bidder has an exponential clock of rate lambda = (bid · quality)^(1/T), a *key*:
/// the virtual time at which it rings. A decision takes the first key, charges the least bid that
/// would still have been first, moves virtual time there, and redraws only the winner's clock.
/// Losers keep theirs: the exponential law has no memory, so each decision still has softmax
/// probabilities lambda_i / Σ lambda, independent of the past.
///
/// Per decision the auction is truthful and individually rational for every realisation of the
/// clocks. Over time it is truthful as long as bidders do not see clocks. It is not proof against
/// collusion.
///
/// ```
/// use maxwell_market::{Auction, AuctionConfig};
///
/// let mut auction = Auction::new(AuctionConfig {
///     temperature_log2: 2,
///     reserve_ppm: 1_000_000,
///     seed: [7; 16],
///     cell: 0,
///     virtual_time_start: 0,
/// })?;
/// let rich = auction.add(1)?;
/// let poor = auction.add(2)?;
/// auction.wake(rich)?;
/// auction.wake(poor)?;
/// auction.bid(rich, 3_000_000)?;
/// auction.bid(poor, 2_000_000)?;
/// let decision = auction.decide().expect("two bidders race");
/// assert!(decision.floor_ppm <= decision.price_ppm && decision.price_ppm <= decision.bid_ppm);
/// # Ok::<(), maxwell_market::AuctionError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Auction {
    draws: Draws,
    temperature_log2: u32,
    prices: Prices,
    /// Virtual time in the upper 96 bits (64-bit ticks, 32-bit fraction), zero below.
    now: u128,
    scale: Scale,
    heap: RaceHeap,
    census: Census,
    bidders: Vec<Bidder>,
    /// What was asked for each bidder.
    requests: Vec<Request>,
    free: Vec<u32>,
    accounts: BTreeMap<u64, u32>,
    statistics: Statistics,
}

impl Auction {
    /// An auction without bidders.
    ///
    /// # Errors
    /// [`AuctionError::TemperatureOutOfRange`], [`AuctionError::ReserveOutOfRange`].
    pub fn new(config: AuctionConfig) -> Result<Self, AuctionError> {
        let AuctionConfig { temperature_log2, reserve_ppm, seed, cell, virtual_time_start } =
            config;
        if temperature_log2 > TEMPERATURE_LOG2_MAX {
            return Err(AuctionError::TemperatureOutOfRange { temperature_log2 });
        }
        check_reserve(reserve_ppm)?;
        Ok(Self {
            draws: Draws::new(seed, cell),
            temperature_log2: u32::from(temperature_log2),
            prices: Prices { reserve_ppm, rho_ppm: 0 },
            now: u128::from(virtual_time_start) << 64,
            scale: Scale::of_bucket(0),
            heap: RaceHeap::new(),
            census: Census::new(u32::from(temperature_log2)),
            bidders: Vec::new(),
            requests: Vec::new(),
            free: Vec::new(),
            accounts: BTreeMap::new(),
            statistics: Statistics::default(),
        })
    }

    /// Adds an account, asleep, without a bid, of quality one, with its first clock. O(log n);
    /// the only call that may allocate, apart from `add_with_residual`.
    ///
    /// # Errors
    /// [`AuctionError::AccountPresent`], [`AuctionError::Full`].
    pub fn add(&mut self, account: u64) -> Result<BidderId, AuctionError> {
        let e = self.draws.draw(account, 0);
        self.add_with_residual(Residual { account, e, wins: 0 })
    }

    /// Adds an account that was here before, or comes from another cell, with its old clock.
    ///
    /// # Errors
    /// As [`Auction::add`], and [`AuctionError::ResidualOutOfRange`].
    pub fn add_with_residual(&mut self, residual: Residual) -> Result<BidderId, AuctionError> {
        let Residual { account, e, wins } = residual;
        if e > RESIDUAL_MAX {
            return Err(AuctionError::ResidualOutOfRange { e });
        }
        if self.accounts.contains_key(&account) {
            return Err(AuctionError::AccountPresent { account });
        }
        let e_next = self.draws.draw(account, wins.wrapping_add(1));
        let mut bidder = Bidder::new(residual, e_next);
        bidder.apply(self.prices, Request::NONE);
        let index = if let Some(index) = self.free.pop() {
            self.bidders[index as usize] = bidder;
            self.requests[index as usize] = Request::NONE;
            index
        } else {
            let index = u32::try_from(self.bidders.len()).map_err(|_| AuctionError::Full)?;
            if index >= BIDDERS_MAX {
                return Err(AuctionError::Full);
            }
            self.bidders.push(bidder);
            self.requests.push(Request::NONE);
            self.heap.grow(self.bidders.len());
            // Room for every bidder to leave, so that `remove` does not allocate.
            self.free.reserve(self.bidders.len());
            index
        };
        self.accounts.insert(account, index);
        self.statistics.added += 1;
        Ok(BidderId::from_index(index))
    }

    /// Removes a bidder and returns its clock; its id may be given to another account.
    ///
    /// # Errors
    /// [`AuctionError::UnknownBidder`].
    pub fn remove(&mut self, id: BidderId) -> Result<Residual, AuctionError> {
        let index = self.index_of(id)?;
        self.change(index, |bidder| bidder.set_awake(false));
        let bidder = &mut self.bidders[index as usize];
        bidder.set_absent();
        let residual = Residual { account: bidder.account, e: bidder.clock.residual(), wins: bidder.wins };
        self.accounts.remove(&residual.account);
        self.free.push(index);
        self.statistics.removed += 1;
        Ok(residual)
    }

    /// Bids `bid_ppm` per microjoule from now on; returns the bid as entered: clamped to 256
    /// reserves and rounded down to the grid of 64 levels an octave, but not below the floor; 0
    /// when it is below the floor, and then the bidder does not race until it bids more or its
    /// floor falls. The residual clock is kept in every case. Constant time while the level does
    /// not change, else O(log n).
    ///
    /// # Errors
    /// [`AuctionError::UnknownBidder`].
    #[inline]
    pub fn bid(&mut self, id: BidderId, bid_ppm: u64) -> Result<u64, AuctionError> {
        let index = id.index();
        let Some(bidder) = self.bidders.get_mut(index as usize).filter(|bidder| bidder.is_present())
        else {
            return Err(AuctionError::UnknownBidder { index });
        };
        self.statistics.bids += 1;
        self.requests[index as usize].bid_ppm = bid_ppm;
        let terms = Terms::new(bid_ppm, bidder.floor_ppm, self.prices.reserve_ppm);
        if terms.level == bidder.level && terms.is_entered() == (bidder.entered_ppm > 0) {
            self.statistics.bids_unchanged += 1;
            self.statistics.bids_below_floor += u64::from(!terms.is_entered());
            return Ok(bidder.entered_ppm);
        }
        self.change(index, |bidder| bidder.enter(terms));
        self.statistics.bids_below_floor += u64::from(!terms.is_entered());
        Ok(self.bidders[index as usize].entered_ppm)
    }

    /// Takes a bidder out of the race; it keeps its bid and its clock. Idempotent, O(log n).
    ///
    /// # Errors
    /// [`AuctionError::UnknownBidder`].
    pub fn sleep(&mut self, id: BidderId) -> Result<(), AuctionError> {
        let index = self.index_of(id)?;
        self.change(index, |bidder| bidder.set_awake(false));
        Ok(())
    }

    /// Lets a bidder race if its bid reaches its floor. Idempotent, O(log n).
    ///
    /// # Errors
    /// [`AuctionError::UnknownBidder`].
    pub fn wake(&mut self, id: BidderId) -> Result<(), AuctionError> {
        let index = self.index_of(id)?;
        self.change(index, |bidder| bidder.set_awake(true));
        Ok(())
    }

    /// Sets a quality; scores are bid times quality, and the floor is max(reserve, rho / q).
    /// Change it at settlement only, never from the current bid. O(log n).
    ///
    /// # Errors
    /// [`AuctionError::UnknownBidder`], [`AuctionError::QualityOutOfRange`].
    pub fn set_quality(&mut self, id: BidderId, quality_ppm: u64) -> Result<(), AuctionError> {
        let index = self.index_of(id)?;
        if !(QUALITY_PPM_MIN..=QUALITY_PPM_MAX).contains(&quality_ppm) {
            return Err(AuctionError::QualityOutOfRange { quality_ppm });
        }
        let request = Request { quality_ppm, ..self.requests[index as usize] };
        self.requests[index as usize] = request;
        let prices = self.prices;
        self.change(index, |bidder| {
            bidder.set_quality(quality_ppm);
            bidder.apply(prices, request);
        });
        Ok(())
    }

    /// Sets the reserve; clamps, floors and eligibility follow. O(n log n) at worst.
    ///
    /// # Errors
    /// [`AuctionError::ReserveOutOfRange`].
    pub fn set_reserve(&mut self, reserve_ppm: u64) -> Result<(), AuctionError> {
        check_reserve(reserve_ppm)?;
        if reserve_ppm != self.prices.reserve_ppm {
            self.prices.reserve_ppm = reserve_ppm;
            self.apply_prices_to_all();
        }
        Ok(())
    }

    /// Sets the clearing price rho of the price controller; floors and eligibility follow.
    /// O(n log n) at worst.
    ///
    /// # Errors
    /// [`AuctionError::RhoOutOfRange`].
    pub fn set_rho(&mut self, rho_ppm: u64) -> Result<(), AuctionError> {
        if rho_ppm > RESERVE_PPM_MAX {
            return Err(AuctionError::RhoOutOfRange { rho_ppm });
        }
        if rho_ppm != self.prices.rho_ppm {
            self.prices.rho_ppm = rho_ppm;
            self.apply_prices_to_all();
        }
        Ok(())
    }

    /// The bid as entered, ppm; 0 below the floor. Asleep bidders keep their bid.
    ///
    /// # Errors
    /// [`AuctionError::UnknownBidder`].
    pub fn bid_ppm(&self, id: BidderId) -> Result<u64, AuctionError> {
        Ok(self.bidder(id)?.entered_ppm)
    }

    /// The bidder's floor f = max(reserve, rho / q), ppm.
    ///
    /// # Errors
    /// [`AuctionError::UnknownBidder`].
    pub fn floor_ppm(&self, id: BidderId) -> Result<u64, AuctionError> {
        Ok(self.bidder(id)?.floor_ppm)
    }

    /// The account of a bidder.
    ///
    /// # Errors
    /// [`AuctionError::UnknownBidder`].
    pub fn account(&self, id: BidderId) -> Result<u64, AuctionError> {
        Ok(self.bidder(id)?.account)
    }

    /// The bidder of an account that is present. O(log n).
    pub fn bidder_of(&self, account: u64) -> Option<BidderId> {
        self.accounts.get(&account).map(|&index| BidderId::from_index(index))
    }

    /// Whether the bidder is awake and its bid reaches its floor; false for unknown ids.
    pub fn is_racing(&self, id: BidderId) -> bool {
        self.bidder(id).is_ok() && self.heap.contains(id.index())
    }

    /// How many bidders are present.
    pub fn len(&self) -> usize {
        self.accounts.len()
    }

    /// Whether no bidder is present.
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }

    /// How many bidders race.
    pub fn racing_len(&self) -> usize {
        self.heap.len()
    }

    /// The sum of all racing rates (b q / cost price)^(1/T), in units of 2^-24, each at least 1
    /// and at most 2^96. Comparable between cells of one temperature: place a process where it
    /// is least. About 5 µs, whatever the number of bidders.
    pub fn rate_sum(&self) -> u128 {
        self.census.rate_sum()
    }

    /// Virtual time in ticks; wraps around. The tick's length follows the top racing rate.
    pub fn virtual_time(&self) -> u64 {
        crate::fixed::low64(self.now >> 64)
    }

    /// The counters.
    pub fn statistics(&self) -> Statistics {
        Statistics { at_rate_floor: u64::from(self.census.floored()), ..self.statistics }
    }

    /// Checks all invariants; O(n). For tests and debugging.
    ///
    /// # Panics
    /// When one does not hold, which is a bug of this crate.
    #[doc(hidden)]
    pub fn assert_invariants(&self) {
        self.heap.assert_invariants();
        let mut census = Census::new(self.temperature_log2);
        for (index, bidder) in (0u32..).zip(&self.bidders) {
            let racing = self.heap.contains(index);
            assert!(racing == (bidder.is_present() && bidder.is_eligible()), "BUG: eligibility");
            if bidder.is_present() {
                let mut fresh = bidder.clone();
                fresh.apply(self.prices, self.requests[index as usize]);
                assert!(fresh.floor_ppm == bidder.floor_ppm, "BUG: stale floor");
                assert!(fresh.entered_ppm == bidder.entered_ppm, "BUG: stale bid");
                assert!(self.accounts[&bidder.account] == index, "BUG: accounts");
            }
            if racing {
                let x = bidder.x(self.temperature_log2);
                census.enter(x, self.scale);
                assert!(bucket(x) <= self.scale.bucket(), "BUG: a rate above the anchor");
                assert!(bidder.clock.residual() <= RESIDUAL_MAX, "BUG: residual");
            }
        }
        assert!(census.rate_sum() == self.census.rate_sum(), "BUG: rate sum");
        assert!(census.floored() == self.census.floored(), "BUG: floored count");
        assert!(census.top_bucket() == self.census.top_bucket(), "BUG: top bucket");
        assert!(self.accounts.len() + self.free.len() == self.bidders.len(), "BUG: free list");
    }

    fn bidder(&self, id: BidderId) -> Result<&Bidder, AuctionError> {
        let index = id.index();
        self.bidders
            .get(index as usize)
            .filter(|bidder| bidder.is_present())
            .ok_or(AuctionError::UnknownBidder { index })
    }

    fn index_of(&self, id: BidderId) -> Result<u32, AuctionError> {
        self.bidder(id).map(|_| id.index())
    }

    /// Changes a bidder and brings the race in line: the residual is taken at the old rate, and
    /// the key made again from it at the new one. The law of every later decision is as if the
    /// clock had run at the new rate from the start, because what is left of it is still Exp(1).
    #[inline(always)]
    fn change(&mut self, index: u32, change: impl FnOnce(&mut Bidder)) {
        let raced = self.heap.contains(index);
        let bidder = &mut self.bidders[index as usize];
        let x_old = bidder.x(self.temperature_log2);
        if !raced {
            change(bidder);
            if bidder.is_eligible() {
                self.enter(index);
            }
            return;
        }
        let e = bidder.clock.residual_at(self.now, self.scale.depth(x_old));
        change(bidder);
        let x = bidder.x(self.temperature_log2);
        if !bidder.is_eligible() {
            bidder.clock = Clock::new(e, self.now);
            self.census.leave(x_old, self.scale);
            self.heap.remove(index);
            return;
        }
        if x == x_old {
            return;
        }
        bidder.clock = Clock::new(e, self.now);
        self.census.leave(x_old, self.scale);
        if bucket(x) > self.scale.bucket() {
            self.move_scale(bucket(x));
        }
        self.census.enter(x, self.scale);
        let delay = self.scale.depth(x).delay(e);
        self.heap.update(Node::new(self.now.wrapping_add(delay), index));
        self.statistics.rescaled += 1;
    }

    /// Lets an eligible bidder race, with what is left of its clock.
    fn enter(&mut self, index: u32) {
        let bidder = &mut self.bidders[index as usize];
        let e = bidder.clock.residual();
        bidder.clock = Clock::new(e, self.now);
        let x = bidder.x(self.temperature_log2);
        if bucket(x) > self.scale.bucket() {
            self.move_scale(bucket(x));
        }
        self.census.enter(x, self.scale);
        let delay = self.scale.depth(x).delay(e);
        self.heap.push(Node::new(self.now.wrapping_add(delay), index));
    }

    fn apply_prices_to_all(&mut self) {
        let prices = self.prices;
        for index in 0..self.bidders.len() {
            if self.bidders[index].is_present() {
                // Indices are below BIDDERS_MAX.
                let index = crate::fixed::low32(index as u128);
                let request = self.requests[index as usize];
                self.change(index, |bidder| bidder.apply(prices, request));
            }
        }
    }

    /// Moves the anchor of the tick scale: every racing clock is taken at the old scale and its
    /// key made again at the new one. O(racing bidders).
    #[cold]
    fn move_scale(&mut self, top: u32) {
        let scale = Scale::of_bucket(top);
        let Self { bidders, heap, now, temperature_log2, scale: old, .. } = self;
        heap.rekey(|index| {
            let bidder = &mut bidders[index as usize];
            let x = bidder.x(*temperature_log2);
            // A bidder whose rate is just rising above the old anchor was taken at it already.
            let x_old = x.min(old.anchor_octaves() * 64);
            let e = bidder.clock.residual_at(*now, old.depth(x_old));
            bidder.clock = Clock::new(e, *now);
            Node::new(now.wrapping_add(scale.depth(x).delay(e)), index)
        });
        self.scale = scale;
        self.statistics.scale_moves += 1;
        let rates = self.heap.indices().map(|i| self.bidders[i as usize].x(self.temperature_log2));
        self.census.recount_floored(scale, rates);
    }
}

fn check_reserve(reserve_ppm: u64) -> Result<(), AuctionError> {
    if (1..=RESERVE_PPM_MAX).contains(&reserve_ppm) {
        Ok(())
    } else {
        Err(AuctionError::ReserveOutOfRange { reserve_ppm })
    }
}
