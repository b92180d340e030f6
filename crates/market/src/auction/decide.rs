//! Decisions: one slot, and k slots at once.

use alloc::vec::Vec;

use super::Auction;
use crate::bidder::{BidderId, Clock};
use crate::decision::Decision;
use crate::heap::Node;
use crate::price::{Threshold, critical_price};

/// The anchor follows the top rate down when it is this many buckets above and someone is under
/// the rate floor. Two buckets or more are over 4 octaves of slack; less is at most 8, which
/// leave 36 - 8 = 28 octaves exact.
const SLACK_BUCKETS: u32 = 2;

impl Auction {
    /// Decides one slot: the first key wins and pays the critical price; virtual time moves to
    /// its key, and its next clock is drawn. The winner goes on racing; when its next key is
    /// still the first, the heap is not touched. `None` when nobody races: the core sleeps.
    ///
    /// O(1) for a winner that stays first, else O(log n); no allocation.
    #[inline]
    pub fn decide(&mut self) -> Option<Decision> {
        let Some(first) = self.fit_scale_and_first() else {
            self.statistics.decisions_idle += 1;
            return None;
        };
        let second = self.heap.second();
        let (decision, node) = self.settle(first, first.key(), second.map(|(_, node)| node));
        self.now = first.key();
        let stays = self.heap.replace_first(node, second);
        self.statistics.decisions += 1;
        self.statistics.decisions_lazy += u64::from(stays);
        Some(decision)
    }

    /// Decides `slots` slots at once into `decisions` (cleared first), best first: the first k
    /// keys win, each pays its critical price against key k + 1, and virtual time moves to key
    /// k. With unit demand this is truthful. When fewer race, all win at their floors.
    ///
    /// O(k log n); allocates only when `decisions` is too small.
    pub fn decide_many(&mut self, slots: usize, decisions: &mut Vec<Decision>) {
        decisions.clear();
        if slots == 0 {
            return;
        }
        let Some(mut last) = self.fit_scale_and_first() else {
            self.statistics.decisions_idle += 1;
            return;
        };
        while decisions.len() < slots
            && let Some(first) = self.heap.first()
        {
            last = first;
            self.heap.remove(first.index());
            // Only the key is known yet; the rest follows once the threshold is.
            decisions.push(Decision::placeholder(first));
        }
        let threshold = self.heap.first();
        for decision in decisions.iter_mut() {
            let winner = decision.node();
            let (settled, node) = self.settle(winner, last.key(), threshold);
            self.heap.push(node);
            *decision = settled;
            self.statistics.decisions += 1;
        }
        self.now = last.key();
    }

    /// The first node, after the anchor has followed the top rate down if it must.
    #[inline]
    fn fit_scale_and_first(&mut self) -> Option<Node> {
        if self.census.floored() > 0
            && let Some(top) = self.census.top_bucket()
            && self.scale.bucket() >= top + SLACK_BUCKETS
        {
            debug_assert!(top < self.scale.bucket(), "the anchor moves down");
            self.move_scale(top);
        }
        self.heap.first()
    }

    /// Prices a winner against the first losing node; starts its next clock at virtual time
    /// `next`, and draws the one after. Returns the winner's next node too.
    #[inline(always)]
    fn settle(&mut self, winner: Node, next: u128, losing: Option<Node>) -> (Decision, Node) {
        let index = winner.index();
        let bidder = &mut self.bidders[index as usize];
        let rate = self.scale.depth(bidder.x(self.temperature_log2));
        let node = Node::new(next.wrapping_add(rate.delay(bidder.e_next)), index);
        bidder.clock = Clock::new(bidder.e_next, next);
        bidder.wins = bidder.wins.wrapping_add(1);
        bidder.e_next = self.draws.draw(bidder.account, bidder.wins.wrapping_add(1));
        let (floor_ppm, bid_ppm) = (bidder.floor_ppm, bidder.entered_ppm);
        assert!(floor_ppm <= bid_ppm, "BUG: a winner below its floor");
        let critical_ppm = losing.map_or(0, |losing| {
            critical_price(&Threshold {
                won: winner.key().wrapping_sub(self.now),
                lost: losing.key().wrapping_sub(self.now),
                rate,
                temperature_log2: self.temperature_log2,
                level: bidder.level,
            })
        });
        let decision = Decision {
            winner: BidderId::from_index(index),
            price_ppm: critical_ppm.min(bid_ppm).max(floor_ppm),
            bid_ppm,
            floor_ppm,
            runner_up: losing.map(|node| BidderId::from_index(node.index())),
            wins: bidder.wins,
        };
        (decision, node)
    }
}
