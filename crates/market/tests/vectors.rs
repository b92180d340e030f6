//! The checked-in vectors are what the example prints: decisions do not change unnoticed.
#![allow(
    clippy::cast_possible_truncation,
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "tests"
)]

#[path = "../examples/trace/script.rs"]
mod script;

#[test]
fn vectors_are_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/auction.json");
    let stored = std::fs::read_to_string(path).unwrap();
    assert!(
        stored == script::vectors(),
        "vectors/auction.json differs; if decisions were meant to change, write it again: \
         cargo run -p maxwell-market --example trace > vectors/auction.json"
    );
}
