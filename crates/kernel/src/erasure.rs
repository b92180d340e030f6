//! Erasure, tier T1: at admission a module's allocator learns to count the bytes it frees.
//!
//! [`rewrite`] finds `free`, `realloc` and their kin by export or by name section and makes each of
//! them add what it frees to a mutable global that the module did not have before: no host call, no
//! new function, no index changed. Everything else of the module is copied byte for byte.
//!
//! Rules:
//! - Where the size is an argument (Rust, canonical ABI) it is taken; else it is read from the
//!   chunk's header if the allocator's layout is recognised; else `malloc_usable_size` is asked, if
//!   the module has it. A module with none of these is left as it is.
//! - A function that calls another one of its own kind is left alone: the innermost counts.
//! - `realloc` counts what shrinks or moves, and not again what was counted inside it.
//! - Nothing is read outside linear memory, no size above its length is believed, and a null pointer
//!   frees nothing: the guest behaves as before, whatever it passes.
//!
//! The counter is exported under a reserved name, because only exports can be read from outside. A
//! guest has no way to import it, and a module that uses the prefix itself is refused.
//!
//! Positions in custom sections that point into the code (DWARF, branch hints) are not adjusted;
//! branch hints are dropped, and backtraces are off (`engine.rs`).

mod body;
mod find;
mod sections;
mod size;

#[cfg(test)]
mod tests;

use crate::error::Result;

/// Version of the rewriting. The rewritten bytes are what is compiled, so that they are part of the
/// key of the cache of compiled code; this number is for receipts and reports.
pub const REWRITING_VERSION: u32 = 1;
/// What exports of the hypervisor begin with.
pub const RESERVED_PREFIX: &str = "maxwell:";
/// Export of the counter of freed bytes, a mutable i64 that only grows.
pub const FREED_EXPORT: &str = "maxwell:freed-bytes";
/// Export of the first byte behind all data that a memory begins with, an immutable i64.
pub const IMAGE_END_EXPORT: &str = "maxwell:image-end";

/// A module with its allocator counted.
#[derive(Clone, Debug)]
pub struct Rewritten {
    /// The new module.
    pub wasm: Vec<u8>,
    /// Functions that count now, in the order of their indices.
    pub counted: Vec<String>,
}

/// Rewrites `wasm`, a valid module; `None` when there is nothing to count and nothing to discard.
///
/// # Errors
/// [`crate::KernelError::InvalidModule`] for bytes that are no valid module.
pub fn rewrite(wasm: &[u8]) -> Result<Option<Rewritten>> {
    let found = find::find(wasm).map_err(crate::admission::invalid)?;
    let Some(plan) = found.plan() else { return Ok(None) };
    sections::assemble(wasm, &found, &plan).map_err(crate::admission::invalid).map(Some)
}
