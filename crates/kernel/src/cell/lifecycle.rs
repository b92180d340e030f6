//! Birth, sleep, income and death of processes.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Waker};

use super::{Cell, bug, timer_kind};
use crate::accounts::Account;
use crate::artifact;
use crate::control::{CellEvent, Spawn};
use crate::error::{KernelError, Result};
use crate::guest::{GuestEnd, GuestExit, GuestParts, GuestState};
use crate::inference::Inference;
use crate::pages::PAGE_BYTES;
use crate::pause::PauseSlot;
use crate::process::{Life, Prepared, Process};
use crate::purse::{Purse, bond_credits, charge_credits};
use crate::questions::{CHUNK_SYMBOLS_MAX, QUESTIONS_MAX, Terms, text::Text};
use crate::rent::{RentMeter, RentRates};
use crate::requests::{Asked, Request, RequestState};
use crate::shared::{GuestShared, OUTPUT_BYTES_MAX};
use crate::wasi::limits::OPEN_FILES_MAX;
use crate::wasi::{Preopen, RandomSource, WasiConfig, WasiContext};

/// Rent is collected and published at least this often, ns, so that a killed cell forgets little.
const RENT_NS_MAX: u64 = 1_000_000_000;
/// Looks at rents that are not yet short are put together this coarsely, ns.
const RENT_LOOK_NS: u64 = 1 << 24;
/// Polls in which a guest that is ended must return; one is enough for every host call.
const LAST_POLLS: u32 = 3;
/// Descriptors that a cell keeps for itself.
const CELL_FILES: usize = 64;
/// Fewer descriptors than these (standard streams, some folders and files) run no real program.
const OPEN_FILES_MIN: usize = 16;
/// Bytes a process may write to its directories.
const DISK_BYTES_MAX: u64 = 1 << 30;

impl Cell {
    /// Places a process; it runs when its account first wins.
    pub(super) fn spawn(&mut self, spawn: Box<Spawn>) -> Result<()> {
        let now = self.clock.now_ns();
        if self.by_pid.contains_key(&spawn.pid) || spawn.slot >= self.slots.capacity() {
            return Err(KernelError::Protocol(format!("process {} twice", spawn.pid)));
        }
        let (pid, account) = (spawn.pid, self.account(spawn.account, spawn.quality_ppm)?);
        let pause = PauseSlot::default();
        let rates = RentRates {
            per_process: self.config.rent_per_process,
            per_mib: self.config.rent_per_mib,
        };
        let mut purse = Purse::default();
        if !purse.fund(spawn.credits) {
            return Err(KernelError::Protocol(format!("process {pid} is given too much")));
        }
        let rent = RentMeter::new(rates, now);
        let shared = GuestShared::new(purse, rent, spawn.urgency_millis, spawn.bid_ppm);
        shared.rewards_open.store(spawn.rewards_open, Relaxed);
        let asked = self.ask(&spawn, &shared);
        let prepared = asked.and_then(|()| self.prepare(&spawn));
        let state = self.guest_state(&spawn, Arc::new(shared), pause.clone());
        let (prepared, state) = match (prepared, state) {
            (Ok(prepared), Ok(state)) => (prepared, state),
            (Err(error), _) | (_, Err(error)) => return self.stillborn(&spawn, purse, &error, now),
        };
        let process = Process::new((spawn, prepared, state), account, pause, now);
        let index = self.processes.len();
        let deadline = process.deadline_ns.map(|after_ns| now.saturating_add(after_ns));
        self.by_pid.insert(pid, index);
        self.processes.push(process);
        self.alive.push(index);
        if let Some(at_ns) = deadline {
            self.arm(index, timer_kind::DEADLINE, at_ns);
        }
        self.make_ready(index, now)
    }

