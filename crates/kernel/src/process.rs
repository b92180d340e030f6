//! One process as its cell keeps it: life, meters and what it waits for.

use std::sync::Arc;

use crate::control::Spawn;
use crate::energy::Carry;
use crate::guest::{GuestFuture, GuestState};
use crate::pause::PauseSlot;
use crate::shared::GuestShared;
use crate::slots::{Record, state};

/// Time of a slice before any has been seen, ns (contracts 2).
const FIRST_SLICE_NS: u64 = 200_000;

/// Where a process is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// Placed, has not run.
    Born,
    /// Waits for a slice.
    Ready,
    /// Sleeps until a time on the cell's clock.
    Blocked {
        /// ns.
        until_ns: u64,
    },
    /// Cannot afford a slice.
    Broke,
    /// Ended.
    Dead,
}

/// Counters of a process; all only grow.
#[derive(Clone, Copy, Debug, Default)]
pub struct Meters {
    /// Metered energy, µJ.
    pub energy_uj: u64,
    /// Of it, what nobody could pay, µJ.
    pub uncollected_uj: u64,
    /// Time in slices, ns.
    pub cpu_ns: u64,
    /// Slices.
    pub slices: u64,
    /// Fuel already billed.
    pub fuel: u64,
    /// Host calls already billed.
    pub calls: u64,
    /// Host bytes already billed.
    pub bytes: u64,
    /// Wall time inside WASI calls already billed, ns.
    pub host_ns: u64,
    /// Bits erased at its end.
    pub erased_bits: u64,
    /// Result lines sent.
    pub reports: u64,
    /// Output bytes sent.
    pub output_bytes: u64,
    /// Output bytes lost.
    pub lost_bytes: u64,
}

/// A module ready to be instantiated on this cell.
pub type Prepared = wasmtime::InstancePre<GuestState>;

/// A process.
pub struct Process {
    /// Its number in the run.
    pub pid: u32,
    /// Its slot in the meters.
    pub slot: usize,
    /// Index of its account on this cell.
    pub account: usize,
    /// What it shares with its guest.
    pub shared: Arc<GuestShared>,
    /// How its guest says why it waits.
    pub pause: PauseSlot,
    /// What it takes to start it, until it starts.
    pub birth: Option<Box<(Box<Spawn>, Prepared, GuestState)>>,
    /// The guest, once it runs.
    pub guest: Option<GuestFuture>,
    /// Its life.
    pub life: Life,
    /// Its meters.
    pub meters: Meters,
    /// Energy not yet a whole µJ.
    pub carry: Carry,
    /// Moving mean of the time of a slice, ns.
    pub slice_ns: u64,
    /// Whether it made host calls since it was last asked what it said.
    pub has_called: bool,
    /// Fuel charged ahead by a bulk operator that has not run yet.
    pub pending_fuel: u64,
    /// Horizon of its proxy, µJ.
    pub horizon_uj: u64,
    /// Last bid entered, ppm.
    pub bid_ppm: u64,
    /// Last price paid, ppm.
    pub price_ppm: u64,
    /// Birth, ns.
    pub born_ns: u64,
    /// Death, ns.
    pub died_ns: u64,
    /// Armed expiry of its rent, ns.
    pub rent_timer_ns: u64,
    /// When it must end, ns.
    pub deadline_ns: Option<u64>,
    /// Spendable credits counted in its account's sum.
    pub counted: u64,
}

impl Process {
    /// A process that has not run.
    #[must_use]
    pub fn new(
        birth: (Box<Spawn>, Prepared, GuestState),
        account: usize,
        pause: PauseSlot,
        now_ns: u64,
    ) -> Self {
        let spawn = &birth.0;
        Self {
            pid: spawn.pid,
            slot: spawn.slot,
            account,
            shared: Arc::clone(&birth.2.shared),
            pause,
            horizon_uj: spawn.horizon_uj.max(1),
            deadline_ns: spawn.deadline_ns,
            birth: Some(Box::new(birth)),
            guest: None,
            life: Life::Born,
            meters: Meters::default(),
            carry: Carry::default(),
            slice_ns: FIRST_SLICE_NS,
            has_called: false,
            pending_fuel: 0,
            bid_ppm: 0,
            price_ppm: 0,
            born_ns: now_ns,
            died_ns: 0,
            rent_timer_ns: u64::MAX,
            counted: 0,
        }
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.life == Life::Dead
    }

    /// What its slot says.
    #[must_use]
    pub fn record(&self) -> Record {
        let books = self.shared.books();
        let byte_ns = books.rent.byte_ns();
        let meters = &self.meters;
        Record {
            purse: books.purse,
            pid: u64::from(self.pid),
            state: match self.life {
                Life::Born => state::BORN,
                Life::Ready => state::READY,
                Life::Blocked { .. } => state::BLOCKED,
                Life::Broke => state::BROKE,
                Life::Dead => state::DEAD,
            },
            energy_uj: meters.energy_uj,
            uncollected_uj: meters.uncollected_uj,
            rent_unpaid: books.rent_unpaid,
            fuel: meters.fuel,
            cpu_ns: meters.cpu_ns,
            bytes: meters.bytes,
            calls: meters.calls,
            slices: meters.slices,
            wins: meters.slices,
            memory_bytes: books.rent.resident_bytes(),
            memory_bytes_max: books.rent.resident_bytes_max(),
            memory_byte_ns_low: low(byte_ns),
            memory_byte_ns_high: low(byte_ns >> 64),
            erased_bits: meters.erased_bits,
            freed_bytes: books.tax.freed_bytes(),
            discarded_bytes: books.tax.discarded_bytes(),
            tax_unpaid: books.tax_unpaid,
            bid_ppm: self.bid_ppm,
            price_ppm: self.price_ppm,
            born_ns: self.born_ns,
            died_ns: self.died_ns,
            stdout_bytes: meters.output_bytes,
            lost_bytes: meters.lost_bytes,
            reports: meters.reports,
            bankrupt_ns: if self.rent_timer_ns == u64::MAX { 0 } else { self.rent_timer_ns },
        }
    }
}

#[allow(clippy::cast_possible_truncation)]
fn low(wide: u128) -> u64 {
    wide as u64
}
