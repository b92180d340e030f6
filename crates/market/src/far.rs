//! Racing bidders whose clocks ring too far ahead for the heap.
//!
//! Keys span 2^125 in a node's units, a ratio of 2^35 and more between rates. At T = 1/16 bids
//! of 1 and 256 reserves differ by 2^128. So whoever would ring beyond a *horizon* waits here, in
//! no order, with its exact residual and rate. All keys in the heap come before the horizon, all
//! members after it; members are looked at only when the heap cannot answer, by comparing
//! residual over rate in logarithms. The order among members does not change while virtual time
//! passes, so the first of them is remembered.

use alloc::vec::Vec;

use crate::fixed::{low32, neg_ln};

/// Marks a bidder that is not a member.
const ABSENT: u32 = u32::MAX;

#[derive(Clone, Debug)]
pub(crate) struct Far {
    members: Vec<u32>,
    /// Bidder index to place in `members`.
    places: Vec<u32>,
    first: Option<u32>,
}

impl Far {
    pub(crate) const fn new() -> Self {
        Self { members: Vec::new(), places: Vec::new(), first: None }
    }

    /// Makes room for bidder indices below `count`; nothing else allocates.
    pub(crate) fn grow(&mut self, count: usize) {
        if count > self.places.len() {
            self.places.resize(count, ABSENT);
            self.members.reserve(count - self.members.len());
        }
    }

    #[inline(always)]
    pub(crate) const fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(crate) const fn len(&self) -> usize {
        self.members.len()
    }

    pub(crate) fn contains(&self, index: u32) -> bool {
        self.places[index as usize] != ABSENT
    }

    pub(crate) fn members(&self) -> &[u32] {
        &self.members
    }

    /// Adds a bidder that is not a member.
    pub(crate) fn insert(&mut self, index: u32) {
        debug_assert!(!self.contains(index), "a bidder has one clock");
        self.places[index as usize] = low32(self.members.len() as u128);
        self.members.push(index);
        self.first = None;
    }

    /// Takes a member out.
    pub(crate) fn remove(&mut self, index: u32) {
        let place = self.places[index as usize] as usize;
        debug_assert!(self.members[place] == index, "only a member leaves");
        self.members.swap_remove(place);
        if let Some(&moved) = self.members.get(place) {
            self.places[moved as usize] = low32(place as u128);
        }
        self.places[index as usize] = ABSENT;
        if self.first == Some(index) {
            self.first = None;
        }
    }

    /// The member whose clock rings first, given each one's residual and rate; O(members) after a
    /// member has come or the first has gone, else O(1).
    pub(crate) fn first(&mut self, clock: impl Fn(u32) -> (u64, u32)) -> Option<u32> {
        if self.first.is_none() {
            let soonness = |&index: &u32| {
                let (e, x) = clock(index);
                (soonness(e, x), core::cmp::Reverse(index))
            };
            self.first = self.members.iter().copied().max_by_key(soonness);
        }
        self.first
    }

    pub(crate) fn assert_invariants(&self) {
        for (place, &index) in self.members.iter().enumerate() {
            assert!(self.places[index as usize] as usize == place, "BUG: far places are stale");
        }
        let present = self.places.iter().filter(|&&place| place != ABSENT).count();
        assert!(present == self.members.len(), "BUG: a far place without a member");
    }
}

/// -64 log2 of the wait `e / lambda`, up to a constant, in Q57.
fn soonness(e: u64, x: u32) -> u128 {
    /// 1 / ln 2 in Q62.
    const INV_LN2_Q62: u128 = 0x5C55_1D94_AE0B_F85D;
    debug_assert!(e > 0, "a spent clock is not far");
    ((u128::from(neg_ln(e.max(1))) * INV_LN2_Q62) >> 56) + (u128::from(x) << 57)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: the first member is the one with the least e / 2^(x / 64), through changes.
    #[test]
    fn the_first_member_is_found() {
        let clocks =
            [(1u64 << 57, 640u32), (1 << 57, 641), (1 << 40, 0), ((1 << 57) + 1, 641), (9, 9)];
        let clock = |index: u32| clocks[index as usize];
        let mut far = Far::new();
        far.grow(5);
        assert_eq!(far.first(clock), None);
        for (index, expected) in [(0, 0), (3, 3), (1, 1), (2, 2), (4, 4)] {
            far.insert(index);
            assert_eq!(far.first(clock), Some(expected));
            far.assert_invariants();
        }
        for (index, expected) in [(4, Some(2)), (2, Some(1)), (0, Some(1)), (1, Some(3)), (3, None)]
        {
            far.remove(index);
            assert_eq!(far.first(clock), expected);
            far.assert_invariants();
        }
    }
}
