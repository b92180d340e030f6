"""What the price adds: the same failures under five policies, seed by seed.

Means with 95 % intervals (Student's t), and paired differences to forced evacuation alone: the
same seeds, so that what a seed makes easy or hard cancels. Published whatever it is:
docs/decisions/0013-what-the-price-adds.md.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, Final

import msgspec

from maxwell.heat.policy import ABLATION
from maxwell.heat.sim.run import run_config, sim_config

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

UTILISATIONS: Final = (0.65, 0.75, 0.85, 0.90)
REFERENCE: Final = "forced-only"
T_975: Final = (
    12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
    2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
    2.052, 2.048, 2.045,
)  # fmt: skip
"""97.5 % quantiles of Student's t for 1 to 29 degrees of freedom; 1.96 beyond."""


class Interval(msgspec.Struct, frozen=True):
    """A mean and half of its 95 % interval."""

    mean: float
    half: float
    count: int


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One policy at one utilisation."""

    utilisation: float
    policy: str
    value_kept_ratio: Interval
    value_lost_vs_forced: Interval
    """Paired: value kept less that of forced evacuation alone, same seeds."""
    shed90_after_fault_s: Interval
    never_shed: int
    peak_failing_c: Interval
    peak_failing_max_c: float
    peak_absorber_max_c: float
    refusals: Interval
    frozen: Interval
    moves_per_process_min: Interval


def interval(values: Sequence[float]) -> Interval:
    """Returns mean and 95 % half-width.

    >>> interval([1.0, 2.0, 3.0]).mean
    2.0
    """
    count = len(values)
    if count == 0:
        return Interval(float("nan"), float("nan"), 0)
    mean = sum(values) / count
    if count == 1:
        return Interval(mean, float("inf"), 1)
    variance = sum((v - mean) ** 2 for v in values) / (count - 1)
    quantile = T_975[count - 2] if count - 2 < len(T_975) else 1.96
    return Interval(round(mean, 6), round(quantile * sqrt(variance / count), 6), count)


def run_ablation(
    *,
    nodes: int = 40,
    seeds: int = 20,
    utilisations: Sequence[float] = UTILISATIONS,
    policies: Sequence[str] = ABLATION,
    fail_ratio: float = 0.05,
    scenario: str = "fan-death",
    progress: Callable[[str], None] | None = None,
) -> Iterator[Row]:
    """Runs the ablation and yields one row a policy and utilisation.

    Args:
        nodes: of each run.
        seeds: 1 to this.
        utilisations: mean loads to compare at.
        policies: names of what is compared.
        scenario: what fails.
        fail_ratio: share of nodes that fail.
        progress: called with a line before each row.
    """
    for utilisation in utilisations:
        kept: dict[str, list[float]] = {}
        rows: list[tuple[str, list[dict[str, float | None]]]] = []
        for policy in policies:
            if progress is not None:
                progress(f"utilisation {utilisation:.2f}, {policy}, {seeds} seeds")
            reports: list[dict[str, float | None]] = []
            for seed in range(1, seeds + 1):
                config = sim_config(
                    nodes=nodes, scenario=scenario, policy=policy, seed=seed,
                    utilisation=utilisation, fail_ratio=fail_ratio,
                )  # fmt: skip
                report, _ = run_config(config)
                reports.append(msgspec.to_builtins(report))
            kept[policy] = [float(r["value_kept_ratio"] or 0) for r in reports]
            rows.append((policy, reports))
        base = kept.get(REFERENCE)
        for policy, reports in rows:
            yield _row(utilisation, policy, reports, kept[policy], base)


def _row(
    utilisation: float,
    policy: str,
    reports: list[dict[str, float | None]],
    kept: list[float],
    base: list[float] | None,
) -> Row:
    def column(name: str) -> list[float]:
        return [float(value) for r in reports if (value := r[name]) is not None]

    shed = column("shed90_after_fault_s")
    frozen = [float((r["frozen_distress"] or 0) + (r["frozen_price"] or 0)) for r in reports]
    paired = [] if base is None else [a - b for a, b in zip(kept, base, strict=True)]
    return Row(
        utilisation=utilisation,
        policy=policy,
        value_kept_ratio=interval(kept),
        value_lost_vs_forced=interval(paired),
        shed90_after_fault_s=interval(shed),
        never_shed=len(reports) - len(shed),
        peak_failing_c=interval(column("peak_failing_c")),
        peak_failing_max_c=max(column("peak_failing_c")),
        peak_absorber_max_c=max(column("peak_absorber_c")),
        refusals=interval(column("refusals")),
        frozen=interval(frozen),
        moves_per_process_min=interval(column("moves_per_process_min")),
    )
