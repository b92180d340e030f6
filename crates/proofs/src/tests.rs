//! End-to-end tests: honest proofs are accepted, everything else is rejected.

#![allow(clippy::cast_sign_loss, reason = "small known numbers")]

use crate::extension::Extension;
use crate::params::Security;

/// Tests over both extensions: the functions, generic over it, of a module.
macro_rules! over_both {
    ($($(#[$attribute:meta])? $name:ident),* $(,)?) => {
        mod quadratic {
            $(#[test] $(#[$attribute])? fn $name() { super::$name::<crate::extension::Quadratic>(); })*
        }
        mod cubic {
            $(#[test] $(#[$attribute])? fn $name() { super::$name::<crate::extension::Cubic>(); })*
        }
    };
}

/// One in how many of a long list is tried: all of them in the quadratic extension. The code is the same in the
/// cubic one.
pub(crate) fn one_in<E: Extension>(many: usize) -> usize {
    if E::DEGREE == 2 { 1 } else { many }
}

/// The security whose challenges are in E.
pub(crate) fn security<E: Extension>() -> Security {
    Security::ALL.into_iter().find(|security| security.degree() == E::DEGREE).unwrap()
}

mod cheats;
mod damage;
mod hiding;
mod honest;
pub(crate) mod models;
mod profiles;
mod registrars;
mod simulator;
mod statements;
mod vectors;