    /// A process that cannot be set up gives its money back and says why.
    fn stillborn(
        &mut self,
        spawn: &Spawn,
        mut purse: Purse,
        error: &KernelError,
        now: u64,
    ) -> Result<()> {
        purse.give_back();
        let record = crate::slots::Record {
            purse,
            pid: u64::from(spawn.pid),
            state: crate::slots::state::DEAD,
            born_ns: now,
            died_ns: now,
            ..crate::slots::Record::default()
        };
        self.slots.publish(spawn.slot, &record);
        self.events.push(CellEvent::Died {
            pid: spawn.pid,
            t_ns: now,
            outcome: "trapped".to_owned(),
            reason: format!("could not start: {error}"),
            exit_code: None,
            unsupported: Vec::new(),
        });
        Ok(())
    }

    fn account(&mut self, account: u64, quality_ppm: u64) -> Result<usize> {
        if let Some(&index) = self.account_index.get(&account) {
            return Ok(index);
        }
        let bidder = self.auction.add(account).map_err(bug)?;
        self.auction.set_quality(bidder, quality_ppm).map_err(bug)?;
        let index = self.accounts.len();
        self.accounts.push(Account::new(bidder));
        self.account_index.insert(account, index);
        // Bidders are never removed, so that their indices are those of the accounts.
        assert_eq!(bidder.index() as usize, self.bidder_account.len(), "BUG: a bidder left");
        self.bidder_account.push(index);
        Ok(index)
    }

    /// Gives a process its questions.
    fn ask(&mut self, spawn: &Spawn, shared: &GuestShared) -> Result<()> {
        if spawn.questions.len() > QUESTIONS_MAX {
            return Err(KernelError::Protocol(format!("{} questions", spawn.questions.len())));
        }
        let mut books = shared.books();
        books.questions.report_stake = spawn.report_stake;
        for asked in &spawn.questions {
            let key = (asked.path.clone(), asked.alphabet.clone());
            let text = if let Some(text) = self.texts.get(&key) {
                Arc::clone(text)
            } else {
                let text = Arc::new(Text::read(&asked.path, &asked.alphabet)?);
                self.texts.insert(key, Arc::clone(&text));
                text
            };
            books.questions.add(Terms {
                number: asked.question,
                text,
                chunk: asked.chunk.clamp(1, CHUNK_SYMBOLS_MAX),
                kappa: asked.kappa,
                deadline_ns: asked.deadline_ns,
                open: asked.open,
            });
        }
        Ok(())
    }

    fn prepare(&mut self, spawn: &Spawn) -> Result<Prepared> {
        if let Some(prepared) = self.modules.get(&spawn.artifact) {
            return Ok(prepared.clone());
        }
        let module = artifact::load(&self.engine, &spawn.artifact)?;
        let prepared = self.linker.instantiate_pre(&module).map_err(KernelError::engine)?;
        self.modules.insert(spawn.artifact.clone(), prepared.clone());
        Ok(prepared)
    }

    fn guest_state(
        &self,
        spawn: &Spawn,
        shared: Arc<GuestShared>,
        pause: PauseSlot,
    ) -> Result<GuestState> {
        let preopens = spawn.dirs.iter().map(|directory| Preopen {
            guest_path: directory.guest.clone(),
            host_path: directory.host.clone(),
            read_only: directory.read_only,
        });
        let wasi = WasiContext::new(WasiConfig {
            args: spawn.args.clone(),
            env: spawn.env.clone(),
            preopens: preopens.collect(),
            random: spawn.random_seed.map_or(RandomSource::Os, RandomSource::Seeded),
            output_bytes_max: OUTPUT_BYTES_MAX,
            open_files_max: self.open_files_max(),
            disk_bytes_max: DISK_BYTES_MAX,
            deterministic: self.config.deterministic,
            ..WasiConfig::default()
        })
        .map_err(|error| KernelError::Setup(error.to_string()))?;
        let mut state = GuestState::new(GuestParts {
            wasi,
            shared,
            cell: Arc::clone(&self.shared),
            pause,
            quantum_fuel: self.config.quantum_fuel,
            memory_bytes_max: spawn.memory_bytes_max,
        });
        state.request_terms = spawn.request_terms;
        state.inference_terms = spawn.inference_terms.clone().map(Arc::new);
        Ok(state)
    }

