//! Maxwell's kernel: metered sandboxes on wasmtime, slices bought at auction, purses, rent, death.
//!
//! One [cell] is one operating-system process that runs guests on one core. Everything a cell
//! decides comes from its inputs (control messages, its clock, its seed), so that in deterministic
//! mode the same inputs give the same winners, bills and guest output.

#![deny(unsafe_code)]

pub mod accounts;
pub mod admission;
mod artifact;
pub mod cell;
pub mod clock;
pub mod control;
mod discard;
pub mod energy;
pub mod engine;
pub mod erasure;
pub mod error;
pub mod guest;
pub mod imports;
pub mod inference;
pub mod pages;
pub mod pause;
pub mod pipe;
pub mod prices;
pub mod process;
pub mod purse;
pub mod questions;
pub mod rent;
pub mod requests;
pub mod shared;
pub mod slots;
pub mod solo;
pub mod tax;
pub mod timer;
pub mod wasi;

pub use error::{KernelError, Result};
