"""Our side: the same guests under Maxwell, and the same kernel with its market switched off."""

from __future__ import annotations

import resource
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from maxwell.config import parse_fleet
from maxwell.config.table import Source
from maxwell.errors import InternalError
from maxwell.hypervisor import run_fleet
from maxwell.lab.plan import FOLDER, FUNDS_UJ, HORIZON_UJ, PAYS_OVER_COST
from maxwell.lab.result import GuestResult, Side

if TYPE_CHECKING:
    from collections.abc import Callable

    from maxwell.config import FleetConfig
    from maxwell.energy import EnergyModel
    from maxwell.lab.plan import GuestSpec, Plan
    from maxwell.lab.sponsor import Sponsor
    from maxwell.node.record import ProcessRecord
    from maxwell.node.view import NodeView
    from maxwell.observe.report import Report

REWARD: Final = "primes"
QUANTUM_FUEL: Final = 4_000_000
SLICE_QUANTA: Final = 2
"""Slices as long as by default, of two quanta instead of ten: half a slice is soon enough to stop a
guest here, and each quantum less saves a scientist a tenth of a per cent."""
WORDS: Final = {
    "market": "Maxwell: slices sold at auction, a sponsor pays for results",
    "equal-bids": "Maxwell's kernel with equal fixed bids and funds without end: a lottery with "
    "equal tickets",
}


def run_market(
    side: Literal["market", "equal-bids"],
    plan: Plan,
    *,
    model: EnergyModel,
    sponsor: Sponsor,
    folder: Path,
    pays_credits: int,
    on_joules: Callable[[int], None],
) -> Side:
    """Runs the guests under Maxwell until the plan's joules are burned.

    Args:
        side: `market`; or `equal-bids`, where each process bids cost price and cannot go broke.
        plan: what runs.
        model: what a second of CPU time costs.
        sponsor: judges results.
        folder: the list of paid results is in it.
        pays_credits: for each result.
        on_joules: called ten times a second with the µJ burned so far.

    Raises:
        KeyboardInterrupt: Ctrl-C; the run was settled first.
        MaxwellError: the fleet could not be run.
    """
    fleet = fleet_of(side, plan, model=model, folder=folder, pays_credits=pays_credits)

    def is_done(view: NodeView) -> bool:
        on_joules(view.energy.processes)
        return view.energy.processes >= plan.target_uj

    start_ns = _own_cpu_ns()
    report = run_fleet(fleet, resolvers={REWARD: sponsor}, until=is_done)
    control_ns = _own_cpu_ns() - start_ns
    if not report.conservation_ok:
        raise InternalError(f"lab: the books of side {side!r} do not balance", code="MX1302")
    if report.record.interrupted:
        raise KeyboardInterrupt
    return _side(side, plan, report, model=model, sponsor=sponsor, control_ns=control_ns)


def fleet_of(
    side: Literal["market", "equal-bids"],
    plan: Plan,
    *,
    model: EnergyModel,
    folder: Path,
    pays_credits: int,
) -> FleetConfig:
    """Returns the fleet of a side: equal funds for all, one account each."""
    processes = [_process(side, plan, guest, folder) for guest in plan.guests()]
    # A result pays about twice its joules, so that twice the target is what can be earned.
    escrow_uj = 4 * plan.target_uj + 1_000 * pays_credits
    tables: dict[str, object] = {
        "node": {
            "cells": plan.cores,
            "seed": plan.seed,
            "quantum_fuel": QUANTUM_FUEL,
            "slice_quanta": SLICE_QUANTA,
            "core_power": f"{model.core_power_mw} mW",
            "idle_power": f"{model.idle_power_mw} mW",
        },
        "sponsor": [{"name": "sponsor", "escrow": f"{escrow_uj} uJ"}],
        "reward": [
            {
                "sponsor": "sponsor",
                "name": REWARD,
                "resolver": "prime",
                "pays": f"{pays_credits} uJ",
                "from": plan.first,
                "to": plan.last,
            }
        ],
        "process": processes,
    }
    return parse_fleet(tables, Path.cwd(), source=Source("lab"))


def _process(side: str, plan: Plan, guest: GuestSpec, folder: Path) -> dict[str, object]:
    table: dict[str, object] = {
        "name": guest.name,
        "module": guest.module,
        "args": list(guest.args),
        "rewards": [REWARD],
    }
    if guest.kind == "imitator":
        table["dirs"] = [f"{folder}:{FOLDER}:ro"]
    if side == "market":
        table |= {"funds": f"{FUNDS_UJ} uJ", "horizon": f"{HORIZON_UJ} uJ"}
        if plan.scientists_bid == "value" and not guest.is_parasite:
            # The break-even bid: a microjoule of a scientist earns this many credits.
            table["bid_ppm"] = PAYS_OVER_COST * 1_000_000
        return table
    # Nobody may go broke: each could pay for all joules of the side, and for its rent.
    return {**table, "funds": f"{2 * plan.target_uj} uJ", "bid_ppm": 1_000_000}


def _own_cpu_ns() -> int:
    """CPU time of this process and of its children that have ended, cells included."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time_ns() + int((children.ru_utime + children.ru_stime) * 1e9)


def _side(
    side: Literal["market", "equal-bids"],
    plan: Plan,
    report: Report,
    *,
    model: EnergyModel,
    sponsor: Sponsor,
    control_ns: int,
) -> Side:
    records = report.processes
    guests = plan.guests()
    # The cells' loops, decisions and settlement included; their starting up is not.
    cells_ns = sum(cell.cpu_ns for cell in report.record.cells)
    order = {guest.name: number for number, guest in enumerate(guests, start=1)}
    return Side(
        side=side,
        scheduler=WORDS[side],
        results=sponsor.results,
        energy_uj=model.cpu_energy_uj(cells_ns),
        control_uj=model.cpu_energy_uj(max(0, control_ns - cells_ns)),
        parasites_uj=sum(records[g.name].energy_uj for g in guests if g.is_parasite),
        wall_ns=report.record.wall_ns,
        guests=tuple(
            GuestResult(
                name=guest.name,
                kind=guest.kind,
                outcome=_outcome(records[guest.name]),
                energy_uj=records[guest.name].energy_uj,
                results=records[guest.name].results,
                wrong=sponsor.wrong[order[guest.name]],
            )
            for guest in guests
        ),
    )


def _outcome(record: ProcessRecord) -> str:
    """Names an outcome; who lives at the end of the run has survived."""
    return "survived" if record.outcome == "deadline" else record.outcome
