//! Prints scripted auctions with all draws, winners and prices as JSON: `vectors/auction.json`.
//!
//! `cargo run -p maxwell-market --example trace > vectors/auction.json`. The tests of this crate
//! check that the file is what this prints; the tests of `maxwell.reference` that the pure Python
//! explanation of the mechanism, given the same draws, agrees on every winner and price.
#![allow(
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "an example"
)]

mod script;

fn main() {
    print!("{}", script::vectors());
}
