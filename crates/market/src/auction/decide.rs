//! Decisions: one slot, and k slots at once.

use alloc::vec::Vec;

use super::Auction;
use crate::bidder::{BidderId, Clock};
use crate::decision::Decision;
use crate::heap::Node;
use crate::price::{Residuals, Threshold, critical_price, critical_price_of_residuals};
use crate::scale::HORIZON;

/// The anchor follows the top rate down when someone is beyond the horizon and it is this many
/// buckets above: 4 to 8 octaves.
const SLACK_BUCKETS: u32 = 2;
/// The horizon moves when virtual time has come this near to it: shallow rates ring at most
/// 2^124.5 ahead, and 2^124.5 + 2^123 < 2^125.
const AGE_MAX: u128 = HORIZON / 4;

/// The first losing clock.
struct Losing {
    index: u32,
    /// Its node, where distances to it can be compared with the winners'.
    node: Option<Node>,
}

impl Auction {
    /// Decides one slot: the first key wins and pays the critical price; virtual time moves to
    /// its key, and its next clock starts. The winner goes on racing; when its next key is still
    /// the first, the heap is not touched. `None` when nobody races: the core sleeps.
    ///
    /// O(1) for a winner that stays first, else O(log n); no allocation. O(n) when the range of
    /// rates that race has moved by more than 2^35 (at T = 1/4 and quality one: practically never).
    #[inline]
    pub fn decide(&mut self) -> Option<Decision> {
        let Some(first) = self.heap.first() else {
            return self.decide_slowly();
        };
        let index = first.index();
        let bidder = &self.bidders[index as usize];
        let rate = self.scale.depth(bidder.x(self.temperature_log2));
        if !rate.is_shallow() || !self.far.is_empty() {
            return self.decide_slowly();
        }
        let key = first.key();
        let node = Node::new(key.wrapping_add(rate.shallow_delay(bidder.e_next)), index);
        let second = self.heap.second();
        self.book(index, key);
        let critical_ppm = second.map_or(0, |(_, losing)| self.price_of_distances(first, losing));
        let runner_up = second.map(|(_, losing)| losing.index());
        let decision = self.decision(index, critical_ppm, runner_up);
        self.now = key;
        let stays = self.heap.replace_first(node, second);
        // 2^64 decisions take longer than the machine lasts: nothing wraps.
        self.statistics.decisions = self.statistics.decisions.wrapping_add(1);
        self.statistics.decisions_lazy =
            self.statistics.decisions_lazy.wrapping_add(u64::from(stays));
        Some(decision)
    }

    /// Decides `slots` slots at once into `decisions` (cleared first), best first: the first k
    /// keys win, each pays its critical price against key k + 1, and virtual time moves to key
    /// k. With unit demand this is truthful. When fewer race, all win at their floors.
    ///
    /// O(k log n), and O(n) where `decide` is; allocates only when `decisions` is too small.
    pub fn decide_many(&mut self, slots: usize, decisions: &mut Vec<Decision>) {
        decisions.clear();
        if slots == 0 {
            return;
        }
        self.prepare();
        let scale = self.scale;
        while decisions.len() < slots
            && let Some(first) = self.next_first()
        {
            let index = first.index();
            decisions.push(Decision::placeholder(first, self.residual_now(index)));
            self.census.leave(self.bidders[index as usize].x(self.temperature_log2));
            self.heap.remove(index);
        }
        let Some(end) = decisions.last().map(|last| last.unpack().0.key()) else {
            self.statistics.decisions_idle += 1;
            return;
        };
        let losing = self.losing(self.scale == scale);
        for decision in decisions.iter_mut() {
            let (node, residual) = decision.unpack();
            let critical_ppm =
                losing.as_ref().map_or(0, |losing| self.price(node, residual, losing));
            let runner_up = losing.as_ref().map(|losing| losing.index);
            self.book(node.index(), end);
            *decision = self.decision(node.index(), critical_ppm, runner_up);
            self.statistics.decisions += 1;
        }
        self.now = end;
        if !self.far.is_empty() && self.now.wrapping_sub(self.far_since) >= AGE_MAX {
            self.move_horizon();
        }
        for decision in decisions.iter() {
            self.enter(decision.winner.index());
        }
    }

