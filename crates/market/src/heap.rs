//! The race's priority queue: a 4-ary indexed heap of 16-byte nodes with wrap-around keys.
//!
//! A node is a 64-bit tick, a 32-bit fraction of a tick, and the bidder's 32-bit index. Ticks are
//! compared by the sign of their wrapping difference: the auction keeps every key less than 2^62
//! ticks ahead of virtual time. Equal ticks, which are rare, are settled by fraction and then by
//! index, so the order is total and exact. The root lies in slot 3, so that the four children of
//! a node are one aligned cache line. Memory: 16 bytes a node and 4 bytes a position; 20 MB at a million bidders.

use alloc::vec::Vec;
use core::hint::select_unpredictable;

use crate::fixed::{low32, low64};

const ARITY: usize = 4;
/// The slot of the root.
const ROOT: usize = 3;
/// From this length on the winner sinks by way of a leaf.
const DEEP_LEN: usize = if cfg!(test) { 32 } else { 1 << 15 };
/// Marks a bidder that is not in the heap.
const ABSENT: u32 = u32::MAX;

/// The key and index of a racing bidder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    /// The tick of the key.
    ticks: u64,
    /// The fraction of a tick (upper half), and the bidder.
    tail: u64,
}

impl Node {
    /// A node from its key, in the upper 96 bits, and its bidder.
    #[inline(always)]
    pub(crate) const fn new(key: u128, index: u32) -> Self {
        Self { ticks: low64(key >> 64), tail: low64(key) | index as u64 }
    }

    /// The key, in the upper 96 bits.
    #[inline(always)]
    pub(crate) const fn key(self) -> u128 {
        ((self.ticks as u128) << 64) | (self.tail & !(u32::MAX as u64)) as u128
    }

    /// The bidder.
    #[inline(always)]
    pub(crate) const fn index(self) -> u32 {
        low32(self.tail as u128)
    }

    /// Whether this comes before `other`, by key and then by index.
    #[inline(always)]
    const fn is_before(self, other: Self) -> bool {
        if self.ticks == other.ticks {
            cold();
            return self.tail < other.tail;
        }
        is_sooner(self.ticks, other.ticks)
    }
}

/// Marks a path as unlikely.
#[cold]
const fn cold() {}

/// Whether tick `a` comes before tick `b`.
#[inline(always)]
const fn is_sooner(a: u64, b: u64) -> bool {
    a.wrapping_sub(b).cast_signed() < 0
}

const EMPTY: Node = Node { ticks: 0, tail: 0 };

#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Line([Node; ARITY]);

/// The heap. Every bidder index below the grown size is in it at most once.
#[derive(Clone, Debug)]
pub(crate) struct RaceHeap {
    lines: Vec<Line>,
    /// One past the last used slot.
    end: usize,
    /// Bidder index to slot.
    positions: Vec<u32>,
}

impl RaceHeap {
    pub(crate) const fn new() -> Self {
        Self { lines: Vec::new(), end: ROOT, positions: Vec::new() }
    }

    /// Makes room for bidder indices below `count`; nothing else allocates.
    pub(crate) fn grow(&mut self, count: usize) {
        if count > self.positions.len() {
            self.positions.resize(count, ABSENT);
            self.lines.resize((ROOT + count).div_ceil(ARITY), Line([EMPTY; ARITY]));
        }
    }

    pub(crate) const fn len(&self) -> usize {
        self.end - ROOT
    }

    #[inline(always)]
    pub(crate) fn contains(&self, index: u32) -> bool {
        self.positions[index as usize] != ABSENT
    }

    /// The first node.
    #[inline(always)]
    pub(crate) fn first(&self) -> Option<Node> {
        if self.end > ROOT { Some(self.node(ROOT)) } else { None }
    }

    /// The second node, the least child of the root, and its slot.
    #[inline(always)]
    pub(crate) fn second(&self) -> Option<(usize, Node)> {
        least_child(&self.lines, self.end, ROOT)
    }

    /// The node of a bidder in the heap.
    #[cfg(test)]
    pub(crate) fn node_of(&self, index: u32) -> Option<Node> {
        let slot = self.positions[index as usize];
        (slot != ABSENT).then(|| self.node(slot as usize))
    }

    /// Adds a bidder that is not in the heap.
    pub(crate) fn push(&mut self, node: Node) {
        debug_assert!(!self.contains(node.index()), "a bidder has one clock");
        let slot = self.end;
        self.end += 1;
        self.sift_up(slot, node);
    }

    /// Takes out a bidder that is in the heap.
    pub(crate) fn remove(&mut self, index: u32) {
        let slot = self.positions[index as usize];
        debug_assert!(slot != ABSENT, "only a racing bidder leaves");
        let slot = slot as usize;
        self.positions[index as usize] = ABSENT;
        self.end -= 1;
        if slot != self.end {
            let last = self.node(self.end);
            self.sift(slot, last);
        }
    }

