//! One slice: escrow, quanta, settlement.

use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Waker};

use maxwell_market::{BidderId, Decision};

use super::{Cell, bug};
use crate::clock::thread_cpu_ns;
use crate::control::CellEvent;
use crate::energy::Usage;
use crate::error::{KernelError, Result};
use crate::guest::{self, GuestEnd};
use crate::pause::Pause;
use crate::process::Life;
use crate::purse::charge_credits;
use crate::slots::prefetch;

/// A slice shorter than this was not preempted: schedulers take a core away for longer.
const SUSPICIOUS_NS_MIN: u64 = 300_000;
/// A slice longer than this pays for the look at CPU time (250 ns) whatever was expected of it.
const SUSPICIOUS_NS_MAX: u64 = 1_000_000;

/// Why a slice ended.
enum SliceEnd {
    /// The guest ended.
    Ended(GuestEnd),
    /// The guest waits or gave way.
    Paused(Pause),
    /// Its quanta or its escrow are used up.
    Spent,
}

/// What a slice did.
struct Slice {
    end: SliceEnd,
    start_ns: u64,
    end_ns: u64,
    quanta: u64,
}

impl Cell {
    /// Sells the core to the winner for one slice.
    pub(super) fn run_slice(&mut self, decision: Decision) -> Result<()> {
        let bidder = decision.winner.index() as usize;
        let Some(&account) = self.bidder_account.get(bidder) else {
            return Err(KernelError::Bug("the winner has no account".to_owned()));
        };
        let Some(index) = self.accounts[account].head() else {
            // Nobody of this account waits: its bid should have been taken out.
            return self.auction.sleep(decision.winner).map_err(bug);
        };
        let escrow = self.open_escrow(index, decision.price_ppm);
        let slice = self.run_quanta(index, &decision, escrow);
        self.settle(index, &decision, slice)
    }

    fn open_escrow(&mut self, index: usize, price_ppm: u64) -> u64 {
        let process = &self.processes[index];
        let config = &self.config;
        let slice_fuel = config.quantum_fuel.saturating_mul(u64::from(config.slice_quanta));
        let pending_ns = config.model.fuel_ns(process.pending_fuel);
        let fuel = slice_fuel.saturating_add(process.pending_fuel);
        let ns = process.slice_ns.saturating_mul(2).saturating_add(pending_ns);
        let estimate = charge_credits(config.model.estimate_uj(fuel, ns), price_ppm);
        let mut books = process.shared.books();
        let amount = estimate.min(books.spendable());
        books.purse.open_escrow(amount)
    }

    /// Polls the guest quantum by quantum while its escrow pays for the next one.
    fn run_quanta(&mut self, index: usize, decision: &Decision, escrow: u64) -> Slice {
        let started = self.processes[index].guest.is_some();
        let start_ns = self.clock.now_ns();
        self.book_overhead(start_ns);
        self.shared.set_now_ns(start_ns);
        if !started {
            self.be_born(index, start_ns);
        }
        let virtual_time = self.clock.is_virtual();
        let (quantum_fuel, quanta_max) =
            (self.config.quantum_fuel, u64::from(self.config.slice_quanta.max(1)));
        let (clock, model) = (&self.clock, self.config.model);
        let process = &mut self.processes[index];
        let billed = process.meters.fuel;
        let quantum_ns = process.slice_ns / quanta_max;
        let mut context = Context::from_waker(Waker::noop());
        let mut quanta = 0;
        let mut fuel_before = process.shared.fuel.load(Relaxed);
        process.pending_fuel = 0;
        loop {
            let process = &mut self.processes[index];
            process.shared.generation.fetch_add(1, Relaxed);
            let polled = match process.guest.as_mut() {
                Some(guest) => guest.as_mut().poll(&mut context),
                None => Poll::Pending,
            };
            let fuel = process.shared.fuel.load(Relaxed);
            quanta += 1;
            let now = if virtual_time { start_ns } else { clock.now_ns() };
            let end = match polled {
                Poll::Ready(end) => Some(SliceEnd::Ended(end)),
                Poll::Pending => process.pause.take().map(SliceEnd::Paused),
            };
            if let Some(end) = end {
                return Slice { end, start_ns, end_ns: now, quanta };
            }
            // Fuel beyond the quantum was charged ahead by a bulk operator that has not run.
            let ahead = (fuel - fuel_before).saturating_sub(2 * quantum_fuel);
            fuel_before = fuel;
            let ns = if virtual_time { 0 } else { now - start_ns };
            let next_ns = quantum_ns.saturating_add(model.fuel_ns(ahead));
            let next = model.estimate_uj(fuel - billed + quantum_fuel, ns.saturating_add(next_ns));
            if quanta >= quanta_max || charge_credits(next, decision.price_ppm) > escrow {
                process.pending_fuel = ahead;
                return Slice { end: SliceEnd::Spent, start_ns, end_ns: now, quanta };
            }
            self.fetch_ahead(decision.runner_up, quanta);
        }
    }

