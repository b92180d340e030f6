//! Pages that a guest gave back with `discard` and has not touched since.
//!
//! They are zero and cost no rent. Nothing tells the kernel when a guest touches a page again, so it
//! looks now and then: a page that holds something is resident from the look on. Until then it costs
//! nothing, at most [`LOOK_NS`] and a quantum of running, and a look comes before every wait and every
//! change of bid; whoever plays that game pays the erasure tax of ten seconds of rent at each round. A page that was touched but is zero still counts as given back.

use crate::pages::{self, PAGE_BYTES};

/// Time between two looks, ns.
const LOOK_NS: u64 = 1_000_000_000;

/// The pages, one bit each.
#[derive(Debug, Default)]
pub(crate) struct Discarded {
    bits: Vec<u64>,
    pages: u64,
    next_look_ns: u64,
}

/// What one `discard` did, pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cleared {
    /// Held something before.
    pub(crate) held: u64,
    /// Were resident before.
    pub(crate) given_back: u64,
}

impl Discarded {
    /// Zeroes the whole pages `memory[start..end]`, which begin and end at pages of `memory`, and
    /// returns those beyond `image_end` to the machine.
    pub(crate) fn clear(
        &mut self,
        memory: &mut [u8],
        (start, end): (usize, usize),
        image_end: u64,
        now_ns: u64,
    ) -> Cleared {
        let mut cleared =
            Cleared { held: pages::clear(memory, (start, end), image_end), given_back: 0 };
        if self.pages == 0 {
            self.next_look_ns = now_ns.saturating_add(LOOK_NS);
        }
        for page in start / PAGE_BYTES..end / PAGE_BYTES {
            if self.bits.len() <= page / 64 {
                self.bits.resize(page / 64 + 1, 0);
            }
            let word = &mut self.bits[page / 64];
            cleared.given_back += u64::from(*word >> (page % 64) & 1 == 0);
            *word |= 1 << (page % 64);
        }
        self.pages += cleared.given_back;
        cleared
    }

    /// How many pages are given back.
    pub(crate) fn pages(&self) -> u64 {
        self.pages
    }

    /// Whether it is time to look.
    pub(crate) fn is_due(&self, now_ns: u64) -> bool {
        self.pages > 0 && now_ns >= self.next_look_ns
    }

    /// Looks, and returns how many of the pages hold something again.
    pub(crate) fn look(&mut self, memory: &[u8], ask_machine: bool, now_ns: u64) -> u64 {
        self.next_look_ns = now_ns.saturating_add(LOOK_NS);
        let touched = pages::take_touched(memory, &mut self.bits, ask_machine);
        self.pages -= touched;
        touched
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: pages count again once they hold something, and are given back once. Method: discard,
    /// touch some, look, discard again.
    #[test]
    fn pages_are_given_back_and_counted_again() {
        let mut memory = vec![7u8; 200 * PAGE_BYTES];
        let skip = memory.as_ptr().align_offset(PAGE_BYTES);
        let memory = &mut memory[skip..skip + 128 * PAGE_BYTES];
        for ask_machine in [false, true] {
            memory.fill(7);
            let mut discarded = Discarded::default();
            let range = (4 * PAGE_BYTES, 100 * PAGE_BYTES);
            let cleared = discarded.clear(memory, range, u64::MAX, 0);
            assert_eq!(cleared, Cleared { held: 96, given_back: 96 });
            let again = discarded.clear(memory, range, u64::MAX, 0);
            assert_eq!(again, Cleared { held: 0, given_back: 0 });
            assert!(!discarded.is_due(LOOK_NS - 1) && discarded.is_due(LOOK_NS));
            memory[70 * PAGE_BYTES + 9] = 1;
            memory[4 * PAGE_BYTES] = 1;
            assert_eq!(discarded.look(memory, ask_machine, LOOK_NS), 2);
            assert_eq!(discarded.look(memory, ask_machine, LOOK_NS), 0);
            let third = discarded.clear(memory, range, u64::MAX, 0);
            assert_eq!(third, Cleared { held: 2, given_back: 2 });
        }
    }
}
