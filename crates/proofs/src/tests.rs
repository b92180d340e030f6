//! End-to-end tests: honest proofs are accepted, everything else is rejected.

mod cheats;
mod honest;
pub(crate) mod models;
mod statements;
