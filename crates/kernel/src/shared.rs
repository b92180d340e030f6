//! What a running guest and the slice loop share about one process, and about the cell.
//!
//! Both run on the same thread; the atomics and the lock (never contended) exist because an
//! engine's store must be able to move between threads.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::Clock;
use crate::purse::{Purse, bond_credits};
use crate::questions::Questions;
use crate::rent::RentMeter;
use crate::requests::Request;
use crate::tax::TaxMeter;

/// Bytes of each output stream that a process may have between two epochs; the rest is lost.
pub const OUTPUT_BYTES_MAX: usize = 256 << 10;
/// Result lines a process may have between two epochs.
pub const REPORTS_MAX: usize = 4_096;
/// Bytes of all result lines a process may have between two epochs.
pub const REPORT_BYTES_QUEUED_MAX: usize = 256 << 10;
/// Bytes of a result line.
pub const REPORT_BYTES_MAX: usize = 4_096;
/// Transfers a process may have between two epochs.
pub const TRANSFERS_MAX: usize = 1_024;

/// What all guests of a cell see of it.
#[derive(Debug)]
pub struct CellShared {
    /// The cell's clock at the start of the current slice, ns.
    now_ns: AtomicU64,
    /// Mean price of the last epoch, ppm.
    price_ppm: AtomicU64,
    /// Femtoseconds of virtual time per fuel when time is virtual.
    virtual_fs_per_fuel: Option<u64>,
    wall: Clock,
}

impl CellShared {
    /// A cell whose guests see the machine's time, or virtual time at the given rate.
    #[must_use]
    pub fn new(virtual_fs_per_fuel: Option<u64>, reserve_ppm: u64) -> Self {
        Self {
            now_ns: AtomicU64::new(0),
            price_ppm: AtomicU64::new(reserve_ppm),
            virtual_fs_per_fuel,
            wall: Clock::new(false, 0),
        }
    }

    /// The cell's clock, as the slice loop last set it.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        self.now_ns.load(Ordering::Relaxed)
    }

    /// Sets the cell's clock.
    pub fn set_now_ns(&self, ns: u64) {
        self.now_ns.store(ns, Ordering::Relaxed);
    }

    /// Mean price of the last epoch, ppm.
    #[must_use]
    pub fn price_ppm(&self) -> u64 {
        self.price_ppm.load(Ordering::Relaxed)
    }

    /// Sets the mean price.
    pub fn set_price_ppm(&self, ppm: u64) {
        self.price_ppm.store(ppm, Ordering::Relaxed);
    }

    /// Whether guests see virtual time.
    #[must_use]
    pub fn is_virtual(&self) -> bool {
        self.virtual_fs_per_fuel.is_some()
    }

    /// A guest's monotonic clock: in virtual time its own fuel and sleeps, else the machine's.
    #[must_use]
    pub fn guest_ns(&self, guest: &GuestShared) -> u64 {
        match self.virtual_fs_per_fuel {
            None => self.wall.now_ns(),
            Some(rate) => {
                let fuel = guest.fuel.load(Ordering::Relaxed);
                let worked = u128::from(fuel) * u128::from(rate) / 1_000_000;
                let slept = guest.slept_ns.load(Ordering::Relaxed);
                u64::try_from(worked).unwrap_or(u64::MAX).saturating_add(slept)
            }
        }
    }
}

/// What a running guest and the slice loop share about one process.
#[derive(Debug)]
pub struct GuestShared {
    /// Fuel used so far, host calls included.
    pub fuel: AtomicU64,
    /// Host calls so far.
    pub calls: AtomicU64,
    /// Bytes moved by host calls so far.
    pub bytes: AtomicU64,
    /// Bytes that its allocator freed so far, as last read from its counter.
    pub freed: AtomicU64,
    /// Bytes that it discarded so far and that held something.
    pub discarded: AtomicU64,
    /// Wall time spent inside WASI calls so far, ns.
    pub host_ns: AtomicU64,
    /// Number of the current quantum; the slice loop counts it up before it polls.
    pub generation: AtomicU64,
    /// Set by the slice loop: the guest ends at its next return from the host.
    pub kill: AtomicBool,
    /// Virtual time slept so far, ns.
    pub slept_ns: AtomicU64,
    /// Whether a sponsor listens.
    pub rewards_open: AtomicBool,
    books: Mutex<Books>,
}

