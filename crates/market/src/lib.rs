//! The exponential-race Vickrey auction of energy slices.
//!
//! Integer arithmetic only, no clock, no global randomness, no allocation on the slice path: the
//! same configuration and calls give the same winners and prices on every machine. The
//! mechanism is explained by `python/maxwell/reference.py`; the arithmetic and its error bounds
//! by `docs/decisions/0010-auction-arithmetic.md`.
//!
//! Back of the envelope, per decision: 6 SipHash rounds, one logarithm and one root of about 5
//! multiplications each, one division, and log4(n) cache lines of heap: about 600 instructions,
//! 40 to 70 ns below 10^4 bidders, under one per cent of a 10 µs slice. Memory: 108 bytes a bidder.
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::float_arithmetic))]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod auction;
mod bidder;
mod census;
mod clock;
mod decision;
mod error;
mod far;
mod fixed;
mod grid;
mod heap;
mod price;
mod scale;
mod statistics;

pub use auction::{
    Auction, AuctionConfig, BIDDERS_MAX, QUALITY_PPM_MAX, QUALITY_PPM_MIN, RESERVE_PPM_MAX,
    TEMPERATURE_LOG2_MAX,
};
pub use bidder::BidderId;
pub use clock::{RESIDUAL_MAX, Residual};
pub use decision::Decision;
pub use error::AuctionError;
pub use statistics::Statistics;
