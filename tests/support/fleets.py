"""Runs of whole fleets in this process, and the sums that hold for every one of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from maxwell.config import parse_fleet
from maxwell.hypervisor import Report, run_fleet
from maxwell.node.record import ProcessRecord
from maxwell.node.view import NodeView
from maxwell.observe.events import Event, read_events
from maxwell.token.audit import audit_folder
from maxwell.token.key import node_signer

Table = Mapping[str, object]


@dataclass
class Run:
    """A finished run: its report, its views, what its processes printed."""

    report: Report
    views: list[NodeView]
    output: dict[tuple[str, str], bytes] = field(default_factory=dict[tuple[str, str], bytes])

    def __getitem__(self, name: str) -> ProcessRecord:
        return self.report.processes[name]

    @property
    def outcomes(self) -> dict[str, str]:
        return {name: record.outcome for name, record in self.report.processes.items()}

    def events(self, name: str | None = None) -> list[Event]:
        assert self.report.run_dir is not None
        found = read_events(self.report.run_dir / "events.jsonl")
        return [event for event in found if name in (None, event.name)]


def process(name: str, module: str, **keys: object) -> dict[str, object]:
    """Writes a process table."""
    return {"name": name, "module": module, **keys}


def run(
    processes: Sequence[Table],
    *,
    base: Path | None = None,
    out: Path | None = None,
    on_view: Callable[[NodeView], None] | None = None,
    accounts: Sequence[Table] = (),
    sponsors: Sequence[Table] = (),
    rewards: Sequence[Table] = (),
    requests: Sequence[Table] = (),
    models: Sequence[Table] = (),
    heat: Table | None = None,
    **node: object,
) -> Run:
    """Runs a fleet, checks its sums, and audits its folder.

    Args:
        processes: tables of the fleet file.
        base: folder of relative paths.
        out: run folder, made when it does not exist.
        on_view: called once an epoch.
        accounts: tables.
        sponsors: tables.
        rewards: tables.
        requests: tables.
        models: tables.
        heat: the table `[heat]`.
        node: keys of `[node]`; deterministic, one cell and seed 1 unless they say otherwise.
    """
    keys: dict[str, object] = {"deterministic": True, "cells": 1, "seed": 1, **node}
    data: dict[str, object] = {"node": keys, "process": list(processes)}
    optional = {
        "account": accounts,
        "sponsor": sponsors,
        "reward": rewards,
        "request": requests,
        "model": models,
    }
    for key, tables in optional.items():
        if tables:
            data[key] = list(tables)
    if heat is not None:
        data["heat"] = heat
    views: list[NodeView] = []
    output: dict[tuple[str, str], bytes] = {}

    def keep_view(view: NodeView) -> None:
        views.append(view)
        if on_view is not None:
            on_view(view)

    def keep_output(name: str, stream: str, content: bytes, lost: int) -> None:
        del lost
        output[name, stream] = output.get((name, stream), b"") + content

    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    report = run_fleet(
        parse_fleet(data, base or Path.cwd()), out=out, on_view=keep_view, on_output=keep_output
    )
    if out is not None:
        report.save(out)
        audit = audit_folder(out, key=node_signer().public_key)
        assert audit.violation is None, audit.violation
    check_sums(report)
    for view in views:
        check_view(view)
    return Run(report, views, output)


def check_view(view: NodeView) -> None:
    """Checks the sums of one epoch."""
    assert view.credits.conserved
    split = view.energy
    assert split.metered == split.processes + split.idle + split.system + split.unattributed
    assert min(split.metered, split.processes, split.idle, split.system) >= 0
    for shown in view.processes:
        assert min(shown.energy_uj, shown.balance_credits, shown.paid_credits) >= 0


def check_sums(report: Report) -> None:
    """Checks contracts 3 and 4 and every process's own account, to the microjoule."""
    record, credits, split = report.record, report.credits, report.energy
    assert record.conservation_ok
    assert credits.minted == (
        credits.held
        + credits.leased
        + credits.escrowed
        + credits.burned
        + credits.commons
        + credits.expired
    )
    assert credits.leased == 0
    assert credits.expired == 0
    assert split.metered == split.processes + split.idle + split.system + split.unattributed
    assert split.processes == credits.burned + record.uncollected_uj
    assert split.processes == sum(p.energy_uj for p in record.processes)
    assert record.uncollected_uj == sum(p.uncollected_uj for p in record.processes)
    burned = 0
    for p in record.processes:
        # Bits are the one figure with a sign.
        signed = {"bits_q32"}
        figures = {n: getattr(p, n) for n in p.__struct_fields__ if n not in signed}
        negative = {k: v for k, v in figures.items() if isinstance(v, int) and v < 0}
        assert negative in ({}, {"cell": -1}), (p.name, negative)
        assert p.uncollected_uj <= p.energy_uj
        parts = p.premium_credits + p.rent_credits + p.tax_credits + p.admission_credits
        parts += p.request_credits
        assert p.paid_credits == p.energy_uj - p.uncollected_uj + parts, p.name
        assert p.died_ns >= p.born_ns
        assert p.information_credits <= p.earned_credits
        assert p.beliefs or not (p.bits_q32 or p.information_credits or p.stake_lost_credits)
        burned += p.energy_uj - p.uncollected_uj
    assert burned == credits.burned
    assert record.price_mean_ppm >= 1_000_000


def energy_per_credit(record: ProcessRecord) -> float:
    """Returns the joules that a process got for what it paid."""
    return record.energy_uj / record.paid_credits


def options(**keys: object) -> dict[str, Any]:
    """Names keyword arguments once for several runs."""
    return dict(keys)