/// The money of a process and what it has said since the last epoch.
#[derive(Debug)]
pub struct Books {
    /// The money.
    pub purse: Purse,
    /// The rent.
    pub rent: RentMeter,
    /// Rent that could not be paid so far, credits.
    pub rent_unpaid: u64,
    /// The erasure tax of frees and discards.
    pub tax: TaxMeter,
    /// Tax that could not be paid so far, credits.
    pub tax_unpaid: u64,
    /// Urgency, thousandths.
    pub urgency_millis: u32,
    /// The guest's or the operator's own bid.
    pub bid_ppm: Option<u64>,
    /// Set when a guest changed its bid or urgency.
    pub bid_changed: bool,
    /// Result lines, each with the stake that came with it.
    pub reports: VecDeque<(Vec<u8>, u64)>,
    /// Bytes of them.
    pub report_bytes: usize,
    /// Credits on their way: process and amount.
    pub transfers: VecDeque<(u32, u64)>,
    /// The outbound request that is open, if any.
    pub request: Option<Request>,
    /// Outbound requests so far.
    pub requests: u64,
    /// Output of descriptors 1 and 2.
    pub output: [Output; 2],
    /// What sponsors ask it, and what it has said to that.
    pub questions: Questions,
}

/// Output of a stream since the last epoch.
#[derive(Debug, Default)]
pub struct Output {
    /// What was kept.
    pub kept: Vec<u8>,
    /// Bytes dropped.
    pub lost: u64,
}

impl Output {
    /// Keeps as much of `data` as fits and counts the rest, plus `lost` bytes lost before.
    pub fn push(&mut self, data: &[u8], lost: u64) {
        let room = OUTPUT_BYTES_MAX.saturating_sub(self.kept.len());
        let kept = data.len().min(room);
        self.kept.extend_from_slice(&data[..kept]);
        self.lost += lost + (data.len() - kept) as u64;
    }
}

impl GuestShared {
    /// A process with an opening purse, already in `purse`.
    #[must_use]
    pub fn new(purse: Purse, rent: RentMeter, urgency_millis: u32, bid_ppm: Option<u64>) -> Self {
        Self {
            fuel: AtomicU64::new(0),
            calls: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            freed: AtomicU64::new(0),
            discarded: AtomicU64::new(0),
            host_ns: AtomicU64::new(0),
            generation: AtomicU64::new(0),
            kill: AtomicBool::new(false),
            slept_ns: AtomicU64::new(0),
            rewards_open: AtomicBool::new(false),
            books: Mutex::new(Books {
                purse,
                rent,
                rent_unpaid: 0,
                tax: TaxMeter::default(),
                tax_unpaid: 0,
                urgency_millis,
                bid_ppm,
                bid_changed: false,
                reports: VecDeque::new(),
                report_bytes: 0,
                transfers: VecDeque::new(),
                request: None,
                requests: 0,
                output: [Output::default(), Output::default()],
                questions: Questions::default(),
            }),
        }
    }

    /// Lets the tax of what was freed and discarded fall due and pays it; returns whether all of it
    /// could be paid.
    pub fn pay_tax(&self, books: &mut Books) -> bool {
        let freed = self.freed.load(Ordering::Relaxed);
        let discarded = self.discarded.load(Ordering::Relaxed);
        let due = books.tax.accrue(freed, discarded);
        if due > 0 {
            books.tax_unpaid += books.purse.pay_tax(due);
        }
        books.tax_unpaid == 0
    }

    /// The books; a panic while they were held (a bug) does not hide the money.
    pub fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    /// Lets rent fall due up to `now_ns` and pays it; returns whether all of it could be paid.
    pub fn pay_rent(&mut self, now_ns: u64) -> bool {
        let due = self.rent.accrue(now_ns);
        if due == 0 {
            return self.rent_unpaid == 0;
        }
        self.rent_unpaid += self.purse.pay_rent(due);
        self.rent_unpaid == 0
    }

    /// Pays for memory that grows from the resident size by `bytes`: bond, and room for the runway.
    #[must_use]
    pub fn grow(&mut self, bytes: u64, bonded: bool, now_ns: u64) -> bool {
        self.pay_rent(now_ns);
        let resident = self.rent.resident_bytes().saturating_add(bytes);
        let bond = if bonded { bond_credits(bytes) } else { 0 };
        if !self.purse.lock_bond(bond, self.rent.runway_of(resident)) {
            return false;
        }
        self.rent.set_resident(resident);
        true
    }

    /// Takes back a growth that the machine refused.
    pub fn shrink(&mut self, bytes: u64, bonded: bool) {
        let resident = self.rent.resident_bytes().saturating_sub(bytes);
        self.rent.set_resident(resident);
        if bonded {
            self.purse.unlock_bond(bond_credits(bytes));
        }
    }

    /// Changes what is resident by pages given back or touched again.
    pub fn resize(&mut self, less_bytes: u64, more_bytes: u64, now_ns: u64) {
        self.pay_rent(now_ns);
        let resident = self.rent.resident_bytes().saturating_sub(less_bytes);
        self.rent.set_resident(resident.saturating_add(more_bytes));
    }

    /// What a slice may spend: the purse without the runway.
    #[must_use]
    pub fn spendable(&self) -> u64 {
        self.purse.free.saturating_sub(self.rent.runway())
    }
}
