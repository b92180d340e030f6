//! The calls of preview 1 that this shim does not serve, and the record of who asked for them.

use super::context::WasiContext;
use super::errno::Errno;

/// Calls that are refused whatever their arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unsupported {
    FdFdstatSetRights,
    ProcRaise,
    SockAccept,
    SockRecv,
    SockSend,
    SockShutdown,
}

impl Unsupported {
    pub(super) const ALL: [Self; 6] = [
        Self::FdFdstatSetRights,
        Self::ProcRaise,
        Self::SockAccept,
        Self::SockRecv,
        Self::SockSend,
        Self::SockShutdown,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::FdFdstatSetRights => "fd_fdstat_set_rights",
            Self::ProcRaise => "proc_raise",
            Self::SockAccept => "sock_accept",
            Self::SockRecv => "sock_recv",
            Self::SockSend => "sock_send",
            Self::SockShutdown => "sock_shutdown",
        }
    }
}

pub(super) fn proc_raise(context: &mut WasiContext) -> Result<(), Errno> {
    context.note_unsupported(Unsupported::ProcRaise);
    Err(Errno::Nosys)
}

/// Rights are not kept, so they cannot be given away.
pub(super) fn fd_fdstat_set_rights(context: &mut WasiContext, fd: u32) -> Result<(), Errno> {
    context.descriptors.get(fd)?;
    context.note_unsupported(Unsupported::FdFdstatSetRights);
    Err(Errno::Notsup)
}

/// No descriptor is a socket.
pub(super) fn socket(context: &mut WasiContext, call: Unsupported, fd: u32) -> Result<(), Errno> {
    context.note_unsupported(call);
    context.descriptors.get(fd)?;
    Err(Errno::Notsock)
}
