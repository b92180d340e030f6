//! How a guest waits: a future that the slice loop, and nobody else, wakes.
//!
//! A host function that must wait awaits a [`PauseFuture`]. Its first poll writes the reason into
//! the cell shared with the slice loop and returns `Pending`; the loop polls again only when the
//! reason is over, so the second poll returns `Ready`. There is no waker and no other thread.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

/// Why a guest waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// The guest gives the rest of its slice away (`sched_yield`).
    Yield,
    /// The guest sleeps until its own monotonic clock shows this many nanoseconds.
    Until {
        /// Deadline on the guest's monotonic clock, ns.
        guest_ns: u64,
    },
}

const NONE: u64 = 0;
const YIELD: u64 = 1;
const UNTIL_MIN: u64 = 2;

/// The slot through which a pausing guest tells the slice loop why it waits.
///
/// It is an atomic only because a `Store` must be `Send`; one thread reads and writes it.
#[derive(Clone, Debug, Default)]
pub struct PauseSlot(Arc<AtomicU64>);

impl PauseSlot {
    /// Takes the reason out: `None` means that the guest ran out of its quantum.
    #[must_use]
    pub fn take(&self) -> Option<Pause> {
        match self.0.swap(NONE, Ordering::Relaxed) {
            NONE => None,
            YIELD => Some(Pause::Yield),
            ns => Some(Pause::Until { guest_ns: ns }),
        }
    }

    /// A future that waits for `pause` when it is first polled.
    #[must_use]
    pub fn pause(&self, pause: Pause) -> PauseFuture {
        PauseFuture { slot: self.clone(), pause: Some(pause) }
    }
}

/// Waits until the slice loop polls again. See [`PauseSlot::pause`].
#[derive(Debug)]
pub struct PauseFuture {
    slot: PauseSlot,
    pause: Option<Pause>,
}

impl Future for PauseFuture {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        let Some(pause) = self.pause.take() else { return Poll::Ready(()) };
        let word = match pause {
            Pause::Yield => YIELD,
            Pause::Until { guest_ns } => guest_ns.max(UNTIL_MIN),
        };
        self.slot.0.store(word, Ordering::Relaxed);
        Poll::Pending
    }
}
