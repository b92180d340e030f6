//! Fuzzing of the verifier on a stable tool chain: proofs, statements and headers are mutated with knowledge of their
//! structure (elements, hashes, parts of other proofs). Goal: no panic, no acceptance, and never more memory than
//! an honest proof needs, which is at most `MEMORY_PER_BYTE` times its length. A failure prints its seed and round.
//!
//! `cargo test -p maxwell-proofs --release --test hostile -- --ignored` runs 10^6 inputs;
//! `crates/proofs/fuzz` has the same harness for libFuzzer.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "a test")]

#[path = "../fuzz/harness.rs"]
mod harness;

use harness::{Case, Rng, cases, mutate, verdict};
use memory::peak_bytes;

/// Most bytes that verifying may hold per byte of an honest proof.
const MEMORY_PER_BYTE: usize = 8;

#[allow(unsafe_code, reason = "a global allocator is an unsafe trait; this one only counts")]
mod memory {
    use std::alloc::{GlobalAlloc, Layout, System};
    use std::cell::Cell;

    thread_local! {
        static HELD: Cell<usize> = const { Cell::new(0) };
        static PEAK: Cell<usize> = const { Cell::new(0) };
    }

    struct Counting;

    // SAFETY: every call goes to the system's allocator unchanged; counting touches no allocated memory and
    // does not allocate, since the cells are initialised by constants and have no destructor.
    unsafe impl GlobalAlloc for Counting {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            HELD.set(HELD.get().wrapping_add(layout.size()));
            PEAK.set(PEAK.get().max(HELD.get()));
            // SAFETY: the caller keeps the contract of `alloc`.
            unsafe { System.alloc(layout) }
        }

        unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
            HELD.set(HELD.get().saturating_sub(layout.size()));
            // SAFETY: the caller keeps the contract of `dealloc`.
            unsafe { System.dealloc(pointer, layout) }
        }
    }

    #[global_allocator]
    static COUNTING: Counting = Counting;

    /// The most that this thread holds during `work`, beyond what it held before.
    pub(crate) fn peak_bytes<T>(work: impl FnOnce() -> T) -> (usize, T) {
        let before = HELD.get();
        PEAK.set(before);
        let result = work();
        (PEAK.get() - before, result)
    }
}

fn fuzz(rounds: usize, seed: u64) {
    let cases = cases();
    // Twiddle factors of the code are kept after their first use: not part of a verification.
    let honest: Vec<usize> = cases
        .iter()
        .map(|case| {
            let input = case.input();
            verdict(&input).unwrap();
            let (peak, found) = peak_bytes(|| verdict(&input));
            found.unwrap();
            assert!(peak <= MEMORY_PER_BYTE * case.proof.len(), "{peak} for {}", case.proof.len());
            peak
        })
        .collect();
    let mut rng = Rng(seed);
    for round in 0..rounds {
        let chosen = rng.below(cases.len());
        let case: &Case = &cases[chosen];
        let input = mutate(case, &cases[rng.below(cases.len())], &mut rng);
        let (peak, found) = peak_bytes(|| verdict(&input));
        assert!(found.is_err() || input == case.input(), "accepted: round {round} of seed {seed}");
        // Errors carry a short text.
        let most = honest[chosen] + 4096;
        assert!(peak <= most, "{peak} bytes beside {most}: round {round} of seed {seed}");
    }
}

/// 4,000 inputs over four models.
#[test]
fn hostile_inputs_are_rejected_within_memory() {
    fuzz(4_000, 1);
}

#[test]
#[ignore = "slow: a million inputs"]
fn a_million_hostile_inputs() {
    fuzz(1_000_000, 2);
}
