//! A cell: the loop that sells slices of one core to the highest bidders and settles each.
//!
//! Order of one turn: timers that are due, control messages, the end of an epoch, a decision, a
//! slice, its settlement. Nothing here reads a clock but `Clock`, and in deterministic mode the
//! parent's messages arrive only at barriers, so that equal inputs give equal runs.
//!
//! Back of the envelope, a turn besides the guest: two clock reads 50 ns, one decision 30–60 ns,
//! ten polls 1 µs, settlement and bid 100 ns, publication 40 ns: 1.3 µs in 100 µs.

mod epoch;
mod lifecycle;
mod slice;

use std::collections::HashMap;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;

use maxwell_market::{Auction, AuctionConfig};
use wasmtime::{Engine, Linker};

use crate::accounts::{Account, BidTerms, bid_ppm};
use crate::clock::{Clock, monotonic_ns, thread_cpu_ns};
use crate::control::{CellConfig, CellEvent, EpochReport, ToCell, parse};
use crate::engine::{EngineOptions, Metering, engine};
use crate::error::{KernelError, Result};
use crate::guest::GuestState;
use crate::imports;
use crate::pipe::Pipe;
use crate::process::{Life, Prepared, Process};
use crate::questions::text::Text;
use crate::shared::CellShared;
use crate::slots::Slots;
use crate::timer::{Timer, TimerWheel};

/// How often a busy cell looks at its control pipe, ns.
const CONTROL_NS: u64 = 1_000_000;

/// What a timer is for.
mod timer_kind {
    pub(super) const WAKE: u8 = 0;
    pub(super) const RENT: u8 = 1;
    pub(super) const DEADLINE: u8 = 2;
}

/// One cell.
pub struct Cell {
    config: CellConfig,
    clock: Clock,
    shared: Arc<CellShared>,
    engine: Engine,
    linker: Linker<GuestState>,
    modules: HashMap<PathBuf, Prepared>,
    /// Streams by path and alphabet; processes share them.
    texts: HashMap<(PathBuf, Vec<u8>), Arc<Text>>,
    auction: Auction,
    accounts: Vec<Account>,
    account_index: HashMap<u64, usize>,
    /// Account of each bidder, by the bidder's index.
    bidder_account: Vec<usize>,
    processes: Vec<Process>,
    by_pid: HashMap<u32, usize>,
    alive: Vec<usize>,
    /// Processes that made host calls since the last epoch and may have said something.
    callers: Vec<usize>,
    wheel: TimerWheel,
    slots: Slots,
    pipe: Pipe,
    events: Vec<CellEvent>,
    totals: Totals,
    epoch_price: PriceMean,
    epoch: u64,
    next_epoch_ns: u64,
    next_control_ns: u64,
    /// End of the last slice or wait; what passes until the next one is overhead.
    boundary_ns: u64,
    stopping: Option<(String, String)>,
    expired: Vec<Timer>,
}

/// Sums over the life of a cell.
#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    startup_cpu_ns: u64,
    loop_cpu_start_ns: u64,
    slice_ns: u64,
    overhead_ns: u64,
    idle_ns: u64,
    stolen_ns: u64,
    slices: u64,
    digest: u64,
    /// Last reading of thread CPU time and of the clock, to tell stolen time.
    anchor_cpu_ns: u64,
    anchor_ns: u64,
}

impl Totals {
    /// Mixes `word` into the digest of everything this cell decided (a change detector, no
    /// signature).
    fn mix(&mut self, word: u64) {
        self.digest = (self.digest ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }
}

/// Mean price of an epoch, weighted by energy.
#[derive(Clone, Copy, Debug, Default)]
struct PriceMean {
    weighted: u128,
    energy_uj: u128,
}

impl PriceMean {
    fn add(&mut self, price_ppm: u64, uj: u64) {
        self.weighted += u128::from(price_ppm) * u128::from(uj);
        self.energy_uj += u128::from(uj);
    }

