"""What the figures of a run should be; shown beside them, and checked by tests."""

from __future__ import annotations

from itertools import pairwise
from math import ceil, log10
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from maxwell.heat.sim.metrics import HeatReport

TIGHT: Final = frozenset({"overload", "ten-percent", "gossip-off"})
"""Scenarios in which a failing node may reach trip + 1 K."""


class Target(NamedTuple):
    """A bound: a value, above or below, and by how much it depends on the scenario."""

    limit: float
    above: bool = False
    only: frozenset[str] | None = None

    def text(self, report: HeatReport) -> str:
        """Returns the bound for people, or nothing where it does not apply."""
        if self.only is not None and report.scenario not in self.only:
            return ""
        return f"{'≥' if self.above else '≤'} {self.limit:g}"


_FAILS: Final = frozenset({"fan-death", "fan-death-lossy", "ten-percent", "partition", "liars"})
_STEADY: Final = frozenset({"steady"})

TARGETS: Final[dict[str, Target]] = {
    "peak_failing_c": Target(91.0),
    "peak_absorber_c": Target(82.0, only=_FAILS),
    "node_seconds_above_trip": Target(0.0),
    "shed90_after_fault_s": Target(45.0),
    "shed90_after_distress_s": Target(12.0),
    "informed16_s": Target(0.6),
    "moves_per_process_min": Target(0.1, only=_STEADY),
    "load_sd_w": Target(10.0, only=_STEADY),
    "spectral_peak_ratio": Target(3.0, only=_STEADY),
    "bytes_per_node_s": Target(3_400.0),
    "entry_age_p99_s": Target(6.0),
    "in_degree_min": Target(8.0, above=True),
    "honest_price_shift_max": Target(0.05),
    "feed_over_capacity_s": Target(0.0),
}


def rounds_limit(nodes: int, *, lossy: bool) -> int:
    """Returns the rounds in which 99 % must know of a zone alarm.

    4, 8 and 10 for 10, 1,000 and 10,000 nodes, 6, 11 and 13 with 30 % loss and 10 % dead relays;
    in between by the logarithm, rounded up.
    """
    points = ((1.0, 4, 6), (3.0, 8, 11), (4.0, 10, 13))
    x = max(1.0, log10(nodes))
    for (x0, a0, b0), (x1, a1, b1) in pairwise(points):
        if x <= x1 or x1 == 4.0:
            low, high = (b0, b1) if lossy else (a0, a1)
            return ceil(low + (high - low) * (x - x0) / (x1 - x0) - 1e-9)
    raise AssertionError("the last segment is open")