    /// While a guest runs, brings in what the next decision will need, which is most often for the
    /// bidder that just lost: with a thousand processes it has left the core's caches since its
    /// last slice, and fetching it then, piece after piece, would take longer than to decide.
    fn fetch_ahead(&self, next: Option<BidderId>, quanta: u64) {
        if quanta > 2 {
            return;
        }
        let account = next.and_then(|bidder| self.bidder_account.get(bidder.index() as usize));
        let Some(head) = account.and_then(|&account| self.accounts[account].head()) else { return };
        let process = &self.processes[head];
        if quanta == 1 {
            prefetch(process);
            // Reads the bidder's record, and nobody waits for the answer.
            let _ = std::hint::black_box(next.map(|bidder| self.auction.floor_ppm(bidder)));
        } else {
            prefetch(&*process.shared);
            self.slots.prefetch(process.slot);
        }
    }

    /// First slice: the guest's future is made of its parts.
    fn be_born(&mut self, index: usize, now: u64) {
        let process = &mut self.processes[index];
        if let Some(birth) = process.birth.take() {
            let (_, prepared, state) = *birth;
            process.guest = Some(guest::start(prepared, state));
            process.life = Life::Ready;
            self.events.push(CellEvent::Started { pid: process.pid, t_ns: now });
        }
    }

    /// Charges what was metered, gives the rest of the escrow back, and decides what comes next.
    fn settle(&mut self, index: usize, decision: &Decision, slice: Slice) -> Result<()> {
        let usage = self.meter(index, &slice);
        // Settled as of the slice's end; in virtual time `meter` has only now moved the clock.
        let now = if self.clock.is_virtual() { self.clock.now_ns() } else { slice.end_ns };
        self.boundary_ns = now;
        let before = self.processes[index].meters.energy_uj;
        let counted = self.processes[index].counted;
        let account = self.processes[index].account;
        let process = &mut self.processes[index];
        let uj = process.carry.take_uj(self.config.model.slice_pj(usage));
        let mut books = process.shared.books();
        let bill = books.purse.close_escrow(uj, decision.price_ppm);
        let rent_paid = books.pay_rent(now);
        let solvent = process.shared.pay_tax(&mut books) && rent_paid;
        if !books.purse.is_conserved() {
            let purse = books.purse;
            return Err(KernelError::Bug(format!("a purse lost money: {purse:?}")));
        }
        let bid_changed = std::mem::take(&mut books.bid_changed);
        drop(books);
        process.meters.energy_uj += uj;
        process.meters.uncollected_uj += bill.uncollected_uj;
        process.meters.slices += 1;
        process.price_ppm = decision.price_ppm;
        let pid = process.pid;
        self.epoch_price.add(decision.price_ppm, uj);
        self.totals.slices += 1;
        for word in [u64::from(pid), decision.price_ppm, usage.fuel, bill.burned + bill.premium] {
            self.totals.mix(word);
        }
        self.accounts[account].leave(index, before, counted);
        let _ = bid_changed;
        if !solvent {
            self.refresh_bid(account)?;
            if let SliceEnd::Ended(end) = slice.end {
                return self.finish(index, end);
            }
            return self.end_bankrupt(index);
        }
        match slice.end {
            SliceEnd::Ended(end) => {
                self.refresh_bid(account)?;
                self.finish(index, end)
            }
            SliceEnd::Paused(Pause::Until { guest_ns }) => {
                self.refresh_bid(account)?;
                self.block(index, guest_ns, now)
            }
            SliceEnd::Paused(Pause::Yield) | SliceEnd::Spent => self.make_ready(index, now),
        }
    }