    fn take_ppm(&mut self) -> Option<u64> {
        let mean = self.weighted.checked_div(self.energy_uj);
        *self = Self::default();
        mean.and_then(|mean| u64::try_from(mean).ok())
    }
}

/// Runs a cell on the calling thread until the parent stops it or goes away.
///
/// # Errors
/// [`KernelError::Protocol`] for a first frame or message that makes no sense,
/// [`KernelError::Engine`] and [`KernelError::Io`] when the cell cannot be set up, and
/// [`KernelError::Bug`] when an invariant fails.
pub fn run(control: UnixStream) -> Result<()> {
    let mut pipe = Pipe::new(control)?;
    let Some(config) = first_frame(&mut pipe)? else { return Ok(()) };
    let mut cell = Cell::new(config, pipe)?;
    cell.announce();
    cell.turn_until_stopped()
}

fn first_frame(pipe: &mut Pipe) -> Result<Option<CellConfig>> {
    loop {
        // What the parent sent right after it stays in the pipe: a cell that is started again finds
        // the processes that wait for it there.
        if let Some(frame) = pipe.receive_first()? {
            return rmp_serde::from_slice(&frame)
                .map(Some)
                .map_err(|error| KernelError::Protocol(format!("first frame: {error}")));
        }
        if pipe.is_closed() {
            return Ok(None);
        }
        pipe.wait(1_000_000_000);
    }
}

impl Cell {
    fn new(config: CellConfig, pipe: Pipe) -> Result<Self> {
        pin(config.core);
        let guests_max = Some(config.guests_max.max(1));
        let engine = engine(EngineOptions { metering: Metering::Fuel, guests_max, cache: None })?;
        let linker = imports::linker(&engine)?;
        let auction = Auction::new(AuctionConfig {
            temperature_log2: config.temperature_log2,
            reserve_ppm: config.reserve_ppm,
            seed: config.seed,
            cell: config.cell,
            virtual_time_start: 0,
        })
        .map_err(|error| KernelError::Protocol(error.to_string()))?;
        let virtual_rate = config.deterministic.then_some(config.model.femtoseconds_per_fuel);
        let slots = Slots::open(&config.slots_path)?;
        let cpu = thread_cpu_ns();
        let totals = Totals {
            startup_cpu_ns: cpu,
            loop_cpu_start_ns: cpu,
            anchor_cpu_ns: cpu,
            ..Totals::default()
        };
        let passed_ns = config.start_monotonic_ns.map_or(0, |at| monotonic_ns().saturating_sub(at));
        let start_ns = config.start_ns.saturating_add(passed_ns);
        let totals = Totals { anchor_ns: start_ns, ..totals };
        Ok(Self {
            clock: Clock::new(config.deterministic, start_ns),
            shared: Arc::new(CellShared::new(virtual_rate, config.reserve_ppm)),
            engine,
            linker,
            modules: HashMap::new(),
            texts: HashMap::new(),
            auction,
            accounts: Vec::new(),
            account_index: HashMap::new(),
            bidder_account: Vec::new(),
            processes: Vec::new(),
            by_pid: HashMap::new(),
            alive: Vec::new(),
            callers: Vec::new(),
            wheel: TimerWheel::new(start_ns),
            slots,
            pipe,
            events: Vec::new(),
            totals,
            epoch_price: PriceMean::default(),
            epoch: 0,
            next_epoch_ns: start_ns.saturating_add(config.epoch_ns),
            next_control_ns: 0,
            boundary_ns: start_ns,
            stopping: None,
            expired: Vec::new(),
            config,
        })
    }

    /// Tells the parent that this cell is ready; in deterministic mode the first barrier follows.
    fn announce(&mut self) {
        self.send_report(false);
    }

    fn turn_until_stopped(&mut self) -> Result<()> {
        if self.clock.is_virtual() {
            self.await_barrier()?;
        }
        loop {
            let now = self.clock.now_ns();
            self.expire(now)?;
            if now >= self.next_control_ns && !self.clock.is_virtual() {
                self.next_control_ns = now + CONTROL_NS;
                self.receive()?;
            }
            if let Some((outcome, reason)) = self.stopping.take() {
                return self.stop(&outcome, &reason);
            }
            if self.pipe.is_closed() {
                return Ok(());
            }
            if now >= self.next_epoch_ns {
                self.end_epoch(now)?;
                // What the parent answered comes first: a run that is over sells no slice more.
                continue;
            }
            match self.auction.decide() {
                Some(decision) => self.run_slice(decision)?,
                None => self.rest(),
            }
        }
    }