    /// Gives a bidder in the heap another key.
    #[inline]
    pub(crate) fn update(&mut self, node: Node) {
        let slot = self.positions[node.index() as usize];
        debug_assert!(slot != ABSENT, "only a racing bidder has a key");
        self.sift(slot as usize, node);
    }

    /// Gives the first bidder another key; true when it stays first, and nothing was moved.
    /// `second` is what [`Self::second`] says.
    #[inline(always)]
    pub(crate) fn replace_first(&mut self, node: Node, second: Option<(usize, Node)>) -> bool {
        debug_assert!(self.node(ROOT).index() == node.index(), "the winner is first");
        match second {
            Some((slot, child)) if child.is_before(node) => {
                self.put(ROOT, child);
                if self.len() < DEEP_LEN {
                    self.sift_down(slot, node);
                } else {
                    self.sift_through(slot, node);
                }
                false
            }
            _ => {
                self.lines[0].0[ROOT] = node;
                true
            }
        }
    }

    /// The indices of all bidders in the heap, in heap order.
    pub(crate) fn indices(&self) -> impl Iterator<Item = u32> + '_ {
        (ROOT..self.end).map(|slot| self.node(slot).index())
    }

    /// Gives every bidder another key at once, or takes it out; O(n).
    pub(crate) fn rekey(&mut self, mut key: impl FnMut(u32) -> Option<u128>) {
        let mut end = ROOT;
        for slot in ROOT..self.end {
            let index = self.node(slot).index();
            if let Some(key) = key(index) {
                self.put(end, Node::new(key, index));
                end += 1;
            } else {
                self.positions[index as usize] = ABSENT;
            }
        }
        self.end = end;
        for slot in (ROOT..self.end).rev() {
            let node = self.node(slot);
            self.sift_down(slot, node);
        }
    }

    #[inline(always)]
    fn node(&self, slot: usize) -> Node {
        self.lines[slot / ARITY].0[slot % ARITY]
    }

    #[inline(always)]
    fn put(&mut self, slot: usize, node: Node) {
        put(&mut self.lines, &mut self.positions, slot, node);
    }

    #[inline]
    fn sift(&mut self, slot: usize, node: Node) {
        if slot > ROOT && node.is_before(self.node(parent(slot))) {
            self.sift_up(slot, node);
        } else {
            self.sift_down(slot, node);
        }
    }

    fn sift_up(&mut self, mut slot: usize, node: Node) {
        while slot > ROOT {
            let up = parent(slot);
            let above = self.node(up);
            if !node.is_before(above) {
                break;
            }
            self.put(slot, above);
            slot = up;
        }
        self.put(slot, node);
    }

    #[inline(always)]
    fn sift_down(&mut self, mut slot: usize, node: Node) {
        let Self { lines, positions, end } = self;
        while let Some((at, child)) = least_child(lines, *end, slot) {
            if !child.is_before(node) {
                break;
            }
            put(lines, positions, slot, child);
            slot = at;
        }
        put(lines, positions, slot, node);
    }

    /// As [`Self::sift_down`], by way of a leaf: the way down does not depend on the node, so the
    /// processor can fetch it ahead, which pays where the heap is larger than the cache.
    #[inline(never)]
    fn sift_through(&mut self, mut slot: usize, node: Node) {
        let Self { lines, positions, end } = self;
        while let Some((at, child)) = least_child(lines, *end, slot) {
            put(lines, positions, slot, child);
            slot = at;
        }
        self.sift_up(slot, node);
    }

    /// Checks heap order and that positions are the inverse of slots; O(n).
    pub(crate) fn assert_invariants(&self) {
        assert!(
            self.len() == 0 || self.end <= self.lines.len() * ARITY,
            "BUG: nodes beyond the lines"
        );
        for slot in ROOT..self.end {
            let node = self.node(slot);
            let index = node.index() as usize;
            assert!(self.positions[index] as usize == slot, "BUG: positions are stale");
            assert!(slot == ROOT || !node.is_before(self.node(parent(slot))), "BUG: heap order");
        }
        let present = self.positions.iter().filter(|&&slot| slot != ABSENT).count();
        assert!(present == self.len(), "BUG: a position without a node");
    }
}

#[inline(always)]
fn put(lines: &mut [Line], positions: &mut [u32], slot: usize, node: Node) {
    lines[slot / ARITY].0[slot % ARITY] = node;
    // Slots are below BIDDERS_MAX + 3 < 2^32.
    positions[node.index() as usize] = low32(slot as u128);
}

