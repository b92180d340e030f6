//! WASI preview 1 as a guest meets it.
//!
//! Method: one generated module re-exports every imported function, so that a test lays out the
//! guest's memory, makes one call and looks at the memory, the charges and the host's files. An
//! executor of ten lines polls the calls that wait and moves a fake clock.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::print_stdout,
    reason = "the helpers of tests are tests too"
)]

#[path = "wasi_shim/clocks.rs"]
mod clocks;
#[path = "wasi_shim/descriptors.rs"]
mod descriptors;
#[path = "wasi_shim/determinism.rs"]
mod determinism;
#[path = "wasi_shim/directories.rs"]
mod directories;
#[path = "wasi_shim/files.rs"]
mod files;
#[path = "wasi_shim/harness.rs"]
mod harness;
#[path = "wasi_shim/paths.rs"]
mod paths;
#[path = "wasi_shim/pointers.rs"]
mod pointers;
#[path = "wasi_shim/process.rs"]
mod process;
#[path = "wasi_shim/random_calls.rs"]
mod random_calls;
#[path = "wasi_shim/speed.rs"]
mod speed;
#[path = "wasi_shim/streams.rs"]
mod streams;
