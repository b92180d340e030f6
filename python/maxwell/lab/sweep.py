"""The experiment over numbers of leeches and seeds, with confidence intervals over the seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from maxwell.lab.experiment import SIDES, scientist_vs_leech
from maxwell.lab.plan import KINDS, Kind
from maxwell.lab.result import BASELINE, OURS, Experiment, Interval, SideName, interval
from maxwell.observe.decimals import JsonValue, to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from maxwell.lab.plan import Plan

SCHEMA: Final = "maxwell.lab.leech-sweep/1"
LEECHES: Final = (0, 1, 3, 10)
"""Leeches per scientist that the figure shows."""
KINDS_AT: Final = 1
"""Leeches per scientist with which each kind is also run by itself."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One point: a number of leeches, a kind, a baseline, over the seeds."""

    leeches: int
    kind: Kind
    baseline: str
    ratio: Interval
    """Results per joule of the market over the baseline's."""
    ceiling: float
    parasite_share: Interval
    """Of the market's joules."""
    baseline_parasite_share: Interval


class Sweep(msgspec.Struct, frozen=True, kw_only=True):
    """All runs, and their summary."""

    runs: tuple[Experiment, ...]

    @property
    def rows(self) -> tuple[Row, ...]:
        """The summary, in the order of the runs."""
        found: list[tuple[int, Kind, str]] = [
            (run.leeches, run.kind, side) for run in self.runs for side in run.ratios
        ]
        keys = dict.fromkeys(found)
        rows = (self._row(leeches, kind, side) for leeches, kind, side in keys)
        return tuple(row for row in rows if row is not None)

    def _row(self, leeches: int, kind: Kind, side: str) -> Row | None:
        runs = [run for run in self.runs if run.leeches == leeches and run.kind == kind]
        ratios = [ratio for run in runs if (ratio := run.ratio(side)) is not None]
        if not ratios:
            return None
        used = [run for run in runs if run.ratio(side) is not None]
        return Row(
            leeches=leeches,
            kind=kind,
            baseline=side,
            ratio=interval(ratios),
            ceiling=leeches + 1.0,
            parasite_share=interval([run.sides[OURS].parasite_share for run in used]),
            baseline_parasite_share=interval([run.sides[side].parasite_share for run in used]),
        )

    def to_json(self) -> dict[str, JsonValue]:
        """Returns all figures: the summary and every run."""
        encoded = to_json({"schema": SCHEMA, "rows": msgspec.to_builtins(self.rows)})
        assert isinstance(encoded, dict)
        return {**encoded, "runs": [run.to_json() for run in self.runs]}


def leech_sweep(
    plan: Plan,
    *,
    leeches: Sequence[int] = LEECHES,
    seeds: Iterable[int] = (1, 2, 3),
    each_kind: bool = True,
    sides: Sequence[SideName] = SIDES,
    on_run: Callable[[Plan, int, int], None] | None = None,
    on_side: Callable[[str], None] | None = None,
) -> Sweep:
    """Runs the experiment for each number of leeches and each seed.

    Args:
        plan: everything else; its own `leeches` and `seed` do not matter.
        leeches: numbers of leeches per scientist.
        seeds: the runs of each number.
        each_kind: whether each kind also runs by itself, with `KINDS_AT` leeches and the first
            seed, against the metered baseline only.
        sides: which schedulers.
        on_run: called with a plan, its number from 1 on and how many there are.
        on_side: called with the name of a side before it runs.

    Raises:
        MaxwellError: as `scientist_vs_leech`.
    """
    chosen = list(seeds)
    plans = [
        (msgspec.structs.replace(plan, leeches=count, seed=seed).check(), sides)
        for count in leeches
        for seed in chosen
    ]
    if each_kind and chosen:
        only: Sequence[SideName] = (OURS, BASELINE)
        plans += [
            (
                msgspec.structs.replace(plan, leeches=KINDS_AT, seed=chosen[0], kind=kind).check(),
                only,
            )
            for kind in KINDS
            if kind != plan.kind
        ]
    runs: list[Experiment] = []
    for number, (one, own_sides) in enumerate(plans, start=1):
        if on_run is not None:
            on_run(one, number, len(plans))
        runs.append(scientist_vs_leech(one, sides=own_sides, on_side=on_side))
        if runs[-1].interrupted:
            break
    return Sweep(runs=tuple(runs))


def markdown(found: Sweep) -> str:
    """Returns the summary as a Markdown table, one line a point."""
    lines = [
        "| leeches per scientist | kind | against | ratio | of the ceiling | market: parasites' "
        "share of joules | baseline's |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.leeches} | {row.kind} | {row.baseline} | {text(row.ratio)} | "
        f"{row.ratio.mean / row.ceiling:.1%} | {row.parasite_share.mean:.2%} | "
        f"{row.baseline_parasite_share.mean:.1%} |"
        for row in found.rows
    ]
    seeds = sorted({run.seed for run in found.runs})
    lines += ["", f"95 % intervals over seeds {', '.join(map(str, seeds))}. {_machine(found)}", ""]
    return "\n".join(lines)


def _machine(found: Sweep) -> str:
    """Says what the figures are of."""
    if not found.runs:
        return ""
    run = found.runs[0]
    return (
        f"{run.cores} cores, {run.target_uj / 1e6 / run.cores:g} J a core for the market and the "
        f"metered baseline, {run.others_target_uj / 1e6 / run.cores:g} J for the others; joules "
        f"are {run.provenance}: {run.source}."
    )


def text(value: Interval) -> str:
    """Writes a mean and its interval.

    >>> from maxwell.lab.result import Interval
    >>> text(Interval(1.9731, 0.0124, 1.97, 3))
    '1.973 ± 0.012'
    """
    if value.half_width is None:
        return f"{value.mean:.3f}"
    return f"{value.mean:.3f} ± {value.half_width:.3f}"
