//! A hierarchical timer wheel: sleeping guests, rents and deadlines expire without being scanned.
//!
//! Six levels of 64 slots over ticks of 2^20 ns (about 1 ms), after Varghese and Lauck (1987):
//! insertion is O(1), each entry moves down at most five times. Entries are not removed; the owner
//! checks on expiry whether an entry still means something (`generation`).

const TICK_SHIFT: u32 = 20;
const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
const LEVELS: u32 = 6;

/// One expiry: whom it concerns and which of the owner's generations armed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timer {
    /// When, ns on the cell's clock.
    pub at_ns: u64,
    /// The owner's index.
    pub owner: u32,
    /// What for; the owner's code.
    pub kind: u8,
    /// The owner's generation when it was armed.
    pub generation: u32,
}

/// The wheel.
#[derive(Debug)]
pub struct TimerWheel {
    now_tick: u64,
    levels: Vec<Vec<Vec<Timer>>>,
    due: Vec<Timer>,
    len: usize,
    /// A lower bound of the next expiry, so that an idle cell knows how long it may wait.
    next_ns: u64,
}

impl TimerWheel {
    /// An empty wheel that starts at `now_ns`.
    #[must_use]
    pub fn new(now_ns: u64) -> Self {
        let levels = (0..LEVELS).map(|_| (0..SLOTS).map(|_| Vec::new()).collect()).collect();
        Self { now_tick: now_ns >> TICK_SHIFT, levels, due: Vec::new(), len: 0, next_ns: u64::MAX }
    }

    /// Arms `timer`; one in the past is due at the next call of [`TimerWheel::expire`].
    pub fn arm(&mut self, timer: Timer) {
        self.len += 1;
        self.next_ns = self.next_ns.min(timer.at_ns);
        self.place(timer);
    }

    fn place(&mut self, timer: Timer) {
        let tick = timer.at_ns >> TICK_SHIFT;
        if tick <= self.now_tick {
            self.due.push(timer);
            return;
        }
        let distance = tick ^ self.now_tick;
        let level = ((63 - distance.leading_zeros()) / SLOT_BITS).min(LEVELS - 1);
        let slot = slot_of(tick >> (SLOT_BITS * level));
        self.levels[level as usize][slot].push(timer);
    }

    /// No timer is due before this time, ns.
    #[must_use]
    pub fn next_ns(&self) -> u64 {
        self.next_ns
    }

    /// Whether no timer is armed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Moves every timer due at `now_ns` into `expired`, earliest first, ties by owner.
    pub fn expire(&mut self, now_ns: u64, expired: &mut Vec<Timer>) {
        if now_ns < self.next_ns {
            return;
        }
        let target = now_ns >> TICK_SHIFT;
        while self.now_tick < target {
            self.step(target);
        }
        let mut kept = Vec::new();
        for timer in self.due.drain(..) {
            if timer.at_ns <= now_ns { expired.push(timer) } else { kept.push(timer) }
        }
        self.due = kept;
        self.len -= expired.len();
        expired.sort_unstable();
        self.next_ns = self.lower_bound();
    }

    /// Goes to the next tick at which something can move, `target` at most.
    fn step(&mut self, target: u64) {
        let next = self.next_boundary().min(target);
        self.now_tick = next;
        for level in (0..LEVELS).rev() {
            let shift = SLOT_BITS * level;
            if level > 0 && next & ((1 << shift) - 1) != 0 {
                continue;
            }
            let slot = slot_of(next >> shift);
            for timer in std::mem::take(&mut self.levels[level as usize][slot]) {
                self.place(timer);
            }
        }
    }

    /// The first tick after now whose slot, at any level, holds a timer.
    fn next_boundary(&self) -> u64 {
        let mut best = u64::MAX;
        for (level, slots) in (0..LEVELS).zip(&self.levels) {
            let shift = SLOT_BITS * level;
            let current = self.now_tick >> shift;
            // A slot of this level shares all higher bits with now, except on the top level.
            let ahead =
                (1..=SLOTS as u64).find(|ahead| !slots[slot_of(current + ahead)].is_empty());
            if let Some(ahead) = ahead {
                best = best.min((current + ahead) << shift);
            }
        }
        best
    }

    fn lower_bound(&self) -> u64 {
        let due = self.due.iter().map(|timer| timer.at_ns).min().unwrap_or(u64::MAX);
        let boundary = self.next_boundary();
        due.min(if boundary > u64::MAX >> TICK_SHIFT { u64::MAX } else { boundary << TICK_SHIFT })
    }
}

/// The slot of a tick on its level: its lowest six bits.
fn slot_of(tick: u64) -> usize {
    usize::try_from(tick & (SLOTS as u64 - 1)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Goal: the wheel expires exactly what a sorted list would. Method: random timers and
        /// random steps of the clock against a list.
        #[test]
        fn wheel_equals_list(
            timers in prop::collection::vec(0u64..1 << 44, 1..64),
            steps in prop::collection::vec(0u64..1 << 40, 1..64),
        ) {
            let mut wheel = TimerWheel::new(0);
            let mut list: Vec<Timer> = Vec::new();
            let mut now = 0;
            for (owner, (delay, step)) in timers.iter().zip(steps.iter().cycle()).enumerate() {
                let timer = Timer {
                    at_ns: now + delay, owner: u32::try_from(owner).unwrap(), kind: 0, generation: 0,
                };
                wheel.arm(timer);
                list.push(timer);
                now += step;
                let mut expired = Vec::new();
                wheel.expire(now, &mut expired);
                let mut expected: Vec<Timer> =
                    list.iter().copied().filter(|timer| timer.at_ns <= now).collect();
                expected.sort_unstable();
                list.retain(|timer| timer.at_ns > now);
                prop_assert_eq!(expired, expected);
                let next = list.iter().map(|timer| timer.at_ns).min().unwrap_or(u64::MAX);
                prop_assert!(wheel.next_ns() <= next);
            }
        }
    }
}