    /// Nothing is eligible: the core sleeps until a timer, a message or the end of the epoch.
    fn rest(&mut self) {
        let now = self.clock.now_ns();
        let until = self.wheel.next_ns().min(self.next_epoch_ns);
        self.book_overhead(now);
        let wait = until.saturating_sub(now);
        if self.clock.is_virtual() {
            self.clock.advance(wait);
        } else {
            self.pipe.wait(wait.max(1_000));
            self.next_control_ns = 0;
        }
        let after = self.clock.now_ns();
        self.totals.idle_ns += after - now;
        self.boundary_ns = after;
        self.set_anchor(after);
    }

    fn book_overhead(&mut self, now: u64) {
        self.totals.overhead_ns += now.saturating_sub(self.boundary_ns);
        self.boundary_ns = now;
    }

    fn set_anchor(&mut self, now: u64) {
        if !self.clock.is_virtual() {
            self.totals.anchor_cpu_ns = thread_cpu_ns();
            self.totals.anchor_ns = now;
        }
    }

    fn receive(&mut self) -> Result<()> {
        self.pipe.flush();
        for frame in self.pipe.receive()? {
            for message in parse(&frame).map_err(KernelError::Protocol)? {
                self.obey(message)?;
            }
        }
        Ok(())
    }

    fn obey(&mut self, message: ToCell) -> Result<()> {
        match message {
            ToCell::Spawn(spawn) => self.spawn(spawn),
            ToCell::Fund { pid, credits } => self.fund(pid, credits),
            ToCell::Rewards { pid, open } => {
                if let Some(&index) = self.by_pid.get(&pid) {
                    let flag = &self.processes[index].shared.rewards_open;
                    flag.store(open, std::sync::atomic::Ordering::Relaxed);
                }
                Ok(())
            }
            ToCell::Answer { pid, id, errno, data } => self.answer(pid, id, errno, data),
            ToCell::Question { pid, question, open } => {
                if let Some(&index) = self.by_pid.get(&pid) {
                    self.processes[index].shared.books().questions.set_open(question, open);
                }
                Ok(())
            }
            // An account without a process here gets its quality with its first one.
            ToCell::Quality { account, ppm } => match self.account_index.get(&account) {
                Some(&index) => {
                    let bidder = self.accounts[index].bidder;
                    self.auction.set_quality(bidder, ppm).map_err(bug)
                }
                None => Ok(()),
            },
            ToCell::Kill { pid, outcome, reason } => match self.by_pid.get(&pid) {
                Some(&index) => self.end(index, &outcome, reason),
                None => Ok(()),
            },
            ToCell::Revoke { pid } => self.revoke(pid),
            ToCell::Reserve { ppm } => {
                let set = self.auction.set_reserve(ppm);
                set.map_err(|error| KernelError::Protocol(error.to_string()))?;
                self.config.reserve_ppm = ppm;
                self.reconsider()
            }
            ToCell::Barrier => Ok(()),
            ToCell::Stop { outcome, reason } => {
                self.stopping = Some((outcome, reason));
                Ok(())
            }
        }
    }

    /// Deterministic mode: applies the parent's messages up to and with the next barrier.
    fn await_barrier(&mut self) -> Result<()> {
        loop {
            let mut passed = false;
            for frame in self.pipe.receive()? {
                for message in parse(&frame).map_err(KernelError::Protocol)? {
                    passed |= matches!(message, ToCell::Barrier | ToCell::Stop { .. });
                    self.obey(message)?;
                }
            }
            self.pipe.flush();
            if passed || self.pipe.is_closed() {
                return Ok(());
            }
            self.pipe.wait(1_000_000_000);
        }
    }

    fn arm(&mut self, index: usize, kind: u8, at_ns: u64) {
        if at_ns == u64::MAX {
            return;
        }
        let owner = u32::try_from(index).unwrap_or(u32::MAX);
        self.wheel.arm(Timer { at_ns, owner, kind, generation: 0 });
    }

    fn expire(&mut self, now: u64) -> Result<()> {
        if now < self.wheel.next_ns() {
            return Ok(());
        }
        let mut expired = std::mem::take(&mut self.expired);
        self.wheel.expire(now, &mut expired);
        for timer in expired.drain(..) {
            self.on_timer(timer, now)?;
        }
        self.expired = expired;
        Ok(())
    }

