"""A made-up run: figures of the right size and shape, consistent with each other, from a seed.

For pictures, tables and explanations. Nothing here resembles the scheduler; it only makes purses
fall, rewards come in, and insolvents die, so that every part of `maxwell.observe` has something
to show.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from maxwell.energy import EnergyModel, EnergySplit
from maxwell.market.ledger import Credits
from maxwell.node.record import REPORT_SCHEMA, CellRecord, ProcessRecord, RunRecord
from maxwell.node.view import NodeView, Outcome, ProcessState, ProcessView
from maxwell.observe.events import EventLog

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MIB = 1 << 20
NS = 1_000_000_000
EPOCH_NS = NS // 10
RENT_PER_MIB_S = 400
RENT_S = 2_000


@dataclass
class Guest:
    """One process of the made-up run."""

    name: str
    appetite: float
    memory_mib: int
    results_per_j: float = 0.0
    pay_uj: int = 0
    finish_j: float = 1e9
    sleep_until_s: float = 0.0
    ending: Outcome = "finished"
    funds: int = 20_000_000
    purse: int = 0
    burned: int = 0
    premium: int = 0
    rent: int = 0
    tax: int = 0
    earned: int = 0
    admission: int = 0
    returned: int = 0
    unpaid: int = 0
    uncollected: int = 0
    results: int = 0
    power_mw: int = 0
    bid_ppm: int = 1_000_000
    price_ppm: int = 1_000_000
    died_ns: int | None = None
    outcome: Outcome | None = None
    reason: str = ""

    @property
    def rent_s(self) -> int:
        return RENT_PER_MIB_S * self.memory_mib + RENT_S


def small_fleet() -> list[Guest]:
    """Eight guests with every common fate."""
    return [
        Guest("nextpnr-1", 1.0, 225, results_per_j=0.25, pay_uj=3_000_000, finish_j=26.0),
        Guest("nextpnr-2", 0.9, 225, results_per_j=0.22, pay_uj=3_000_000, finish_j=31.0),
        Guest("yosys", 1.0, 64, finish_j=12.0),
        Guest("primes", 1.0, 2, results_per_j=400, pay_uj=4_000, finish_j=70.0),
        Guest("leech", 1.4, 1),
        Guest("loop", 1.2, 1),
        Guest("hog", 0.4, 1024),
        Guest("sleeper", 0.0, 1, sleep_until_s=20.0),
    ]


def large_fleet(count: int, seed: int) -> list[Guest]:
    """Many guests of mixed fates."""
    chance = random.Random(seed)
    return [
        Guest(
            f"worker-{index + 1}",
            chance.uniform(0.2, 2.0),
            chance.choice([1, 4, 16, 64]),
            results_per_j=chance.choice([0.0, 100.0, 500.0]),
            pay_uj=3_000,
            finish_j=chance.choice([1.0, 2.5, 1e9]),
            funds=chance.randrange(1_000_000, 4_000_000),
        )
        for index in range(count)
    ]


class MadeUpRun:
    """Steps a fleet through its run and remembers what an observer sees."""

    def __init__(
        self, guests: list[Guest] | None = None, *, seconds: float = 75.0, seed: int = 7
    ) -> None:
        self.guests = small_fleet() if guests is None else guests
        self.epochs = round(seconds * 10)
        self.chance = random.Random(seed)
        self.seed = seed
        self.commons = 0
        self.escrow = 180_000_000
        self.minted = self.escrow + sum(guest.funds for guest in self.guests)
        self.opening_escrow = self.escrow
        self.idle_uj = 0
        self.system_uj = 0
        self.unattributed_uj = 0
        self.price_ppm = 1_000_000
        self.elapsed_ns = 0

    def views(self, log: EventLog | None = None) -> Iterator[NodeView]:
        """Runs the fleet; yields what is seen at the end of each epoch."""
        self._open(log)
        for epoch in range(1, self.epochs + 1):
            self.elapsed_ns = epoch * EPOCH_NS
            self._step(log)
            view = self.view()
            if log is not None:
                rows = [
                    [p.name, p.state, p.bid_ppm, p.price_ppm, p.balance_credits, p.energy_uj]
                    for p in view.processes
                    if p.outcome is None
                ]
                log.write(
                    "sample",
                    self.elapsed_ns,
                    price_ppm=view.price_ppm,
                    power_mw=view.power_mw,
                    processes=rows,
                )
            yield view
            if all(guest.outcome for guest in self.guests):
                break
        for guest in self.guests:
            if guest.outcome is None:
                self._end(guest, "deadline", "the run's duration ended", log)
        if log is not None:
            log.write("run_finished", self.elapsed_ns, conservation_ok=True)

    def record(self, warnings: tuple[str, ...] = ()) -> RunRecord:
        """Returns the figures after `views` has ended."""
        processes = tuple(self._process_record(guest) for guest in self.guests)
        cells = tuple(
            CellRecord(
                cell=cell,
                cpu_ns=round(self.elapsed_ns * 0.93),
                slice_ns=round(self.elapsed_ns * 0.92),
                overhead_ns=round(self.elapsed_ns * 0.004),
                idle_ns=round(self.elapsed_ns * 0.07),
                slices=self.elapsed_ns // 100_000,
                decisions_digest=f"sha256:{self.seed:064x}",
                restarts=0,
            )
            for cell in range(2)
        )
        energy = self.energy()
        return RunRecord(
            schema=REPORT_SCHEMA,
            version="0.1.0",
            seed=self.seed,
            deterministic=False,
            started_at="2026-03-01T12:00:00Z",
            wall_ns=self.elapsed_ns,
            conservation_ok=True,
            energy=energy,
            interval_uj=energy.metered * 2 // 5,
            uncollected_uj=sum(guest.uncollected for guest in self.guests),
            credits=self.credits(),
            market_overhead_ratio=0.0031,
            metering_overhead_ratio=0.0007,
            cells=cells,
            provenance="modelled",
            model=EnergyModel.modelled(cells=2),
            processes=processes,
            price_mean_ppm=1_284_000,
            warnings=warnings,
            interrupted=False,
        )

    def view(self) -> NodeView:
        """Returns what is seen now."""
        return NodeView(
            elapsed_ns=self.elapsed_ns,
            duration_ns=self.epochs * EPOCH_NS,
            price_ppm=self.price_ppm,
            power_mw=sum(guest.power_mw for guest in self.guests) + 2_350,
            energy=self.energy(),
            credits=self.credits(),
            processes=tuple(self._process_view(guest) for guest in self.guests),
        )

    def energy(self) -> EnergySplit:
        processes = sum(guest.burned + guest.uncollected for guest in self.guests)
        return EnergySplit(
            metered=processes + self.idle_uj + self.system_uj + self.unattributed_uj,
            processes=processes,
            idle=self.idle_uj,
            system=self.system_uj,
            unattributed=self.unattributed_uj,
        )

    def credits(self) -> Credits:
        burned = sum(guest.burned for guest in self.guests)
        held = sum(guest.returned for guest in self.guests)
        leased = sum(guest.purse for guest in self.guests)
        credits = Credits(
            minted=self.minted,
            held=held,
            leased=leased,
            escrowed=self.escrow,
            burned=burned,
            commons=self.commons,
            expired=0,
        )
        assert credits.conserved, credits
        return credits

    def _open(self, log: EventLog | None) -> None:
        if log is not None:
            names = [guest.name for guest in self.guests]
            log.write("run_started", 0, schema=REPORT_SCHEMA, seed=self.seed, cells=2, fleet=names)
        for guest in self.guests:
            guest.admission = 1_000 + 37 * len(guest.name)
            guest.purse = guest.funds - guest.admission
            self.commons += guest.admission
            if log is not None:
                log.write(
                    "spawned",
                    0,
                    process=guest.name,
                    account=guest.name,
                    cell=0,
                    funds_credits=guest.purse,
                )

    def _step(self, log: EventLog | None) -> None:
        self.idle_uj += 200_000
        self.system_uj += 21_000
        self.unattributed_uj += 7_000
        alive = [guest for guest in self.guests if guest.outcome is None]
        hungry = [g for g in alive if g.appetite and self.elapsed_ns >= g.sleep_until_s * NS]
        weight = sum(guest.appetite for guest in hungry) or 1.0
        crowd = min(len(hungry), 8)
        wave = 1 + 0.25 * math.sin(self.elapsed_ns / NS / 3) + self.chance.uniform(-0.1, 0.1)
        self.price_ppm = round(1_000_000 * (1 + 0.11 * max(crowd - 2, 0) * wave))
        for guest in alive:
            self._live(guest, hungry, weight, log)

    def _live(self, guest: Guest, hungry: list[Guest], weight: float, log: EventLog | None) -> None:
        due = guest.rent_s // 10
        if due > guest.purse:
            self.commons += guest.purse
            guest.rent += guest.purse
            guest.unpaid = due - guest.purse
            guest.purse = 0
            self._end(guest, "bankrupt", "the purse could not pay the rent that was due", log)
            return
        guest.purse -= due
        guest.rent += due
        self.commons += due
        guest.power_mw = 0
        if guest in hungry and guest.purse > guest.rent_s:
            self._burn(guest, weight, log)
        elif not guest.appetite and self.elapsed_ns >= guest.sleep_until_s * NS:
            self._end(guest, "finished", "exit code 0", log)

    def _burn(self, guest: Guest, weight: float, log: EventLog | None) -> None:
        guest.bid_ppm = max(1_000_000, round(guest.purse / 5_000_000 * 500_000))
        guest.price_ppm = min(self.price_ppm, max(guest.bid_ppm, 1_000_000))
        afford = (guest.purse - guest.rent_s) * 1_000_000 // guest.price_ppm
        energy = min(round(1_000_000 * guest.appetite / weight), afford)
        charge = -(-energy * guest.price_ppm // 1_000_000)
        guest.purse -= charge
        guest.burned += energy
        guest.premium += charge - energy
        self.commons += charge - energy
        guest.power_mw = energy // 100
        before = guest.results
        wanted = int(guest.burned / 1e6 * guest.results_per_j)
        while guest.results < wanted and self.escrow >= guest.pay_uj:
            guest.results += 1
            guest.earned += guest.pay_uj
            guest.purse += guest.pay_uj
            self.escrow -= guest.pay_uj
        if log is not None and guest.results > before:
            log.write(
                "result",
                self.elapsed_ns,
                process=guest.name,
                reward="primes",
                line=f"{guest.results}",
                paid_credits=guest.pay_uj,
            )
        if guest.burned >= guest.finish_j * 1e6:
            self._end(guest, guest.ending, "exit code 0", log)

    def _end(self, guest: Guest, outcome: Outcome, reason: str, log: EventLog | None) -> None:
        guest.outcome = outcome
        guest.reason = reason
        guest.died_ns = self.elapsed_ns
        guest.power_mw = 0
        guest.tax = min(guest.purse, 4 * 1024 * guest.memory_mib // 2)
        guest.purse -= guest.tax
        self.commons += guest.tax
        guest.returned, guest.purse = guest.purse, 0
        if log is not None:
            log.write("died", self.elapsed_ns, process=guest.name, outcome=outcome, reason=reason)

    def _state(self, guest: Guest) -> ProcessState:
        if guest.outcome is not None:
            return "dead"
        if self.elapsed_ns < guest.sleep_until_s * NS:
            return "blocked"
        return "running" if guest.power_mw > 1_500 else "ready"

    def _process_view(self, guest: Guest) -> ProcessView:
        spend_s = guest.power_mw * 1_000 * guest.price_ppm // 1_000_000 + guest.rent_s
        return ProcessView(
            name=guest.name,
            account=guest.name,
            cell=0,
            state=self._state(guest),
            bid_ppm=guest.bid_ppm,
            price_ppm=guest.price_ppm,
            energy_uj=guest.burned + guest.uncollected,
            power_mw=guest.power_mw,
            results=guest.results,
            earned_credits=guest.earned,
            paid_credits=self._paid(guest),
            balance_credits=guest.purse,
            returned_credits=guest.returned,
            bankrupt_in_s=None if guest.outcome else guest.purse / spend_s,
            outcome=guest.outcome,
            reason=guest.reason or None,
        )

    def _paid(self, guest: Guest) -> int:
        return guest.burned + guest.premium + guest.rent + guest.tax + guest.admission

    def _process_record(self, guest: Guest) -> ProcessRecord:
        assert guest.outcome is not None
        assert guest.died_ns is not None
        return ProcessRecord(
            name=guest.name,
            account=guest.name,
            outcome=guest.outcome,
            reason=guest.reason,
            exit_code=0 if guest.outcome == "finished" else None,
            module_digest="sha256:" + f"{hash(guest.name) & 0xFFFF:064x}",
            energy_uj=guest.burned + guest.uncollected,
            uncollected_uj=guest.uncollected,
            paid_credits=self._paid(guest),
            earned_credits=guest.earned,
            rent_credits=guest.rent,
            tax_credits=guest.tax,
            premium_credits=guest.premium,
            admission_credits=guest.admission,
            returned_credits=guest.returned,
            rent_unpaid=guest.unpaid,
            erased_bits=guest.tax * 2048,
            memory_byte_ns=guest.memory_mib * MIB * guest.died_ns,
            memory_bytes_max=guest.memory_mib * MIB,
            results=guest.results,
            slices=guest.burned // 500,
            fuel=guest.burned * 2_400,
            cpu_ns=guest.burned * 200,
            host_calls=guest.results * 3,
            host_bytes=guest.results * 40,
            stdout_bytes=guest.results * 12,
            stdout_lost_bytes=0,
            unsupported_calls=(),
            born_ns=0,
            died_ns=guest.died_ns,
            cell=0,
            last_bid_ppm=guest.bid_ppm,
            last_price_ppm=guest.price_ppm,
        )


def write_run(
    folder: Path, guests: list[Guest] | None = None, *, seconds: float = 75.0
) -> RunRecord:
    """Writes the events of a made-up run into a folder and returns its figures."""
    run = MadeUpRun(guests, seconds=seconds)
    with EventLog(folder / "events.jsonl") as log:
        for _ in run.views(log):
            pass
    return run.record()