    /// Descriptors of one guest: its part of what this process may open.
    fn open_files_max(&self) -> usize {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let ours = usize::try_from(limit.unwrap_or(1 << 20)).unwrap_or(usize::MAX);
        let guests = self.config.guests_max.max(1) as usize;
        (ours.saturating_sub(CELL_FILES) / guests).clamp(OPEN_FILES_MIN, OPEN_FILES_MAX)
    }

    /// The process wants a slice, if it can afford one (contracts 6); else it lives on its runway.
    pub(super) fn make_ready(&mut self, index: usize, now: u64) -> Result<()> {
        let account = self.processes[index].account;
        let floor_ppm = self.auction.floor_ppm(self.accounts[account].bidder).map_err(bug)?;
        let needed = charge_credits(self.quantum_uj(index), floor_ppm);
        let process = &mut self.processes[index];
        let books = process.shared.books();
        let spendable = books.spendable();
        // An explicit bid below the floor waits (contracts 6), and holds up nobody of its account.
        let bids = books.bid_ppm.is_none_or(|ppm| ppm >= floor_ppm);
        drop(books);
        process.counted = spendable;
        if spendable >= needed && bids {
            if process.life != Life::Born {
                process.life = Life::Ready;
            }
            let energy = process.meters.energy_uj;
            self.accounts[account].enter(index, energy, spendable);
        } else {
            process.life = Life::Broke;
        }
        self.arm_rent(index, now);
        self.refresh_bid(account)?;
        self.publish(index);
        Ok(())
    }

    /// The reserve changed: who waited for it may bid now, and who bids may have to wait.
    pub(super) fn reconsider(&mut self) -> Result<()> {
        let now = self.clock.now_ns();
        for index in self.alive.clone() {
            if matches!(self.processes[index].life, Life::Ready | Life::Born | Life::Broke) {
                self.leave_queue(index);
                self.make_ready(index, now)?;
            }
        }
        Ok(())
    }

    /// Takes a waiting process out of its account's queue.
    fn leave_queue(&mut self, index: usize) {
        let process = &self.processes[index];
        let (account, energy, counted) =
            (process.account, process.meters.energy_uj, process.counted);
        self.accounts[account].leave(index, energy, counted);
    }

    /// The process sleeps until its own clock shows `guest_ns`.
    pub(super) fn block(&mut self, index: usize, guest_ns: u64, now: u64) -> Result<()> {
        let process = &mut self.processes[index];
        let wait = guest_ns.saturating_sub(self.shared.guest_ns(&process.shared));
        if wait == 0 {
            return self.make_ready(index, now);
        }
        if self.shared.is_virtual() {
            process.shared.slept_ns.fetch_add(wait, Relaxed);
        }
        let until_ns = now.saturating_add(wait);
        process.life = Life::Blocked { until_ns };
        self.arm(index, timer_kind::WAKE, until_ns);
        self.arm_rent(index, now);
        self.publish(index);
        Ok(())
    }

    pub(super) fn wake(&mut self, index: usize) -> Result<()> {
        self.processes[index].life = Life::Ready;
        let now = self.clock.now_ns();
        self.make_ready(index, now)
    }

    /// Hands a guest the answer to its request and wakes it; late answers find nobody.
    pub(super) fn answer(&mut self, pid: u32, id: u64, errno: i32, data: Vec<u8>) -> Result<()> {
        let Some(&index) = self.by_pid.get(&pid) else { return Ok(()) };
        let process = &self.processes[index];
        let mut books = process.shared.books();
        let Some(request) = books.request.as_mut().filter(|request| request.id == id) else {
            return Ok(());
        };
        request.state = RequestState::Answered(if errno == 0 { Ok(data) } else { Err(errno) });
        let awaited = request.awaited;
        drop(books);
        match process.life {
            Life::Blocked { until_ns } if awaited => {
                if self.shared.is_virtual() {
                    // It was to sleep until its timeout, and is woken before.
                    let early = until_ns.saturating_sub(self.clock.now_ns());
                    process.shared.slept_ns.fetch_sub(early, Relaxed);
                }
                self.wake(index)
            }
            _ => Ok(()),
        }
    }