    fn on_timer(&mut self, timer: Timer, now: u64) -> Result<()> {
        let index = timer.owner as usize;
        let process = &self.processes[index];
        if process.is_dead() {
            return Ok(());
        }
        match timer.kind {
            timer_kind::WAKE if process.life == (Life::Blocked { until_ns: timer.at_ns }) => {
                self.wake(index)
            }
            timer_kind::RENT if process.rent_timer_ns == timer.at_ns => {
                self.collect_rent(index, now)
            }
            timer_kind::DEADLINE => self.end(index, "deadline", "its deadline passed".to_owned()),
            _ => Ok(()),
        }
    }

    /// Enters an account's present bid, or takes it out of the race when nobody of it waits.
    fn refresh_bid(&mut self, account: usize) -> Result<()> {
        let bidder = self.accounts[account].bidder;
        let Some(head) = self.accounts[account].head() else {
            return self.auction.sleep(bidder).map_err(bug);
        };
        let floor_ppm = self.auction.floor_ppm(bidder).map_err(bug)?;
        let quantum_uj = self.quantum_uj(head);
        let process = &self.processes[head];
        let books = process.shared.books();
        let terms = BidTerms {
            explicit_ppm: books.bid_ppm,
            urgency_millis: books.urgency_millis,
            account_credits: self.accounts[account].spendable(),
            head_credits: process.counted,
            horizon_uj: process.horizon_uj,
            quantum_uj,
            floor_ppm,
        };
        drop(books);
        let entered = self.auction.bid(bidder, bid_ppm(terms)).map_err(bug)?;
        self.processes[head].bid_ppm = entered;
        self.auction.wake(bidder).map_err(bug)
    }

    /// Estimated energy of a process's next quantum, µJ.
    fn quantum_uj(&self, index: usize) -> u64 {
        let process = &self.processes[index];
        let quanta = u64::from(self.config.slice_quanta.max(1));
        let pending_ns = self.config.model.fuel_ns(process.pending_fuel);
        let fuel = self.config.quantum_fuel.saturating_add(process.pending_fuel);
        let ns = (process.slice_ns / quanta).saturating_add(pending_ns);
        self.config.model.estimate_uj(fuel, ns)
    }

    fn publish(&self, index: usize) {
        let process = &self.processes[index];
        self.slots.publish(process.slot, &process.record());
    }

    fn cpu_ns(&self) -> u64 {
        thread_cpu_ns().saturating_sub(self.totals.loop_cpu_start_ns)
    }

    fn report(&mut self, last: bool) -> EpochReport {
        let totals = self.totals;
        EpochReport {
            cell: self.config.cell,
            epoch: self.epoch,
            now_ns: self.clock.now_ns(),
            cpu_ns: if self.clock.is_virtual() { totals.slice_ns } else { self.cpu_ns() },
            startup_cpu_ns: if self.clock.is_virtual() { 0 } else { totals.startup_cpu_ns },
            slice_ns: totals.slice_ns,
            overhead_ns: totals.overhead_ns,
            idle_ns: totals.idle_ns,
            stolen_ns: totals.stolen_ns,
            slices: totals.slices,
            price_mean_ppm: self.epoch_price.take_ppm().unwrap_or(0),
            rate_sum: u64::try_from(self.auction.rate_sum() >> 24).unwrap_or(u64::MAX),
            runnable: self.accounts.iter().map(|account| account.len() as u64).sum(),
            alive: self.alive.len() as u64,
            digest: totals.digest,
            last,
            more: false,
            events: std::mem::take(&mut self.events),
        }
    }
}

/// An auction refuses only what this cell must never ask.
#[allow(clippy::needless_pass_by_value)]
fn bug(error: maxwell_market::AuctionError) -> KernelError {
    KernelError::Bug(format!("the auction refused: {error}"))
}

/// Pins the calling thread; a host that refuses (a container's mask) runs it unpinned.
fn pin(core: Option<usize>) {
    if let Some(core) = core.filter(|&core| core < rustix::thread::CpuSet::MAX_CPU) {
        let mut set = rustix::thread::CpuSet::new();
        set.set(core);
        let _ = rustix::thread::sched_setaffinity(None, &set);
    }
}
