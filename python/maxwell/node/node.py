"""The node: the parent's loop that places processes on cells, settles, pays and records.

Wall mode: cells run freely and report ten times a second; the parent reads their reports and the
shared slots. Deterministic mode: all cells stop at each epoch's end, the parent applies their
reports in the order of their numbers and lets them go on together.
"""

from __future__ import annotations

import hashlib
import logging
import os
import selectors
import shutil
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

from maxwell._native import KernelError, Slots
from maxwell.config import check_fleet, fleet_warnings
from maxwell.energy import NO_ENERGY, EnergyModel, unattributed_warning
from maxwell.errors import GuestError, InsufficientEnergy, InternalError, MaxwellError
from maxwell.modules import resolve_module
from maxwell.node.admission import Admissions
from maxwell.node.cells import Cell
from maxwell.node.economy import Economy
from maxwell.node.entry import Death, Entry
from maxwell.node.heat import NodeHeat
from maxwell.node.information import Information
from maxwell.node.place import Workplace, child_environment
from maxwell.node.power import NodeEnergy, energy_model, metering_overhead
from maxwell.node.receipts import MOVED
from maxwell.node.record import REPORT_SCHEMA, CellRecord, RunRecord
from maxwell.node.requests import Requests
from maxwell.node.view import NodeView
from maxwell.node.wire import (
    Beliefs,
    Died,
    Disbelieved,
    Inferred,
    Output,
    Reported,
    Requested,
    Revoked,
    Started,
    Transferred,
    Unknown,
)
from maxwell.token.book import Totals
from maxwell.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from maxwell._native import Slot
    from maxwell.config import FleetConfig, ProcessConfig
    from maxwell.market.resolvers import Resolver
    from maxwell.market.rewards import Payout
    from maxwell.node.inference import Inferences
    from maxwell.node.journal import Journal
    from maxwell.node.view import Outcome
    from maxwell.node.wire import CellEvent, EpochReport, Message

EPOCH_NS: Final = 100_000_000
RENT_PER_PROCESS: Final = 2_000
"""Credits per second of a process (contract 7)."""
RENT_PER_MIB: Final = 400
"""Credits per second of a resident MiB (contract 7)."""
GUESTS_PER_CELL_MAX: Final = 5_000
"""Guests alive on one cell: 5 mappings each stay below the usual limit of 65,530."""
RESTARTS_MAX: Final = 16
"""A cell that was killed so often is given up; the run goes on without it."""
CROWD: Final = 64
"""Fleets above this size are settled and shown once a second instead of ten times."""
CROWD_EPOCHS: Final = 10
READY_S_MAX: Final = 60.0
"""A cell that is not ready after this time is a failure of this machine."""
_NS: Final = 1_000_000_000

_log = logging.getLogger(__name__)


