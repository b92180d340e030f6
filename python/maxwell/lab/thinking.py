"""Thinker versus miner: who earns by inference, who pretends to, and who burns joules for nothing.

Five kinds of guests with the same endowment on one node, whose sponsor pays for inferences of a
convolutional network that verify: an honest thinker, one that hands its first answer in again and
again, one that runs a smaller network, an endless loop, and a hash miner. Cells, proofs and their
verification are the product's own; nothing here is a simulation.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import msgspec

from maxwell.errors import ConfigError
from maxwell.observe.decimals import JsonValue, to_json
from maxwell.observe.events import read_events
from maxwell.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from maxwell.node.record import ProcessRecord
    from maxwell.observe.report import Report

SCHEMA: Final = "maxwell.lab.thinker-vs-miner/1"
KINDS: Final = ("thinker", "replayer", "substituter", "looper", "miner")
TIERS: Final = ("T0", "T3")
FUNDS_UJ: Final = 500_000
"""What each guest begins with."""
PAYS_UJ: Final = 4_000_000
"""For a million multiplications: almost five times what a thinker burns for an order."""
SECONDS_DEFAULT: Final = 60
BATCH: Final = 4
_ORDERED: Final = "digits_cnn"
_SMALLER: Final = "digits_mlp"
_ROUNDS: Final = 100
_MODULES: Final = {"looper": "spin", "miner": "leech"}
_NS: Final = 1_000_000_000


class Thinking(msgspec.Struct, frozen=True, kw_only=True):
    """One guest of one run."""

    name: str
    kind: str
    outcome: str
    """`survived` when it still lived at the end."""
    lived_ns: int
    energy_uj: int
    inference_uj: int
    proof_uj: int
    funds_credits: int
    earned_credits: int
    returned_credits: int
    inferences: int
    claims_paid: int
    claims_refused: int
    refusals: dict[str, int]
    """Claims that were refused, by the code of the error."""
    purse: tuple[tuple[int, int], ...]
    """Its purse over time: nanoseconds and credits, twice a second."""


class ThinkingRun(msgspec.Struct, frozen=True, kw_only=True):
    """One seed."""

    seed: int
    wall_ns: int
    conservation_ok: bool
    metered_uj: int
    guests: tuple[Thinking, ...]


class ThinkerVsMiner(msgspec.Struct, frozen=True, kw_only=True):
    """The experiment."""

    version: str
    tier: str
    seconds: int
    cells: int
    provenance: str
    relative_interval_ppm: int
    pays_credits_per_million_macs: int
    runs: tuple[ThinkingRun, ...]

    def to_json(self) -> dict[str, JsonValue]:
        """Returns what `--json` prints."""
        plain = cast("dict[str, object]", msgspec.to_builtins(self))
        encoded = to_json({"schema": SCHEMA, **plain})
        assert isinstance(encoded, dict)
        return encoded

    def of(self, kind: str) -> list[Thinking]:
        """Returns the guests of a kind, over all seeds."""
        return [guest for run in self.runs for guest in run.guests if guest.kind == kind]


def thinker_vs_miner(
    *,
    seeds: Sequence[int],
    tier: str = "T3",
    seconds: int = SECONDS_DEFAULT,
    cells: int = 1,
    deterministic: bool = False,
    on_run: Callable[[int], None] | None = None,
) -> ThinkerVsMiner:
    """Runs the experiment once for each seed.

    Args:
        seeds: of the auctions.
        tier: `T0` or `T3`, by which the sponsor believes.
        seconds: how long a run lasts at most.
        cells: cores for guests; the prover takes what is left.
        deterministic: in virtual time, for tests; the joules are then a model's.
        on_run: called with each seed before its run.

    Raises:
        ConfigError: MX1006 for a tier or a number that is not one of these.
        MaxwellError: a run could not be made.
    """
    if tier not in TIERS or not seeds or not 1 <= seconds <= 600:
        raise ConfigError(
            f"thinker-vs-miner: tier {tier!r}, {len(seeds)} seeds, {seconds} s",
            code="MX1006",
            hint="tier T0 or T3, at least one seed, 1 to 600 s",
        )
    runs: list[ThinkingRun] = []
    report: Report | None = None
    for seed in seeds:
        if on_run is not None:
            on_run(seed)
        run, report = _run(seed, tier, seconds, cells, deterministic=deterministic)
        runs.append(run)
    assert report is not None
    model = report.record.model
    return ThinkerVsMiner(
        version=__version__,
        tier=tier,
        seconds=seconds,
        cells=cells,
        provenance=report.record.provenance,
        relative_interval_ppm=model.relative_interval_ppm,
        pays_credits_per_million_macs=PAYS_UJ,
        runs=tuple(runs),
    )


def _run(
    seed: int, tier: str, seconds: int, cells: int, *, deterministic: bool
) -> tuple[ThinkingRun, Report]:
    from maxwell.config import parse_fleet
    from maxwell.hypervisor import run_fleet

    with (
        as_file(files("maxwell.lab") / "digits") as data,
        tempfile.TemporaryDirectory(prefix="maxwell-lab-") as folder,
    ):
        fleet = parse_fleet(
            _fleet(data, seed, tier, seconds, cells, deterministic=deterministic), Path(folder)
        )
        out = Path(folder) / "run"
        out.mkdir()
        report = run_fleet(fleet, out=out)
        purses: dict[str, list[tuple[int, int]]] = {kind: [] for kind in KINDS}
        refusals: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
        for event in read_events(out / "events.jsonl"):
            if event.name == "sample":
                _note_purses(purses, event.t_ns, event.fields.get("processes"))
            elif event.name == "refused_claim":
                refusals[event.text("process")][event.text("code")] += event.integer("count")
    guests = tuple(
        _thinking(report.processes[kind], dict(refusals[kind]), tuple(purses[kind]))
        for kind in KINDS
    )
    record = report.record
    return (
        ThinkingRun(
            seed=seed,
            wall_ns=record.wall_ns,
            conservation_ok=record.conservation_ok,
            metered_uj=record.energy.metered,
            guests=guests,
        ),
        report,
    )


def _note_purses(purses: dict[str, list[tuple[int, int]]], t_ns: int, rows: object) -> None:
    """Keeps each purse twice a second."""
    for row in cast("list[list[str]]", rows):
        known = purses[row[0]]
        if not known or t_ns - known[-1][0] >= _NS // 2:
            known.append((t_ns, int(row[4])))


def _thinking(
    record: ProcessRecord, refusals: dict[str, int], purse: tuple[tuple[int, int], ...]
) -> Thinking:
    return Thinking(
        name=record.name,
        kind=record.name,
        outcome="survived" if record.outcome == "deadline" else record.outcome,
        lived_ns=record.died_ns - record.born_ns,
        energy_uj=record.energy_uj,
        inference_uj=record.inference_uj,
        proof_uj=record.proof_uj,
        funds_credits=FUNDS_UJ,
        earned_credits=record.earned_credits,
        returned_credits=record.returned_credits,
        inferences=record.inferences,
        claims_paid=record.claims_paid,
        claims_refused=record.claims_refused,
        refusals=refusals,
        purse=purse,
    )


def _fleet(
    data: Path, seed: int, tier: str, seconds: int, cells: int, *, deterministic: bool
) -> dict[str, object]:
    def guest(kind: str) -> dict[str, object]:
        table: dict[str, object] = {
            "name": kind,
            "module": f"samples:{_MODULES.get(kind, kind)}.wasm",
            "funds": f"{FUNDS_UJ} uJ",
            # Everybody bids the floor: this is about who is paid, not about who is served first.
            "horizon": "100 J",
            "memory_max": "4 MiB",
        }
        if kind in _MODULES:
            return table
        name = _SMALLER if kind == "substituter" else _ORDERED
        return table | {"args": [name], "rewards": ["digits"], "models": [name]}

    return {
        "node": {
            "seed": seed,
            "cells": cells,
            "duration": f"{seconds} s",
            "deterministic": deterministic,
        },
        "model": [
            {"name": name, "onnx": str(data / f"{name}.onnx")} for name in (_ORDERED, _SMALLER)
        ],
        "sponsor": [{"name": "school", "escrow": "500 J"}],
        "reward": [
            {
                "sponsor": "school",
                "name": "digits",
                "resolver": "proof",
                "model": _ORDERED,
                "inputs": str(data / "digits_test.npz"),
                "array": "images",
                "tier": tier,
                "batch": BATCH,
                "rounds": _ROUNDS,
                "pays": f"{PAYS_UJ} uJ",
            }
        ],
        "process": [guest(kind) for kind in KINDS],
    }