/// The least child of a slot, and where it lies. Which child is least cannot be predicted, so the
/// choice is made without branches; equal ticks are rare and go another way.
#[inline(always)]
fn least_child(lines: &[Line], end: usize, slot: usize) -> Option<(usize, Node)> {
    let line = slot.wrapping_sub(2);
    let start = line.wrapping_mul(ARITY);
    let Line(nodes) = lines.get(line)?;
    let [a, b, c, d] = [nodes[0].ticks, nodes[1].ticks, nodes[2].ticks, nodes[3].ticks];
    let (left, right) = (is_sooner(b, a), is_sooner(d, c));
    let (low, high) = (select_unpredictable(left, b, a), select_unpredictable(right, d, c));
    let side = is_sooner(high, low);
    let mut offset = select_unpredictable(side, 2 | usize::from(right), usize::from(left));
    if start.wrapping_add(ARITY) > end || a == b || c == d || high == low {
        if start >= end {
            return None;
        }
        offset = exact_least_child(nodes, end.wrapping_sub(start));
    }
    let child = nodes[offset & (ARITY - 1)];
    Some((start | offset, Node { ticks: child.ticks, tail: child.tail }))
}

/// Which of the first `count` nodes is least, where ticks are equal or the line is not full.
#[cold]
#[inline(never)]
fn exact_least_child(nodes: &[Node; ARITY], count: usize) -> usize {
    let mut best = 0;
    for (at, &node) in nodes.iter().enumerate().take(count).skip(1) {
        if node.is_before(nodes[best]) {
            best = at;
        }
    }
    best
}

#[inline(always)]
const fn parent(slot: usize) -> usize {
    slot / ARITY + 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Op {
        Put(u32, u64),
        Remove(u32),
        ReplaceFirst(u64),
        Rekey(u64),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            6 => (0..90u32, 0..500u64).prop_map(|(index, ahead)| Op::Put(index, ahead)),
            2 => (0..90u32).prop_map(Op::Remove),
            3 => (0..500u64).prop_map(Op::ReplaceFirst),
            1 => any::<u64>().prop_map(Op::Rekey),
        ]
    }

    // The sorted model orders by distance from `base`, the heap by wrapping comparison.
    fn node(base: u128, ahead: u64, index: u32) -> Node {
        // Far apart, within one tick, or equal.
        let (far, near) = (u128::from(ahead / 10), u128::from(ahead % 10 / 2));
        Node::new(base.wrapping_add(far << 119).wrapping_add(near << 60), index)
    }

    proptest! {
        // P13. Goal: heap order, inverse positions, first and second, against a sorted map, with
        // many equal keys and with keys that wrap around.
        #[test]
        fn agrees_with_a_sorted_map(base in any::<u128>(), ops in prop::collection::vec(op(), 1..250)) {
            let base = base & !0xFFFF_FFFF;
            let mut heap = RaceHeap::new();
            heap.grow(90);
            let mut model: BTreeMap<u32, u64> = BTreeMap::new();
            for op in ops {
                match op {
                    Op::Put(index, ahead) => {
                        let fresh = model.insert(index, ahead).is_none();
                        if fresh { heap.push(node(base, ahead, index)); }
                        else { heap.update(node(base, ahead, index)); }
                    }
                    Op::Remove(index) => {
                        if model.remove(&index).is_some() { heap.remove(index); }
                    }
                    Op::ReplaceFirst(ahead) => if let Some(first) = heap.first() {
                        let index = first.index();
                        model.insert(index, ahead);
                        let second = heap.second();
                        let stays = heap.replace_first(node(base, ahead, index), second);
                        prop_assert_eq!(stays, heap.first() == Some(node(base, ahead, index)));
                    },
                    Op::Rekey(factor) => {
                        for (index, ahead) in &mut model {
                            *ahead = (*ahead ^ factor ^ u64::from(*index)) % 500;
                        }
                        model.retain(|_, ahead| *ahead < 450);
                        heap.rekey(|index| {
                            model.get(&index).map(|&ahead| node(base, ahead, index).key())
                        });
                    }
                }
                heap.assert_invariants();
                let mut sorted: Vec<_> = model.iter().map(|(&i, &ahead)| (ahead, i)).collect();
                sorted.sort_unstable_by_key(|&(ahead, i)| (ahead / 10, ahead % 10 / 2, i));
                let expected = |rank: usize| sorted.get(rank).map(|&(ahead, i)| node(base, ahead, i));
                prop_assert_eq!(heap.first(), expected(0));
                prop_assert_eq!(heap.second().map(|(_, node)| node), expected(1));
                prop_assert_eq!(heap.len(), model.len());
                prop_assert_eq!(heap.indices().count(), model.len());
                for (&i, &ahead) in &model {
                    prop_assert_eq!(heap.node_of(i), Some(node(base, ahead, i)));
                }
            }
        }
    }
}
