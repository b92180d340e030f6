//! A cell's clock: the machine's monotonic time, or in deterministic mode a count of paid work.

use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};

/// Time of a cell, ns since the cell began.
#[derive(Debug)]
pub enum Clock {
    /// Monotonic time of the machine.
    Wall {
        /// When the cell began.
        start: Instant,
        /// What the clock showed then, ns.
        start_ns: u64,
    },
    /// Time that passes only when the cell says so.
    Virtual {
        /// Now, ns.
        now_ns: u64,
    },
}

impl Clock {
    /// A clock that shows `start_ns` now.
    #[must_use]
    pub fn new(deterministic: bool, start_ns: u64) -> Self {
        if deterministic {
            Self::Virtual { now_ns: start_ns }
        } else {
            Self::Wall { start: Instant::now(), start_ns }
        }
    }

    /// Now, ns.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        match self {
            Self::Wall { start, start_ns } => {
                let passed_ns = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
                start_ns.saturating_add(passed_ns)
            }
            Self::Virtual { now_ns } => *now_ns,
        }
    }

    /// Lets virtual time pass; wall time passes by itself.
    pub fn advance(&mut self, ns: u64) {
        if let Self::Virtual { now_ns } = self {
            *now_ns = now_ns.saturating_add(ns);
        }
    }

    /// Whether time is virtual.
    #[must_use]
    pub fn is_virtual(&self) -> bool {
        matches!(self, Self::Virtual { .. })
    }
}

/// The machine's monotonic clock, ns; the same for every process.
#[must_use]
pub fn monotonic_ns() -> u64 {
    timespec_ns(clock_gettime(ClockId::Monotonic))
}

/// CPU time of the calling thread, ns.
#[must_use]
pub fn thread_cpu_ns() -> u64 {
    timespec_ns(clock_gettime(ClockId::ThreadCPUTime))
}

/// Wall-clock time, ns since 1970-01-01.
#[must_use]
pub fn realtime_ns() -> u64 {
    timespec_ns(clock_gettime(ClockId::Realtime))
}

fn timespec_ns(time: rustix::time::Timespec) -> u64 {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}