    /// Arms the moment at which the process can no longer pay its rent.
    fn arm_rent(&mut self, index: usize, now: u64) {
        let process = &self.processes[index];
        let books = process.shared.books();
        let armed = process.rent_timer_ns;
        let latest = rent_look_ns(books.rent.paid_until_ns().max(now.saturating_sub(RENT_NS_MAX)));
        // An earlier look finds the purse still good and arms again; a later one would be late.
        let pays = |ns| books.rent.is_payable_until(ns, books.purse.free);
        if armed > now && armed <= latest && pays(armed - 1) {
            return;
        }
        let at_ns = books.rent.broke_at_ns(books.purse.free).min(latest);
        drop(books);
        self.processes[index].rent_timer_ns = at_ns;
        self.arm(index, timer_kind::RENT, at_ns);
    }

    pub(super) fn collect_rent(&mut self, index: usize, now: u64) -> Result<()> {
        self.processes[index].rent_timer_ns = u64::MAX;
        if self.paid_rent_lately(index, now) {
            self.arm_rent(index, now);
            return Ok(());
        }
        if !self.processes[index].shared.books().pay_rent(now) {
            return self.end_bankrupt(index);
        }
        match self.processes[index].life {
            Life::Ready | Life::Born | Life::Broke => {
                self.leave_queue(index);
                self.make_ready(index, now)
            }
            Life::Blocked { .. } | Life::Dead => {
                self.arm_rent(index, now);
                self.publish(index);
                Ok(())
            }
        }
    }

    /// Whether a process that waits for its turn paid, bid and was published not long ago: after
    /// its last slice.
    fn paid_rent_lately(&self, index: usize, now: u64) -> bool {
        let process = &self.processes[index];
        let books = process.shared.books();
        let since_ns = now.saturating_sub(books.rent.paid_until_ns());
        process.life == Life::Ready
            && since_ns < RENT_NS_MAX / 2
            && books.rent.is_payable_until(now, books.purse.free)
    }

    pub(super) fn fund(&mut self, pid: u32, credits: u64) -> Result<()> {
        let index = self.by_pid.get(&pid).copied();
        let Some(index) = index.filter(|&index| !self.processes[index].is_dead()) else {
            self.events.push(CellEvent::Unknown { pid, credits });
            return Ok(());
        };
        if !self.processes[index].shared.books().purse.fund(credits) {
            self.events.push(CellEvent::Unknown { pid, credits });
            return Ok(());
        }
        let now = self.clock.now_ns();
        match self.processes[index].life {
            Life::Ready | Life::Born | Life::Broke => {
                self.leave_queue(index);
                self.processes[index].rent_timer_ns = u64::MAX;
                self.make_ready(index, now)
            }
            Life::Blocked { .. } | Life::Dead => {
                self.processes[index].rent_timer_ns = u64::MAX;
                self.arm_rent(index, now);
                self.publish(index);
                Ok(())
            }
        }
    }

    /// Gives a process back that has not run: another cell is idle.
    pub(super) fn revoke(&mut self, pid: u32) -> Result<()> {
        let Some(&index) = self.by_pid.get(&pid) else { return Ok(()) };
        if self.processes[index].birth.is_none() {
            return Ok(());
        }
        self.leave_queue(index);
        let now = self.clock.now_ns();
        let process = &mut self.processes[index];
        process.birth = None;
        process.life = Life::Dead;
        process.died_ns = now;
        // It has not run: it owes nothing, and the credits go on with it.
        process.shared.books().purse.give_back();
        let account = process.account;
        self.bury(index);
        self.by_pid.remove(&pid);
        self.events.push(CellEvent::Revoked { pid });
        self.refresh_bid(account)
    }

