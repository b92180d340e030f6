//! `proc_exit`, and the error by which it ends a guest.

use thiserror::Error;

/// A guest ended itself by `proc_exit`. Calls into it return this as their error:
/// `error.downcast_ref::<Exit>()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the guest exited with code {0}")]
pub struct Exit(pub u32);