    /// Decides one slot where far bidders or long waits may matter, or nobody races.
    #[cold]
    #[inline(never)]
    fn decide_slowly(&mut self) -> Option<Decision> {
        let mut decisions = core::mem::take(&mut self.scratch);
        self.decide_many(1, &mut decisions);
        let decision = decisions.pop();
        self.scratch = decisions;
        decision
    }

    /// Lets the anchor follow the top racing rate down when someone is beyond the horizon only
    /// because it is too high, and moves a horizon that is too near. After it the top racing
    /// bidder is in the heap.
    pub(super) fn prepare(&mut self) {
        if self.far.is_empty() {
            return;
        }
        if let Some(top) = self.census.top_bucket()
            && self.scale.bucket() >= top + SLACK_BUCKETS
        {
            self.move_scale(top);
        }
        if self.now.wrapping_sub(self.far_since) >= AGE_MAX {
            self.move_horizon();
        }
        debug_assert!(self.heap.len() > 0, "the top rate rings before the horizon");
    }

    /// The first clock of all that are left; when only far ones are, at their scale.
    fn next_first(&mut self) -> Option<Node> {
        if self.heap.len() == 0
            && let Some(top) = self.census.top_bucket()
        {
            self.move_scale(top);
        }
        self.heap.first()
    }

    /// The first of the clocks that are left once the winners have been taken out.
    fn losing(&mut self, same_scale: bool) -> Option<Losing> {
        if let Some(node) = self.heap.first() {
            return Some(Losing { index: node.index(), node: same_scale.then_some(node) });
        }
        let Self { far, bidders, scale, now, temperature_log2, .. } = self;
        let first = far.first(|index| {
            let bidder = &bidders[index as usize];
            let x = bidder.x(*temperature_log2);
            (bidder.clock.residual_at(*now, scale.depth(x)), x)
        });
        first.map(|index| Losing { index, node: None })
    }

    /// The critical price of a winner, from its node where that compares, else its residual.
    fn price(&self, winner: Node, residual: u64, losing: &Losing) -> u64 {
        if let Some(node) = losing.node {
            return self.price_of_distances(winner, node);
        }
        let lost = &self.bidders[losing.index as usize];
        let quality_level = self.bidders[winner.index() as usize].quality_level();
        critical_price_of_residuals(&Residuals {
            won: residual,
            lost: self.residual_now(losing.index),
            temperature_log2: self.temperature_log2,
            level: i32::from(lost.score()) - i32::from(quality_level),
        })
    }

    #[inline(always)]
    fn price_of_distances(&self, winner: Node, losing: Node) -> u64 {
        critical_price(&Threshold {
            won: winner.key().wrapping_sub(self.now),
            lost: losing.key().wrapping_sub(self.now),
            temperature_log2: self.temperature_log2,
            level: self.bidders[winner.index() as usize].level(),
        })
    }

    /// Books a win: starts the winner's next clock at virtual time `next`, draws the one after.
    #[inline(always)]
    fn book(&mut self, index: u32, next: u128) {
        let bidder = &mut self.bidders[index as usize];
        bidder.clock = Clock::new(bidder.e_next, next);
        bidder.wins = bidder.wins.wrapping_add(1);
        bidder.e_next = self.draws.draw(bidder.account, bidder.wins.wrapping_add(1));
    }

    /// The decision for a winner that has been booked: its price is clamped to floor and bid.
    #[inline(always)]
    fn decision(&self, index: u32, critical_ppm: u64, runner_up: Option<u32>) -> Decision {
        let bidder = &self.bidders[index as usize];
        let (floor_ppm, bid_ppm) = (bidder.floor_ppm, bidder.entered_ppm);
        assert!(floor_ppm <= bid_ppm, "BUG: a winner below its floor");
        Decision {
            winner: BidderId::from_index(index),
            price_ppm: critical_ppm.min(bid_ppm).max(floor_ppm),
            bid_ppm,
            floor_ppm,
            runner_up: runner_up.map(BidderId::from_index),
            wins: bidder.wins,
        }
    }
}