    pub(super) fn end_bankrupt(&mut self, index: usize) -> Result<()> {
        let process = &self.processes[index];
        let books = process.shared.books();
        let (unpaid, runway) = (books.rent_unpaid, books.rent.runway());
        let kib = books.rent.resident_bytes() >> 10;
        let (tax_unpaid, tax) = (books.tax_unpaid, books.tax);
        drop(books);
        if tax_unpaid > 0 && unpaid == 0 {
            let reason = format!(
                "the purse could not pay its erasure tax: {} credits short at 4 credits per KiB for \
                 {} KiB freed and {} KiB discarded",
                grouped(tax_unpaid),
                grouped(tax.freed_bytes() >> 10),
                grouped(tax.discarded_bytes() >> 10),
            );
            return self.end(index, "bankrupt", reason);
        }
        let credits = if unpaid == 1 { "credit" } else { "credits" };
        let reason = format!(
            "the purse could not pay its rent: {} {credits} short at {} credits per second for {} \
             KiB",
            grouped(unpaid),
            grouped(runway),
            grouped(kib),
        );
        self.end(index, "bankrupt", reason)
    }

    /// Ends a process: no instruction of it runs any more.
    pub(super) fn end(&mut self, index: usize, outcome: &str, reason: String) -> Result<()> {
        if self.processes[index].is_dead() {
            return Ok(());
        }
        self.leave_queue(index);
        let account = self.processes[index].account;
        self.refresh_bid(account)?;
        let process = &mut self.processes[index];
        process.shared.kill.store(true, Relaxed);
        let end = process.guest.take().and_then(|mut guest| {
            // The guest returns from its host call or yield straight into the hook, which ends it.
            // Its clock stands at the end of time by then, so that no sleep goes on.
            let mut context = Context::from_waker(Waker::noop());
            (0..LAST_POLLS).find_map(|_| match guest.as_mut().poll(&mut context) {
                Poll::Ready(end) => Some(end),
                Poll::Pending => None,
            })
        });
        let (pages, unsupported) = match end {
            Some(end) => (Some(end.pages_erased), end.unsupported),
            None => (None, Vec::new()),
        };
        self.settle_death(index, pages, outcome, reason, None, unsupported)
    }

    /// The guest ended by itself.
    pub(super) fn finish(&mut self, index: usize, end: GuestEnd) -> Result<()> {
        let (outcome, reason, code) = match end.exit {
            GuestExit::Exited(0) => ("finished", "it exited with code 0".to_owned(), Some(0)),
            GuestExit::Exited(code) => {
                ("finished", format!("it exited with code {code}"), Some(code))
            }
            GuestExit::Killed => ("killed", "ended by the cell".to_owned(), None),
            GuestExit::Trapped(why) => ("trapped", why, None),
            GuestExit::OutOfMemory(why) => (
                "out_of_memory",
                format!("it gave up after its memory limit refused it: {why}"),
                None,
            ),
            GuestExit::CannotPayMemory(why) => {
                let reason =
                    format!("it gave up after its purse could not bond more memory: {why}");
                ("bankrupt", reason, None)
            }
        };
        self.processes[index].guest = None;
        self.settle_death(index, Some(end.pages_erased), outcome, reason, code, end.unsupported)
    }

    /// The last settlement: rent, erasure tax, the rest of the bond and of the purse.
    fn settle_death(
        &mut self,
        index: usize,
        pages: Option<u64>,
        outcome: &str,
        reason: String,
        exit_code: Option<u32>,
        unsupported: Vec<String>,
    ) -> Result<()> {
        let now = self.clock.now_ns();
        self.bill_last_fuel(index);
        let process = &mut self.processes[index];
        let mut books = process.shared.books();
        let inner = &mut *books;
        inner.questions.close(&mut inner.purse);
        books.pay_rent(now);
        process.shared.pay_tax(&mut books);
        let pages = pages.unwrap_or_else(|| books.purse.bond / bond_credits(PAGE_BYTES as u64));
        books.purse.bury(pages.saturating_mul(bond_credits(PAGE_BYTES as u64)));
        books.purse.give_back();
        books.rent.set_resident(0);
        let conserved = books.purse.is_conserved();
        drop(books);
        process.meters.erased_bits = pages.saturating_mul(PAGE_BYTES as u64 * 8);
        process.life = Life::Dead;
        process.died_ns = now;
        process.birth = None;
        let pid = process.pid;
        if !conserved {
            return Err(KernelError::Bug(format!("process {pid} lost money at its death")));
        }
        self.take_sayings(index);
        self.bury(index);
        self.totals.mix(u64::from(pid) << 32 | 0xdead);
        let outcome = outcome.to_owned();
        self.events.push(CellEvent::Died {
            pid,
            t_ns: now,
            outcome,
            reason,
            exit_code,
            unsupported,
        });
        Ok(())
    }