class Node:
    """Runs one fleet to its end.

    Args:
        fleet: what to run.
        journal: whom to tell.
        resolvers: resolvers by reward name that a program brought itself.

    Raises:
        MaxwellError: the fleet cannot be run; nothing has run then.
    """

    def __init__(
        self,
        fleet: FleetConfig,
        journal: Journal,
        *,
        resolvers: Mapping[str, Resolver] | None = None,
    ) -> None:
        check_fleet(fleet)
        self._fleet = fleet
        self._config = fleet.node
        self._journal = journal
        self._resolvers = resolvers
        self._virtual = fleet.node.deterministic
        self._entries: dict[int, Entry] = {}
        self._by_name: dict[str, Entry] = {}
        self._by_number: dict[int, Entry] = {}
        self._cells: list[Cell] = []
        self._stop: tuple[Outcome, str] | None = None
        self._interrupted = False
        self._elapsed_ns = 0
        self._epoch = 0
        self._price_ppm = fleet.node.reserve_ppm
        self._price_weighted = 0
        self._price_weight = 0
        self._last_power: tuple[int, int] = (0, 0)
        self._power_mw = 0
        self._setup = NO_ENERGY
        self._setup_ns = 0
        self._loads: list[int] = []
        self._conservation_ok = True
        self._kills: list[tuple[str, str]] = []

    # What a program may ask for while the fleet runs.

    def interrupt(self) -> None:
        """Ends the run at the next epoch; everything is settled first."""
        self._interrupted = True
        self._stop = ("killed", "the run was interrupted")

    def end(self, reason: str) -> None:
        """Ends the run at the next epoch, as at the end of its duration."""
        if self._stop is None:
            self._stop = ("deadline", reason)

    def kill(self, name: str, reason: str) -> None:
        """Ends one process at the next epoch."""
        self._kills.append((name, reason))

    def set_reserve(self, ppm: int) -> None:
        """Sets the lowest bid that the auctions of all cells take, from their next epoch on.

        `maxwell.market.thermal.ThermalReserve` makes it from the node's thermal price.
        """
        for cell in self._cells:
            cell.queue({"op": "reserve", "ppm": ppm})

    def entry(self, name: str) -> Entry:
        """Returns what is known of a process.

        Raises:
            KeyError: there is none of this name.
        """
        return self._by_name[name]

    # The run.

    def run(self) -> RunRecord:
        """Runs the fleet and returns its record.

        Raises:
            MaxwellError: the fleet could not be started, or an invariant failed.
        """
        model = energy_model(self._config, cells=self._config.cells)
        with ExitStack() as stack:
            self._energy = NodeEnergy(
                model, virtual_ns=(lambda: self._elapsed_ns) if self._virtual else None
            )
            self._model = model
            self._economy = Economy(
                self._fleet, idle_power_mw=model.idle_power_mw, resolvers=self._resolvers
            )
            self._heat = self._make_heat(model)
            self._requests = Requests(self._fleet, self._economy)
            self._place = stack.enter_context(Workplace())
            self._inferences = self._open_inferences(stack)
            self._information = Information(
                self._economy.questions,
                self._journal,
                self._place.folder,
                reference=self._config.quality_bits_per_joule,
            )
            self._admit()
            self._open_slots()
            self._selector = stack.enter_context(selectors.DefaultSelector())
            stack.callback(self._end_cells)
            self._start_cells()
            started_at = datetime.now(UTC).isoformat(timespec="seconds")
            self._start_ns = time.monotonic_ns()
            # What set-up took belongs to the run's energy, not to the power of its first epoch.
            self._reading = self._energy.read()
            self._last_power = (self._reading.metered_uj, 0)
            if not self._virtual:
                self._setup = self._energy.split(self._reading, 0)
                self._setup_ns = self._reading.elapsed_ns
            self._announce()
            if self._journal.receipts is not None:
                self._journal.receipts.open(self._fleet)
            if self._virtual:
                self._run_virtual()
            else:
                self._run_wall()
            self._finish()
            return self._record(None if self._virtual else started_at)

    def _open_inferences(self, stack: ExitStack) -> Inferences | None:
        """Loads the models of the fleet; a run without any loads nothing of all that."""
        if not self._fleet.models:
            return None
        from maxwell.node.inference import Inferences

        seed = self._config.seed
        inferences = Inferences(
            self._fleet,
            self._economy.ledger,
            self._model,
            self._journal,
            folder=self._place.folder / "models",
            environ=child_environment(),
            epoch_ns=EPOCH_NS,
            secret=(lambda purpose: _key(seed, purpose)) if self._virtual else None,
        )
        stack.callback(inferences.close)
        prover = inferences.prover
        self._energy.watch_prover(prover.cpu_ns, lambda: inferences.charged_uj)
        return inferences

    def _make_heat(self, model: EnergyModel) -> NodeHeat | None:
        config, cap_mw = self._fleet.heat, self._config.power_mw
        if config is None:
            return None
        idle_power_mw = model.idle_power_mw
        busy_mw = idle_power_mw + self._config.cells * model.core_power_mw
        return NodeHeat(
            config,
            base_ppm=self._config.reserve_ppm,
            cap_mw=None if cap_mw is None else cap_mw - idle_power_mw,
            full_mw=busy_mw if cap_mw is None else min(busy_mw, cap_mw),
            idle_mw=idle_power_mw,
        )

    def _follow_heat(self, heat: NodeHeat) -> None:
        """Takes the sensor's word to the auctions and to the mint."""
        change = heat.epoch(self._elapsed_ns // 1_000_000, self._power_mw)
        if change.reserve_ppm is not None:
            self.set_reserve(change.reserve_ppm)
        self._economy.set_cap(change.cap_ppm)
        if change.warning is not None:
            self._journal.warn(self._elapsed_ns, change.warning)
        if change.notable:
            self._journal.event(
                "heat",
                self._elapsed_ns,
                temperature_mc=change.temperature_mc,
                reserve_ppm=heat.reserve_ppm,
                cap_ppm=change.cap_ppm,
                simulated=heat.simulated,
            )

    def _admit(self) -> None:
        environ = child_environment()
        admissions = Admissions(
            self._place.folder, _cache_dir(environ), environ, on_compile=self._journal.compiling
        )
        paths = {
            process.name: resolve_module(process.module, self._fleet.base_dir)
            for process in self._fleet.processes
        }
        admitted = admissions.admit_all(paths.items())
        for number, process in enumerate(self._fleet.processes, start=1):
            entry = Entry(number, process, admitted[paths[process.name]])
            _check_memory(process, entry)
            self._entries[number] = entry
            self._by_name[process.name] = entry
            self._by_number[number] = entry

    def _open_slots(self) -> None:
        # A process that is placed again gets a new slot; slot 0 stays empty.
        capacity = 1 + 2 * len(self._entries)
        self._last_pid = len(self._entries)
        try:
            self._slots = Slots.create(str(self._place.slots), capacity)
        except KernelError as error:
            raise MaxwellError(
                f"cannot make the meters: {error.args[-1]}",
                code="MX1901",
                hint="free some shared memory (/dev/shm); each process takes 640 bytes",
            ) from error

    def _cell_config(self, number: int, cores: list[int]) -> Message:
        model = self._model
        return {
            "cell": number,
            "core": cores[number % len(cores)] if len(cores) >= self._config.cells else None,
            "seed": list(_key(self._config.seed, "auction")[:16]),
            "deterministic": self._virtual,
            "epoch_ns": EPOCH_NS,
            "temperature_log2": self._config.temperature_log2,
            "reserve_ppm": self._config.reserve_ppm,
            "model": {
                "alpha_pj_per_fuel": model.alpha_pj_per_fuel,
                "beta_pj_per_ns": model.beta_pj_per_ns,
                "gamma_pj_per_byte": model.gamma_pj_per_byte,
                "delta_pj_per_call": model.delta_pj_per_call,
                "switch_pj": model.switch_pj,
                "femtoseconds_per_fuel": model.picoseconds_per_fuel * 1_000,
            },
            "quantum_fuel": self._config.quantum_fuel,
            "slice_quanta": self._config.slice_quanta,
            "guests_max": min(GUESTS_PER_CELL_MAX, len(self._entries) + 1),
            "slots_path": str(self._place.slots),
            "rent_per_process": RENT_PER_PROCESS,
            "rent_per_mib": RENT_PER_MIB,
        }

    def _start_cells(self) -> None:
        cores = sorted(os.sched_getaffinity(0))
        environ = child_environment()
        if self._requests.broker is not None:
            self._selector.register(self._requests.broker, selectors.EVENT_READ)
        if self._inferences is not None:
            self._selector.register(self._inferences.prover, selectors.EVENT_READ)
        for number in range(self._config.cells):
            cell = Cell(number, self._cell_config(number, cores), environ)
            self._cells.append(cell)
            self._loads.append(0)
            _log.info("cell %d: process %d on core %s", number, cell.pid, cell.core)
            self._energy.watch(cell)
            self._selector.register(cell, selectors.EVENT_READ)
        deadline = time.monotonic() + READY_S_MAX
        while waiting := [cell for cell in self._cells if cell.last is None]:
            self._wait(0.05)
            self._flush()
            for cell in waiting:
                if not cell.is_open or time.monotonic() > deadline:
                    ended = cell.await_end() if not cell.is_open else "it is not ready in time"
                    raise MaxwellError(
                        f"cell {cell.number} did not start: {ended}",
                        code="MX1901",
                        hint="`maxwell doctor` shows what this machine lacks",
                    )
        for cell in self._cells:
            cell.take_reports()

    def _announce(self) -> None:
        self._journal.event(
            "run_started",
            0,
            schema="maxwell.events/1",
            seed=self._config.seed,
            cells=self._config.cells,
            deterministic=self._virtual,
            fleet=[entry.name for entry in self._entries.values()],
        )
        for text in fleet_warnings(self._fleet):
            self._journal.warn(0, text)
        for entry in self._entries.values():
            info = entry.admitted.info
            self._journal.event(
                "admitted",
                0,
                process=entry.name,
                module_digest=entry.admitted.digest,
                module_bytes=info.module_bytes,
                functions=info.functions,
                admission_credits=entry.admitted.admission_credits,
            )
        self._information.announce()
        if self._inferences is not None:
            self._inferences.announce()
        self._journal.flush()

    def _wait(self, timeout_s: float) -> None:
        """Waits for messages and reads them."""
        for key, ready in self._selector.select(timeout_s):
            cell = key.fileobj
            if not isinstance(cell, Cell):
                continue  # The broker or the prover: their answers are taken in their turn.
            if ready & selectors.EVENT_READ:
                cell.receive()
            if ready & selectors.EVENT_WRITE:
                cell.flush()

    def _run_wall(self) -> None:
        next_epoch = self._start_ns + EPOCH_NS
        self._place_due()
        self._flush()
        while not self._is_over():
            now = time.monotonic_ns()
            if now < next_epoch:
                self._wait((next_epoch - now) / _NS)
            self._elapsed_ns = time.monotonic_ns() - self._start_ns
            for cell in self._cells:
                for report in cell.take_reports():
                    self._take(report)
                if not (cell.is_open or cell.given_up):
                    self._lose(cell)
            self._take_answers()
            self._take_inferences()
            if time.monotonic_ns() >= next_epoch:
                next_epoch += EPOCH_NS * max(1, (time.monotonic_ns() - next_epoch) // EPOCH_NS + 1)
                self._end_epoch()
            self._flush()

    def _run_virtual(self) -> None:
        self._place_due()
        self._barrier()
        while not self._is_over():
            reports = self._await_reports()
            self._elapsed_ns = (self._epoch + 1) * EPOCH_NS
            for report in reports:
                self._take(report)
            self._take_inferences()
            self._end_epoch()
            if self._is_over():
                break
            self._barrier()

    def _barrier(self) -> None:
        for cell in self._cells:
            cell.queue({"op": "barrier"})
        self._flush()

    def _await_reports(self) -> list[EpochReport]:
        """Waits until each cell has reported; in the order of their numbers."""
        reports: dict[int, list[EpochReport]] = {cell.number: [] for cell in self._cells}
        complete: set[int] = set()
        while waiting := [c for c in self._cells if c.number not in complete and not c.given_up]:
            self._wait(0.1)
            self._flush()
            for cell in waiting:
                for report in cell.take_reports():
                    reports[cell.number].append(report)
                    if not report.more:
                        complete.add(cell.number)
                if not cell.is_open and cell.number not in complete:
                    # What a cell says when it is started again is its report of this epoch; the
                    # common barrier lets it go on with the others.
                    self._lose(cell)
        return [report for number in sorted(reports) for report in reports[number]]

    def _flush(self) -> None:
        for cell in self._cells:
            if cell.is_open:
                cell.flush()
                self._watch(cell)

    def _watch(self, cell: Cell) -> None:
        """Waits for room in a cell's pipe only while something waits to be sent."""
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if cell.wants_write else 0)
        if self._selector.get_key(cell).events != wanted:
            self._selector.modify(cell, wanted)

    # Placing.

    def _place_due(self) -> None:
        for entry in self._entries.values():
            waits = not entry.placed and entry.death is None
            if waits and entry.config.start_after_ns <= self._elapsed_ns:
                self._place_entry(entry)

    def _place_entry(self, entry: Entry) -> None:
        alive = [cell for cell in self._cells if cell.is_open]
        if not alive:
            return
        try:
            credits = self._economy.place(entry)
        except InsufficientEnergy as error:
            if self._economy.may_wait(entry):
                return
            self._note_unplaced(entry, "bankrupt", f"it could not be placed: {error}")
            return
        entry.placed = True
        self._send_to_cell(entry, credits, min(alive, key=self._load_of))
        self._journal.event(
            "spawned",
            self._elapsed_ns,
            process=entry.name,
            account=entry.config.account,
            cell=entry.cell,
            funds_credits=credits,
        )

    def _note_unplaced(self, entry: Entry, outcome: Outcome, reason: str) -> None:
        """Ends a process that no cell ever saw."""
        entry.death = Death(outcome=outcome, reason=reason)
        self._journal.event(
            "died", self._elapsed_ns, process=entry.name, outcome=outcome, reason=reason
        )

    def _load_of(self, cell: Cell) -> tuple[int, int]:
        placed = sum(1 for e in self._entries.values() if e.cell == cell.number and e.is_alive)
        return (self._loads[cell.number], placed) if self._loads[cell.number] else (0, placed)

    def _send_to_cell(self, entry: Entry, credits: int, cell: Cell) -> None:
        config = entry.config
        entry.cell = cell.number
        horizon = config.horizon_uj or self._fleet.horizon_default_uj
        # What the auction will add up, (b/reserve)^(1/T), so that later placements see it.
        bid_ppm = config.bid_ppm or config.urgency_millis * credits * 1_000 // horizon
        ratio = max(1.0, min(256.0, bid_ppm / self._config.reserve_ppm))
        self._loads[cell.number] += int(ratio ** (1 << self._config.temperature_log2))
        deadline = config.deadline_ns
        cell.queue(
            {
                "op": "spawn",
                "pid": entry.pid,
                "slot": entry.pid,
                "account": self._account_number(config.account),
                "artifact": str(entry.admitted.artifact),
                "args": [entry.name, *config.args],
                "env": [list(pair) for pair in config.env],
                "dirs": [
                    {
                        "guest": d.guest,
                        "host": str(self._host_dir(entry, d.host, d.read_only)),
                        "read_only": d.read_only,
                    }
                    for d in config.dirs
                ],
                "credits": credits,
                "urgency_millis": config.urgency_millis,
                "bid_ppm": config.bid_ppm,
                "horizon_uj": horizon,
                "memory_bytes_max": config.memory_max_bytes,
                "deadline_ns": deadline,
                "random_seed": list(_key(self._config.seed, f"random {entry.name}"))
                if self._virtual
                else None,
                "rewards_open": entry.rewards_open,
                "request_terms": self._requests.terms(entry),
                "inference_terms": self._inferences.terms(entry) if self._inferences else None,
                **self._information.spawn_fields(entry),
            }
        )

    def _account_number(self, account: str) -> int:
        names = [config.name for config in self._fleet.accounts]
        return names.index(account) + 1

    def _host_dir(self, entry: Entry, host: Path, read_only: bool) -> Path:
        """The folder itself; in deterministic mode a fresh copy of one that may change."""
        if not self._virtual or read_only:
            return host.resolve()
        copy = self._place.folder / "dirs" / entry.name / hashlib.sha256(bytes(host)).hexdigest()
        if not copy.exists():
            shutil.copytree(host, copy, symlinks=True)
        return copy

    # What cells say.

    def _take(self, report: EpochReport) -> None:
        if report.price_mean_ppm:
            self._price_ppm = report.price_mean_ppm
        if report.slices:
            self._loads[report.cell] = report.rate_sum
        for event in report.events:
            self._take_event(event)
        if report.runnable == 0 and not self._virtual and not report.last:
            self._feed(self._cells[report.cell])

    def _take_event(self, event: CellEvent) -> None:
        if isinstance(event, Unknown):
            return  # the credits are in the lease still, and went back when it was closed
        entry = self._entries.get(event.pid)
        if entry is None:
            raise InternalError(f"a cell speaks of process {event.pid}")
        if entry.death is not None and not isinstance(event, Output):
            # Its cell was lost before this was read: its accounts are closed, and all it had went
            # back to its account.
            return
        match event:
            case Output():
                self._take_output(entry, event)
            case Reported():
                payouts = self._economy.rewards.on_report(entry.pid, event.line)
                self._pay(entry, payouts)
                if event.staked:
                    self._settle(entry)
                    now = self._elapsed_ns
                    self._pay_belief(entry, self._information.on_report(entry, event, now))
            case Beliefs():
                self._settle(entry)
                now = self._elapsed_ns
                self._pay_belief(entry, self._information.on_block(entry, event, now))
            case Disbelieved():
                self._information.on_refused(entry, event, self._elapsed_ns)
            case Transferred():
                self._transfer(entry, event)
            case Requested():
                self._settle(entry)
                self._requests.ask(entry, event.id, event.credits, event.data)
            case Inferred():
                self._settle(entry)
                assert self._inferences is not None
                self._inferences.now_ns, self._inferences.epoch = self._elapsed_ns, self._epoch
                slices = self._slots.read(entry.pid).slices
                self._inferences.ask(entry, event, slice_id=slices)
            case Started():
                entry.started = True
                self._keep(entry)
                self._journal.event("started", event.t_ns, process=entry.name)
            case Died():
                self._bury(entry, event)
            case Revoked():
                self._replace(entry)

    def _take_output(self, entry: Entry, event: Output) -> None:
        stream = "stdout" if event.stream == 1 else "stderr"
        entry.stdout_bytes += len(event.data)
        entry.lost_bytes += event.lost
        self._journal.output(self._elapsed_ns, entry.name, stream, event.data, event.lost)
        self._pay(entry, self._economy.rewards.on_output(entry.pid, stream, event.data))

    def _pay(self, entry: Entry, payouts: list[Payout]) -> None:
        credits = self._economy.note_payouts(entry, payouts)
        for payout in payouts:
            self._journal.event(
                "result",
                self._elapsed_ns,
                process=entry.name,
                reward=payout.reward,
                line=payout.line,
                paid_credits=payout.credits,
            )
        if credits and entry.is_alive:
            self._fund(entry, credits)
        if payouts:
            self._close_rewards()

    def _pay_belief(self, entry: Entry, credits: int) -> None:
        """Tells a purse what its beliefs earned, and closes what can pay no longer."""
        if credits and entry.is_alive:
            self._fund(entry, credits)
        if self._economy.questions.any_empty():
            self._close_rewards()

    def _settle(self, entry: Entry) -> None:
        if entry.is_alive:
            self._economy.ledger.settle(entry.pid, self._slots.read(entry.pid))

    def _close_rewards(self) -> None:
        for entry in self._entries.values():
            if entry.is_alive:
                for message in self._information.close_empty(entry):
                    self._tell(entry, message)
            if entry.rewards_open and not self._economy.takes_reports(entry):
                entry.rewards_open = False
                if entry.is_alive:
                    self._tell(entry, {"op": "rewards", "pid": entry.pid, "open": False})

    def _tell(self, entry: Entry, message: Message) -> None:
        if entry.cell is not None:
            self._cells[entry.cell].queue(message)

    def _transfer(self, entry: Entry, event: Transferred) -> None:
        slot = self._slots.read(entry.pid)
        target = self._economy.transfer(entry, self._by_number.get(event.to), event.credits, slot)
        self._fund(target, event.credits)

    def _take_answers(self) -> None:
        """Hands on what the broker brought."""
        for settled in self._requests.take():
            entry, answer = settled.entry, settled.answer
            self._journal.event(
                "request",
                self._elapsed_ns,
                process=entry.name,
                rule=answer.rule,
                method=answer.method,
                url=answer.url,
                status=answer.status,
                errno=answer.errno,
                why=answer.why,
                bytes_out=answer.bytes_out,
                bytes_in=answer.bytes_in,
                took_ns=answer.took_ns,
                paid_credits=answer.credits,
            )
            if entry.is_alive:
                # The money first: the guest may spend it as soon as it runs.
                self._fund(entry, settled.refund_credits)
                self._tell(
                    entry,
                    {
                        "op": "answer",
                        "pid": entry.pid,
                        "id": answer.id,
                        "errno": answer.errno,
                        "data": answer.data,
                    },
                )

    def _take_inferences(self) -> None:
        """Hands on what the prover brought."""
        if self._inferences is None:
            return
        self._inferences.now_ns, self._inferences.epoch = self._elapsed_ns, self._epoch
        inferences = self._inferences
        if self._virtual:
            answers = inferences.finish(give_up=lambda: self._interrupted)
        else:
            answers = inferences.take()
        for answered in answers:
            if answered.entry.is_alive:
                # The money first: the guest may spend it as soon as it runs.
                self._fund(answered.entry, answered.fund_credits)
                self._tell(
                    answered.entry,
                    {
                        "op": "answer",
                        "pid": answered.entry.pid,
                        "id": answered.id,
                        "errno": answered.errno,
                        "data": answered.data,
                    },
                )

    def _bury(self, entry: Entry, event: Died) -> None:
        outcome: Outcome = event.outcome  # type: ignore[assignment]
        self._end_entry(
            entry,
            Death(
                outcome=outcome,
                reason=event.reason,
                exit_code=event.exit_code,
                unsupported=tuple(event.unsupported),
            ),
            event.t_ns,
        )

    def _end_entry(self, entry: Entry, death: Death, t_ns: int) -> None:
        if entry.death is not None:
            return
        slot = self._slots.read(entry.pid)
        entry.note(self._elapsed_ns, slot)
        self._pay(entry, self._economy.rewards.finish(entry.pid))
        self._requests.abandon(entry)
        if self._inferences is not None:
            self._inferences.abandon(entry)
        entry.returned_credits = self._economy.close(entry, slot)
        self._receipt(entry, slot, death.outcome, t_ns)
        entry.death = death
        entry.ended_ns = t_ns
        record = entry.record()
        self._journal.event(
            "died",
            t_ns,
            process=entry.name,
            outcome=death.outcome,
            reason=death.reason,
            exit_code=death.exit_code,
            energy_uj=record.energy_uj,
            uncollected_uj=record.uncollected_uj,
            paid_credits=record.paid_credits,
            earned_credits=record.earned_credits,
            rent_credits=record.rent_credits,
            rent_unpaid=record.rent_unpaid,
            tax_credits=record.tax_credits,
            premium_credits=record.premium_credits,
            returned_credits=record.returned_credits,
            tax_unpaid=record.tax_unpaid,
            erased_bits=record.erased_bits,
            freed_bits=record.freed_bits,
            discarded_bits=record.discarded_bits,
            memory_bytes_max=record.memory_bytes_max,
            memory_byte_ns=record.memory_byte_ns,
            results=record.results,
            bits_q32=record.bits_q32,
            beliefs=record.beliefs,
            beliefs_refused=record.beliefs_refused,
            information_credits=record.information_credits,
            stake_lost_credits=record.stake_lost_credits,
            inferences=record.inferences,
            macs=record.macs,
            inference_uj=record.inference_uj,
            proof_uj=record.proof_uj,
            claims_paid=record.claims_paid,
            claims_refused=record.claims_refused,
            slices=record.slices,
            fuel=record.fuel,
        )

    def _receipt(self, entry: Entry, slot: Slot, ending: str, t_ns: int) -> None:
        """Makes the last receipt of a process whose lease was closed."""
        if self._journal.receipts is not None:
            ledger = self._economy.ledger
            self._journal.receipts.end(t_ns, entry, slot, ledger, self._reading, ending)

    # Cells that have nothing to do, and cells that died.

    def _feed(self, idle: Cell) -> None:
        """Lets an idle cell have a process that another one has not started yet."""
        for entry in self._entries.values():
            waits = entry.is_alive and not (entry.started or entry.revoking)
            if not waits or entry.cell in {None, idle.number} or not self._may_replace():
                continue
            if entry.cell is not None and self._is_busy(self._cells[entry.cell]):
                entry.revoking = True
                self._tell(entry, {"op": "revoke", "pid": entry.pid})
                return

    def _may_replace(self) -> bool:
        return self._last_pid < self._slots.capacity - 1

    def _is_busy(self, cell: Cell) -> bool:
        return cell.is_open and cell.last is not None and cell.last.runnable > 1

    def _replace(self, entry: Entry) -> None:
        """Places a process that its cell gave back before it ran: a new number, the same money."""
        slot = self._slots.read(entry.pid)
        credits = self._economy.close(entry, slot)
        self._receipt(entry, slot, MOVED, self._elapsed_ns)
        entry.revoking = False
        entry.withheld_credits = 0
        alive = [cell for cell in self._cells if cell.is_open]
        if self._stop is not None or not alive:
            entry.placed = False
            entry.returned_credits = credits
            why = self._stop[1] if self._stop is not None else "no cell is left"
            self._note_unplaced(entry, "deadline", f"it had not started: {why}")
            return
        del self._entries[entry.pid]
        self._last_pid += 1
        entry.pid = self._last_pid
        self._entries[entry.pid] = entry
        self._economy.lease_again(entry, credits)
        self._send_to_cell(entry, credits, min(alive, key=lambda cell: self._runnable(cell)))

    def _keep(self, entry: Entry) -> None:
        """A process started before its cell could give it back: it gets what was held back."""
        if not entry.revoking:
            return
        entry.revoking = False
        credits, entry.withheld_credits = entry.withheld_credits, 0
        if credits:
            self._fund(entry, credits)

    def _fund(self, entry: Entry, credits: int) -> None:
        """Tells a purse of credits; not while its cell may be giving it back with all it has."""
        if entry.revoking:
            entry.withheld_credits += credits
        else:
            self._tell(entry, {"op": "fund", "pid": entry.pid, "credits": credits})

    def _runnable(self, cell: Cell) -> int:
        return cell.last.runnable if cell.last is not None else 0

    def _lose(self, cell: Cell) -> None:
        """A cell died: its processes end with `lost` and correct accounts; it is started again."""
        self._selector.unregister(cell)
        if cell.failure is not None:
            cell.kill()
        cell.is_zombie_waited(timeout_s=5.0)
        self._energy.cell_ended(cell.pid)
        how = cell.await_end()
        lost = [e for e in self._entries.values() if e.cell == cell.number and e.is_alive]
        waiting = [entry for entry in lost if self._slots.read(entry.pid).state == 0]
        self._journal.event(
            "cell_lost",
            self._elapsed_ns,
            cell=cell.number,
            how=how,
            processes=[entry.name for entry in lost if entry not in waiting],
        )
        self._journal.warn(
            self._elapsed_ns, f"cell {cell.number} ended ({how}); its processes are lost"
        )
        for entry in lost:
            if entry not in waiting:
                reason = f"its cell {cell.number} ended: {how}"
                self._end_entry(entry, Death(outcome="lost", reason=reason), self._elapsed_ns)
        if cell.restarts >= RESTARTS_MAX:
            cell.given_up = True
            self._journal.warn(self._elapsed_ns, f"cell {cell.number} is given up")
            for entry in waiting:
                reason = f"its cell {cell.number} is given up: {how}"
                self._end_entry(entry, Death(outcome="lost", reason=reason), self._elapsed_ns)
            return
        start_monotonic_ns = None if self._virtual else self._start_ns + self._elapsed_ns
        cell.restart(start_ns=self._elapsed_ns, start_monotonic_ns=start_monotonic_ns)
        self._energy.cell_started(cell.pid)
        self._selector.register(cell, selectors.EVENT_READ)
        self._loads[cell.number] = 0
        if self._heat is not None:
            cell.queue({"op": "reserve", "ppm": self._heat.reserve_ppm})
        self._journal.event("cell_restarted", self._elapsed_ns, cell=cell.number)
        for entry in waiting:
            # What was withheld while its cell was to give it back is part of its lease.
            entry.revoking, entry.withheld_credits = False, 0
            self._send_to_cell(entry, self._economy.ledger.lease_balance(entry.pid), cell)

    # Epochs.

    def _end_epoch(self) -> None:
        self._epoch += 1
        if self._heat is not None:
            self._follow_heat(self._heat)
        later: list[tuple[str, str]] = []
        for name, reason in self._kills:
            entry = self._by_name.get(name)
            if entry is not None and not entry.placed and entry.death is None:
                self._note_unplaced(entry, "killed", reason)
            if entry is not None and entry.is_alive:
                message: Message = {"op": "kill", "pid": entry.pid, "outcome": "killed"}
                if entry.revoking:
                    later.append((name, reason))
                else:
                    self._tell(entry, {**message, "reason": reason})
        self._kills = later
        self._place_due()
        if self._inferences is not None:
            self._inferences.epoch = self._epoch
            self._inferences.expire()
        for process, payouts in self._economy.rewards.epoch().items():
            self._pay(self._entries[int(process)], payouts)
        if len(self._entries) > CROWD and self._epoch % CROWD_EPOCHS:
            return
        slots = self._read_slots()
        for entry in self._entries.values():
            if entry.is_alive:
                self._economy.ledger.settle(entry.pid, slots[entry.pid])
        self._economy.check(slots)
        if self._journal.receipts is not None:
            alive = [entry for entry in self._entries.values() if entry.is_alive]
            self._journal.receipts.epoch(
                self._elapsed_ns, alive, slots, self._economy.ledger, self._reading
            )
        self._settle_qualities()
        self._pay_income()
        self._note_refusals()
        self._show(slots)

    def _settle_qualities(self) -> None:
        entries = self._by_name.values()
        for account, ppm in self._information.settle_qualities(entries, self._elapsed_ns):
            number = self._account_number(account)
            for cell in self._cells:
                if cell.is_open:
                    cell.queue({"op": "quality", "account": number, "ppm": ppm})

    def _read_slots(self) -> dict[int, Slot]:
        pids = [entry.pid for entry in self._entries.values() if entry.is_alive]
        slots = dict(zip(pids, self._slots.read_many(pids), strict=True))
        for pid, slot in slots.items():
            self._entries[pid].note(self._elapsed_ns, slot)
        return slots

    def _pay_income(self) -> None:
        reading = self._reading = self._energy.read()
        by_account, topped = self._economy.income(
            self._entries.values(),
            elapsed_ns=self._elapsed_ns,
            system_uj=self._energy.system_uj(reading),
        )
        for account, credits in by_account.items():
            self._journal.event("income", self._elapsed_ns, account=account, credits=credits)
        for pid, credits in topped.items():
            self._fund(self._entries[pid], credits)

    def _note_refusals(self) -> None:
        for refusal in self._economy.refusals():
            entry = self._entries.get(int(refusal.process))
            self._journal.event(
                "refused_result",
                self._elapsed_ns,
                process=entry.name if entry else str(refusal.process),
                reward=refusal.reward,
                line=refusal.line,
                why=refusal.why,
            )

    def _show(self, slots: Mapping[int, Slot]) -> None:
        reading = self._energy.read()
        split = self._energy.split(reading, self._processes_uj())
        self._note_power(split.metered)
        views = tuple(entry.view() for entry in self._by_name.values())
        self._journal.view(
            NodeView(
                elapsed_ns=self._elapsed_ns,
                duration_ns=self._config.duration_ns,
                price_ppm=self._price_ppm,
                power_mw=self._power_mw,
                energy=split,
                setup=self._setup,
                setup_ns=self._setup_ns,
                credits=self._economy.totals(slots),
                processes=views,
                heat=None if self._heat is None else self._heat.view(),
            )
        )
        self._journal.event(
            "sample",
            self._elapsed_ns,
            price_ppm=self._price_ppm,
            power_mw=self._power_mw,
            processes=[
                [v.name, v.state, v.bid_ppm, v.price_ppm, v.balance_credits, v.energy_uj]
                for v in views
                if v.state not in {"dead", "pending"}
            ],
        )

    def _note_power(self, metered_uj: int) -> None:
        before_uj, before_ns = self._last_power
        passed = self._elapsed_ns - before_ns
        if passed > 0:
            self._power_mw = (metered_uj - before_uj) * 1_000_000 // passed
            self._last_power = (metered_uj, self._elapsed_ns)

    def _processes_uj(self) -> int:
        return sum(entry.energy_uj for entry in self._entries.values())

    def _is_over(self) -> bool:
        if self._stop is not None:
            return True
        duration = self._config.duration_ns
        if duration is not None and self._elapsed_ns >= duration:
            self._stop = ("deadline", "the run's duration is over")
        elif all(entry.death is not None for entry in self._entries.values()):
            self._stop = ("deadline", "every process has ended")
        elif not any(cell.is_open for cell in self._cells):
            self._stop = ("lost", "no cell is left")
        return self._stop is not None

    # The end.

    def _finish(self) -> None:
        assert self._stop is not None
        outcome, reason = self._stop
        for cell in self._cells:
            cell.queue({"op": "stop", "outcome": outcome, "reason": reason})
        self._flush()
        deadline = time.monotonic() + READY_S_MAX
        waiting = [cell for cell in self._cells if cell.is_open]
        last: dict[int, list[EpochReport]] = {cell.number: [] for cell in self._cells}
        while waiting and time.monotonic() < deadline:
            self._wait(0.1)
            self._flush()
            for cell in self._cells:
                last[cell.number] += cell.take_reports()
            waiting = [c for c in waiting if c.is_open and not (c.last and c.last.last)]
        # In the order of the cells' numbers: which of them ends first is chance.
        for reports in last.values():
            for report in reports:
                self._take(report)
        for entry in self._entries.values():
            if entry.is_alive:
                why = "its cell did not report its end"
                self._end_entry(entry, Death(outcome="lost", reason=why), self._elapsed_ns)
            elif entry.death is None:
                entry.death = Death(outcome=outcome, reason=f"it had not started: {reason}")
        self._pay_income()
        self._note_refusals()
        self._economy.check({})

    def _end_cells(self) -> None:
        for cell in self._cells:
            if cell.fileno() >= 0:
                cell.await_end()

    def _record(self, started_at: str | None) -> RunRecord:
        reading = self._energy.read()
        split = self._energy.split(reading, self._processes_uj())
        credits = self._economy.totals({})
        processes = tuple(entry.record() for entry in self._by_name.values())
        uncollected = sum(process.uncollected_uj for process in processes)
        conserved = (
            credits.conserved
            and split.processes == credits.burned + uncollected
            and split.metered == split.processes + split.idle + split.system + split.unattributed
        )
        warning = unattributed_warning(split, provenance=reading.provenance)
        if warning is not None:
            self._journal.warn(self._elapsed_ns, warning)
        cells = tuple(self._cell_record(cell) for cell in self._cells)
        cpu_ns = sum(cell.cpu_ns for cell in cells)
        slice_ns = sum(cell.slice_ns for cell in cells)
        burned = sum(p.energy_uj - p.uncollected_uj for p in processes)
        premium = sum(process.premium_credits for process in processes)
        self._journal.event(
            "settled",
            self._elapsed_ns,
            credits={name: getattr(credits, name) for name in credits.__struct_fields__},
            energy_uj={name: getattr(split, name) for name in split.__struct_fields__},
        )
        self._journal.event("run_finished", self._elapsed_ns, conservation_ok=conserved)
        if self._journal.receipts is not None:
            self._journal.receipts.finish(
                Totals(
                    credits=msgspec.structs.asdict(credits)
                    | {"income": self._economy.ledger.income_paid()},
                    energy=msgspec.structs.asdict(split)
                    | {"uncollected": uncollected, "interval": reading.interval_uj},
                    provenance=reading.provenance,
                    conserved=conserved,
                    interrupted=self._interrupted,
                    ended_ns=self._elapsed_ns,
                )
            )
        self._journal.close()
        return RunRecord(
            schema=REPORT_SCHEMA,
            version=__version__,
            seed=self._config.seed,
            deterministic=self._virtual,
            started_at=started_at,
            wall_ns=self._elapsed_ns,
            conservation_ok=conserved,
            energy=split,
            setup=self._setup,
            setup_ns=self._setup_ns,
            interval_uj=reading.interval_uj,
            uncollected_uj=uncollected,
            credits=credits,
            market_overhead_ratio=max(0.0, (cpu_ns - slice_ns) / cpu_ns) if cpu_ns else 0.0,
            metering_overhead_ratio=self._metering_overhead(),
            cells=cells,
            provenance=reading.provenance,
            model=self._model,
            processes=processes,
            price_mean_ppm=(
                1_000_000 * (burned + premium) // burned if burned else self._config.reserve_ppm
            ),
            warnings=tuple(self._journal.warnings),
            interrupted=self._interrupted,
        )

    def _metering_overhead(self) -> float:
        """What metering costs these programs; 0 in deterministic mode, which reads no real time."""
        if self._virtual:
            return 0.0
        distinct = {
            entry.admitted.digest: (entry.admitted.path, (entry.name, *entry.config.args))
            for entry in self._by_name.values()
        }
        return metering_overhead(distinct.values())

    def _cell_record(self, cell: Cell) -> CellRecord:
        totals = cell.totals()
        digest = cell.last.digest if cell.last else 0
        return CellRecord(
            cell=cell.number,
            cpu_ns=totals.cpu_ns,
            slice_ns=totals.slice_ns,
            overhead_ns=totals.overhead_ns,
            idle_ns=totals.idle_ns,
            slices=totals.slices,
            decisions_digest=f"{digest:016x}",
            restarts=cell.restarts,
        )


def _check_memory(process: ProcessConfig, entry: Entry) -> None:
    need = entry.admitted.info.memory_bytes_min
    if need > process.memory_max_bytes:
        raise GuestError(
            f"process {process.name!r}: its module starts with {need:,} bytes of memory, "
            f"memory_max is {process.memory_max_bytes:,}",
            code="MX1203",
            hint="raise memory_max of the process",
        )


def _key(seed: int, purpose: str) -> bytes:
    """Derives 32 bytes from the run's seed for one purpose."""
    return hashlib.sha256(f"maxwell {purpose} {seed}".encode()).digest()


def _cache_dir(environ: Mapping[str, str]) -> Path:
    from maxwell.modules import cache_dir

    return cache_dir(environ)
