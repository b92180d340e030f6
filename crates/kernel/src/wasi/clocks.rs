//! `clock_time_get` and `clock_res_get` on the two clocks that a process has.

use super::WasiView;
use super::errno::Errno;
use super::memory::GuestMemory;

/// Both clocks count single nanoseconds.
const RESOLUTION_NS: u64 = 1;

/// One of the clocks that a guest may read and wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clock {
    Realtime,
    Monotonic,
}

impl Clock {
    /// The clocks of CPU time (2, 3) are not kept, as on other hosts of preview 1.
    pub(super) fn new(id: u32) -> Result<Self, Errno> {
        match id {
            0 => Ok(Self::Realtime),
            1 => Ok(Self::Monotonic),
            _ => Err(Errno::Inval),
        }
    }

    pub(super) fn now_ns<T: WasiView>(self, view: &mut T) -> u64 {
        match self {
            Self::Realtime => view.realtime_ns(),
            Self::Monotonic => view.monotonic_ns(),
        }
    }
}

pub(super) fn clock_res_get(
    memory: &mut GuestMemory<'_>,
    id: u32,
    result: u32,
) -> Result<(), Errno> {
    Clock::new(id)?;
    memory.write_u64(result, RESOLUTION_NS)
}

pub(super) fn clock_time_get<T: WasiView>(
    view: &mut T,
    memory: &mut GuestMemory<'_>,
    id: u32,
    result: u32,
) -> Result<(), Errno> {
    let now_ns = Clock::new(id)?.now_ns(view);
    memory.write_u64(result, now_ns)
}
