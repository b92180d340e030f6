//! End-to-end tests: honest proofs are accepted, everything else is rejected.

#![allow(clippy::cast_sign_loss, reason = "small known numbers")]

mod cheats;
mod hiding;
mod honest;
pub(crate) mod models;
mod registrars;
mod simulator;
mod statements;
mod vectors;