    /// Reads the meters of a slice and updates what the next one is expected to take.
    fn meter(&mut self, index: usize, slice: &Slice) -> Usage {
        let process = &mut self.processes[index];
        let fuel = process.shared.fuel.load(Relaxed);
        let calls = process.shared.calls.load(Relaxed);
        let bytes = process.shared.bytes.load(Relaxed);
        let meters = &mut process.meters;
        let mut usage = Usage {
            fuel: fuel - meters.fuel,
            ns: 0,
            bytes: bytes - meters.bytes,
            calls: calls - meters.calls,
        };
        (meters.fuel, meters.calls, meters.bytes) = (fuel, calls, bytes);
        let ns = if self.clock.is_virtual() {
            let ns = self.config.model.fuel_ns(usage.fuel);
            self.clock.advance(ns);
            ns
        } else {
            self.own_ns(index, slice)
        };
        // Virtual time is a function of fuel; billing it again would charge fuel twice.
        usage.ns = if self.clock.is_virtual() { 0 } else { ns };
        let process = &mut self.processes[index];
        process.meters.cpu_ns += ns;
        if usage.calls > 0 && !process.has_called {
            process.has_called = true;
            self.callers.push(index);
        }
        self.totals.slice_ns += ns;
        let quanta_max = u64::from(self.config.slice_quanta.max(1));
        let full = ns.saturating_mul(quanta_max) / slice.quanta.max(1);
        process.slice_ns = (process.slice_ns - process.slice_ns / 8 + full / 8).max(1_000);
        usage
    }

    /// Time of a slice without what the machine gave to others meanwhile.
    ///
    /// A slice that took long, or much longer than expected, was perhaps preempted. Thread CPU time
    /// (a system call) tells; a short slice cannot hide a preemption and is not asked.
    fn own_ns(&mut self, index: usize, slice: &Slice) -> u64 {
        let ns = slice.end_ns - slice.start_ns;
        let process = &mut self.processes[index];
        let host_ns = process.shared.host_ns.load(Relaxed);
        let in_host_ns = host_ns - std::mem::replace(&mut process.meters.host_ns, host_ns);
        let expected = process.slice_ns;
        let suspicious = expected.saturating_mul(2).clamp(SUSPICIOUS_NS_MIN, SUSPICIOUS_NS_MAX);
        if ns < suspicious {
            return ns;
        }
        let cpu = thread_cpu_ns();
        let cpu_passed = cpu.saturating_sub(self.totals.anchor_cpu_ns);
        let passed = slice.end_ns.saturating_sub(self.totals.anchor_ns);
        let stolen = stolen_ns(passed.saturating_sub(cpu_passed), ns, in_host_ns);
        self.totals.anchor_cpu_ns = cpu;
        self.totals.anchor_ns = slice.end_ns;
        self.totals.stolen_ns += stolen;
        ns - stolen
    }
}

/// What of a slice of `ns` was given to others, when `missing_ns` of CPU time are missing and
/// `in_host_ns` of the slice were spent in host calls: a call that waits for a disk holds the core
/// as work does, and is no theft.
fn stolen_ns(missing_ns: u64, ns: u64, in_host_ns: u64) -> u64 {
    missing_ns.min(ns.saturating_sub(in_host_ns))
}

#[cfg(test)]
mod tests {
    use super::stolen_ns;

    #[test]
    fn waiting_for_a_disk_is_charged_and_preemption_is_not() {
        let (ns, missing) = (10_000_000, 8_000_000);
        assert_eq!(stolen_ns(missing, ns, 0), 8_000_000, "all of it was preemption");
        assert_eq!(stolen_ns(missing, ns, 8_000_000), 2_000_000, "at most what was not a call");
        assert_eq!(stolen_ns(missing, ns, ns), 0, "all of it was one call");
        assert_eq!(stolen_ns(missing, ns, 2 * ns), 0, "a call that began in the slice before");
    }
}