    /// What the guest used after its last settlement (unwinding) is booked with the next one; at
    /// the end there is none, so it is counted but costs nothing.
    fn bill_last_fuel(&mut self, index: usize) {
        let process = &mut self.processes[index];
        process.meters.fuel = process.shared.fuel.load(Relaxed);
        process.meters.calls = process.shared.calls.load(Relaxed);
        process.meters.bytes = process.shared.bytes.load(Relaxed);
    }

    fn bury(&mut self, index: usize) {
        self.publish(index);
        self.alive.retain(|&other| other != index);
    }

    /// Moves results, transfers and output of a process into the next report.
    pub(super) fn take_sayings(&mut self, index: usize) {
        let process = &mut self.processes[index];
        process.has_called = false;
        let pid = process.pid;
        let mut books = process.shared.books();
        books.report_bytes = 0;
        for (line, staked) in books.reports.drain(..) {
            process.meters.reports += 1;
            self.events.push(CellEvent::Report { pid, line, staked });
        }
        let energy_uj = process.meters.energy_uj;
        for block in books.questions.take_blocks() {
            self.events.push(CellEvent::Beliefs {
                pid,
                question: block.question,
                start: block.start,
                believed: block.believed,
                bits_q32: block.bits_q32,
                lost: block.lost,
                energy_uj,
                own: block.own,
                public: block.public,
            });
        }
        for (question, why, count) in books.questions.take_refusals() {
            let why = why.to_owned();
            self.events.push(CellEvent::Disbelieved { pid, question, why, count });
        }
        for (to, credits) in books.transfers.drain(..) {
            self.events.push(CellEvent::Transfer { pid, to, credits });
        }
        if let Some(Request { id, credits, state, .. }) = &mut books.request
            && matches!(state, RequestState::Asked(_))
            && let RequestState::Asked(asked) = std::mem::replace(state, RequestState::Sent)
        {
            let (id, credits) = (*id, *credits);
            self.events.push(match asked {
                Asked::Outbound(data) => CellEvent::Request { pid, id, credits, data },
                Asked::Inference(Inference { call, number, tier, model, price_ppm, data }) => {
                    CellEvent::Inference {
                        pid,
                        id,
                        credits,
                        price_ppm,
                        call,
                        number,
                        tier,
                        model,
                        data,
                    }
                }
            });
        }
        for (stream, output) in [1, 2].into_iter().zip(&mut books.output) {
            let (data, lost) = (std::mem::take(&mut output.kept), std::mem::take(&mut output.lost));
            process.meters.output_bytes += data.len() as u64;
            process.meters.lost_bytes += lost;
            if !data.is_empty() || lost > 0 {
                self.events.push(CellEvent::Output { pid, stream, data, lost });
            }
        }
    }
}

/// When to look at a rent again that was last paid at `paid_ns`: after `RENT_NS_MAX`, but together
/// with others, because each expiry of the wheel costs more than the looks that it brings.
fn rent_look_ns(paid_ns: u64) -> u64 {
    paid_ns.saturating_add(RENT_NS_MAX).checked_next_multiple_of(RENT_LOOK_NS).unwrap_or(u64::MAX)
}

/// A number with its thousands apart, for people.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn thousands_are_apart() {
        assert_eq!(grouped(7), "7");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_000), "1,000");
        assert_eq!(grouped(12_345_678), "12,345,678");
    }
}
