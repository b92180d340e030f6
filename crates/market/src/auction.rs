//! The auction: who races, with which key, and what a change does to the keys.

mod decide;
#[cfg(test)]
mod tests;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::bidder::{Bidder, BidderId, Clock, Prices, Request, Terms};
use crate::census::{Census, rate};
use crate::clock::{Draws, RESIDUAL_MAX, Residual};
use crate::decision::Decision;
use crate::error::AuctionError;
use crate::far::Far;
use crate::heap::{Node, RaceHeap};
use crate::scale::{Depth, HORIZON, Scale, bucket};
use crate::statistics::Statistics;

/// Largest `temperature_log2`: T = 1/16.
pub const TEMPERATURE_LOG2_MAX: u8 = 4;
/// Largest reserve and rho, ppm: 256 times it is a bid that still has a level.
pub const RESERVE_PPM_MAX: u64 = 1 << 54;
/// Smallest quality, ppm.
pub const QUALITY_PPM_MIN: u64 = 125_000;
/// Largest quality, ppm.
pub const QUALITY_PPM_MAX: u64 = 8_000_000;
/// Most bidders of one auction: 112 bytes each, 470 MB.
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
    /// Who rings before the horizon.
    heap: RaceHeap,
    /// Who rings after it.
    far: Far,
    /// When the far bidders' clocks were last looked at: the horizon is this and [`HORIZON`].
    far_since: u128,
    census: Census,
    bidders: Vec<Bidder>,
    /// What was asked for each bidder.
    requests: Vec<Request>,
    free: Vec<u32>,
    /// Room for the one decision of a slow `decide`.
    scratch: Vec<Decision>,
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
            far: Far::new(),
            far_since: 0,
            census: Census::new(),
            bidders: Vec::new(),
            requests: Vec::new(),
            free: Vec::new(),
            scratch: Vec::with_capacity(1),
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
            self.far.grow(self.bidders.len());
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
        let residual =
            Residual { account: bidder.account, e: bidder.clock.residual(), wins: bidder.wins };
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
        let Some(bidder) =
            self.bidders.get_mut(index as usize).filter(|bidder| bidder.is_present())
        else {
            return Err(AuctionError::UnknownBidder { index });
        };
        self.statistics.bids += 1;
        self.requests[index as usize].bid_ppm = bid_ppm;
        let terms = Terms::new(bid_ppm, bidder.floor_ppm, self.prices.reserve_ppm);
        if terms.level == bidder.level() && terms.is_entered() == (bidder.entered_ppm > 0) {
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
        self.bidder(id).is_ok() && self.races(id.index())
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
        self.heap.len() + self.far.len()
    }

    /// The sum of all racing rates (b q / cost price)^(1/T), in units of 2^-24, each at least 1
    /// and at most 2^96. Comparable between cells of one temperature: place a process where it
    /// is least. O(racing bidders), a few ns each: for placement, not for the slice path.
    pub fn rate_sum(&self) -> u128 {
        // Terms of 2^96 and at most 2^22 bidders: no overflow.
        let x = |index: u32| self.bidders[index as usize].x(self.temperature_log2);
        let all = self.heap.indices().chain(self.far.members().iter().copied());
        all.map(|index| rate(x(index), self.temperature_log2)).sum()
    }

    /// Virtual time in ticks; wraps around. The tick's length follows the top racing rate.
    pub fn virtual_time(&self) -> u64 {
        crate::fixed::low64(self.now >> 64)
    }

    /// The counters.
    pub fn statistics(&self) -> Statistics {
        Statistics { far: self.far.len() as u64, ..self.statistics }
    }

    /// Checks all invariants; O(n). For tests and debugging.
    ///
    /// # Panics
    /// When one does not hold, which is a bug of this crate.
    #[doc(hidden)]
    pub fn assert_invariants(&self) {
        self.heap.assert_invariants();
        self.far.assert_invariants();
        let mut census = Census::new();
        for (index, bidder) in (0u32..).zip(&self.bidders) {
            let (near, far) = (self.heap.contains(index), self.far.contains(index));
            assert!(!(near && far), "BUG: two clocks");
            assert!((near || far) == (bidder.is_present() && bidder.is_eligible()), "BUG: races");
            if bidder.is_present() {
                let mut fresh = bidder.clone();
                fresh.apply(self.prices, self.requests[index as usize]);
                assert!(fresh.floor_ppm == bidder.floor_ppm, "BUG: stale floor");
                assert!(fresh.entered_ppm == bidder.entered_ppm, "BUG: stale bid");
                assert!(self.accounts[&bidder.account] == index, "BUG: accounts");
            }
            if near || far {
                let x = bidder.x(self.temperature_log2);
                census.enter(x);
                assert!(bucket(x) <= self.scale.bucket(), "BUG: a rate above the anchor");
                assert!(bidder.clock.residual() <= RESIDUAL_MAX, "BUG: residual");
            }
        }
        assert!(census == self.census, "BUG: census");
        let far_age = self.now.wrapping_sub(self.far_since);
        assert!(self.far.is_empty() || far_age < HORIZON, "BUG: the horizon has passed");
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

    fn races(&self, index: u32) -> bool {
        self.heap.contains(index) || self.far.contains(index)
    }

    /// The rate of a bidder relative to the anchor.
    #[inline(always)]
    fn depth(&self, index: u32) -> Depth {
        self.scale.depth(self.bidders[index as usize].x(self.temperature_log2))
    }

    /// What is left now of a racing bidder's clock.
    #[inline(always)]
    fn residual_now(&self, index: u32) -> u64 {
        self.bidders[index as usize].clock.residual_at(self.now, self.depth(index))
    }

    /// Changes a bidder and brings the race in line: the residual is taken at the old rate, and
    /// the key made again from it at the new one. The law of every later decision is as if the
    /// clock had run at the new rate from the start, because what is left of it is still Exp(1).
    #[inline(always)]
    fn change(&mut self, index: u32, change: impl FnOnce(&mut Bidder)) {
        let near = self.heap.contains(index);
        let bidder = &mut self.bidders[index as usize];
        if !near && !self.far.contains(index) {
            change(bidder);
            if bidder.is_eligible() {
                self.enter(index);
            }
            return;
        }
        let x_old = bidder.x(self.temperature_log2);
        let e = bidder.clock.residual_at(self.now, self.scale.depth(x_old));
        change(bidder);
        let x = bidder.x(self.temperature_log2);
        if bidder.is_eligible() && x == x_old {
            return;
        }
        bidder.clock = Clock::new(e, self.now);
        self.census.leave(x_old);
        if !bidder.is_eligible() {
            self.take_out(index);
            return;
        }
        self.statistics.rescaled += 1;
        if near && bucket(x) <= self.scale.bucket() && self.scale.depth(x).is_shallow() {
            self.census.enter(x);
            let delay = self.scale.depth(x).shallow_delay(e);
            self.heap.update(Node::new(self.now.wrapping_add(delay), index));
        } else {
            self.take_out(index);
            self.enter(index);
        }
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
        self.census.enter(x);
        self.put_in(index, e);
    }

    /// Puts a bidder with residual `e` now before or beyond the horizon.
    fn put_in(&mut self, index: u32, e: u64) {
        if self.far.is_empty() {
            self.far_since = self.now;
        }
        match self.near_key(self.depth(index), e) {
            Some(key) => self.heap.push(Node::new(key, index)),
            None => self.far.insert(index),
        }
    }

    /// The key of residual `e` now, if it comes before the horizon.
    fn near_key(&self, rate: Depth, e: u64) -> Option<u128> {
        let delay = rate.delay(e)?;
        let age = self.now.wrapping_sub(self.far_since);
        (age.wrapping_add(delay) <= HORIZON).then(|| self.now.wrapping_add(delay))
    }

    /// Takes a racing bidder out of heap or list.
    fn take_out(&mut self, index: u32) {
        if self.heap.contains(index) {
            self.heap.remove(index);
        } else {
            self.far.remove(index);
        }
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
        self.take_far_clocks();
        let scale = Scale::of_bucket(top);
        let Self { bidders, heap, far, now, temperature_log2, scale: old, .. } = self;
        heap.rekey(|index| {
            let bidder = &mut bidders[index as usize];
            let x = bidder.x(*temperature_log2);
            let e = bidder.clock.residual_at(*now, old.depth(x));
            bidder.clock = Clock::new(e, *now);
            let delay = scale.depth(x).delay(e);
            if delay.is_none() {
                far.insert(index);
            }
            delay.map(|delay| now.wrapping_add(delay))
        });
        self.scale = scale;
        self.far_since = self.now;
        self.statistics.scale_moves += 1;
        self.recall_far();
    }

    /// Looks at the far clocks again when virtual time nears the horizon; O(far bidders), once in
    /// 2^38 mean waits of the top rate.
    #[cold]
    fn move_horizon(&mut self) {
        self.take_far_clocks();
        self.far_since = self.now;
        self.recall_far();
    }

    /// Takes every far clock now.
    fn take_far_clocks(&mut self) {
        for place in 0..self.far.len() {
            let index = self.far.members()[place];
            let e = self.residual_now(index);
            self.bidders[index as usize].clock = Clock::new(e, self.now);
        }
    }

    /// Moves far bidders whose clocks, taken now, ring before the horizon to the heap.
    fn recall_far(&mut self) {
        let mut place = 0;
        while let Some(&index) = self.far.members().get(place) {
            let e = self.bidders[index as usize].clock.residual();
            if let Some(key) = self.near_key(self.depth(index), e) {
                // Another member takes the place.
                self.far.remove(index);
                self.heap.push(Node::new(key, index));
            } else {
                place += 1;
            }
        }
    }
}

fn check_reserve(reserve_ppm: u64) -> Result<(), AuctionError> {
    if (1..=RESERVE_PPM_MAX).contains(&reserve_ppm) {
        Ok(())
    } else {
        Err(AuctionError::ReserveOutOfRange { reserve_ppm })
    }
}
