//! The verifier under libFuzzer: no panic, no acceptance of anything but the honest input.
//!
//! `cargo install cargo-fuzz`, then in `crates/proofs`: `cargo fuzz run --sanitizer none verify`.
#![no_main]

#[path = "../harness.rs"]
mod harness;

use std::sync::LazyLock;

use harness::{Case, Rng, cases, mutate, verdict};
use libfuzzer_sys::fuzz_target;

static CASES: LazyLock<Vec<Case>> = LazyLock::new(cases);

// The first 9 bytes choose a case and known mutations of it; the rest is added over the proof, word by word.
fuzz_target!(|data: &[u8]| {
    let Some((head, tail)) = data.split_first_chunk::<9>() else { return };
    let case = &CASES[usize::from(head[0] >> 1) % CASES.len()];
    let seed = u64::from_le_bytes(head[1..].try_into().unwrap());
    let mut input = if head[0] & 1 == 0 {
        case.input()
    } else {
        mutate(case, &CASES[seed as usize % CASES.len()], &mut Rng(seed))
    };
    for (place, byte) in tail.iter().enumerate() {
        match input.proof.get_mut(place) {
            Some(old) => *old ^= byte,
            None => input.proof.push(*byte),
        }
    }
    assert!(verdict(&input).is_err() || input == case.input(), "a false proof was accepted");
});
