"""What an experiment found. Joules are integers of microjoules; ratios are floats."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Literal, cast

import msgspec

from maxwell.lab.plan import Kind
from maxwell.observe.decimals import JsonValue, to_json

if TYPE_CHECKING:
    from collections.abc import Sequence

SCHEMA: Final = "maxwell.lab.scientist-vs-leech/1"

OURS: Final = "market"
BASELINE: Final = "metered"
"""What `results_per_joule_ratio` is against."""

SideName = Literal["market", "metered", "unmetered", "quota", "stride", "allowance", "equal-bids"]


class GuestResult(msgspec.Struct, frozen=True, kw_only=True):
    """One guest of one side."""

    name: str
    kind: str
    outcome: str
    """`survived` when it still ran at the end; else as in a report, or `stopped` by a quota."""
    energy_uj: int
    """Joules of its own."""
    results: int
    """Distinct verified results that it was first with."""
    wrong: int
    """Answers that the sponsor judged and refused."""


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One scheduler's run."""

    side: SideName
    scheduler: str
    """In words: what gave out the cores."""
    results: int
    """Distinct verified results of all guests."""
    energy_uj: int
    """CPU time of the operating-system processes that run guests, times core power. The market's
    decisions and settlement are in it; starting up and compiling are not, on any side."""
    control_uj: int
    """CPU time of everything else that the side needed, set-up and verification included."""
    parasites_uj: int
    """Joules of the leeches, a part of `energy_uj`."""
    wall_ns: int
    guests: tuple[GuestResult, ...]

    @property
    def results_per_joule(self) -> float:
        """Verified results per joule of all processes; 0 when nothing ran."""
        return self.results * 1e6 / self.energy_uj if self.energy_uj else 0.0

    @property
    def parasite_share(self) -> float:
        """Part of the joules that the leeches burned."""
        return self.parasites_uj / self.energy_uj if self.energy_uj else 0.0

    @property
    def outcomes(self) -> dict[str, dict[str, int]]:
        """How many guests of each kind ended how."""
        counts: dict[str, dict[str, int]] = {}
        for guest in self.guests:
            of_kind = counts.setdefault(guest.kind, {})
            of_kind[guest.outcome] = of_kind.get(guest.outcome, 0) + 1
        return counts


class Experiment(msgspec.Struct, frozen=True, kw_only=True):
    """All sides of one experiment."""

    version: str
    leeches: int
    seed: int
    kind: Kind
    cores: int
    target_uj: int
    others_target_uj: int
    core_power_mw: int
    provenance: str
    """Where the joules come from; `modelled` is core power times CPU time."""
    source: str
    relative_interval_ppm: int
    """Half-width of the interval around a joule; the same factor on all sides, so that it does not
    touch the ratios."""
    solo_uj_per_result: int
    """Joules of a result of a scientist that runs alone on the metered baseline."""
    pays_credits: int
    engines: dict[str, str]
    sides: dict[str, Side]
    interrupted: bool = False

    @property
    def ceiling(self) -> float:
        """The largest ratio there can be: leeches + 1."""
        return self.leeches + 1.0

    def ratio(self, baseline: str) -> float | None:
        """Returns our results per joule over a baseline's; None when a side is missing or empty."""
        ours, theirs = self.sides.get(OURS), self.sides.get(baseline)
        if ours is None or theirs is None or not theirs.results_per_joule:
            return None
        return ours.results_per_joule / theirs.results_per_joule

    @property
    def results_per_joule_ratio(self) -> float | None:
        """The figure of the experiment: the ratio to the metered baseline."""
        return self.ratio(BASELINE)

    @property
    def ratios(self) -> dict[str, float | None]:
        """The ratio to each baseline that was run."""
        return {name: self.ratio(name) for name in self.sides if name != OURS}

    def to_json(self) -> dict[str, JsonValue]:
        """Returns what `--json` prints, see docs/reference/scientist-vs-leech.schema.json."""
        plain = cast("dict[str, object]", msgspec.to_builtins(self))
        sides = {name: side_to_builtins(side) for name, side in self.sides.items()}
        del plain["sides"]
        first = {
            "schema": SCHEMA,
            "results_per_joule_ratio": self.results_per_joule_ratio,
            "ceiling": self.ceiling,
            "ratios": self.ratios,
        }
        last = {"ours": sides.pop(OURS, None), "baselines": sides}
        encoded = to_json({**first, **plain, **last})
        assert isinstance(encoded, dict)
        return encoded


def side_to_builtins(side: Side) -> dict[str, object]:
    """Returns a side with what follows from its figures."""
    plain = cast("dict[str, object]", msgspec.to_builtins(side))
    plain["results_per_joule"] = side.results_per_joule
    plain["parasite_share"] = side.parasite_share
    plain["outcomes"] = side.outcomes
    return plain


class Interval(msgspec.Struct, frozen=True):
    """A mean over seeds with its 95 % confidence interval."""

    mean: float
    half_width: float | None
    """Student's t times the standard error; None for a single value."""
    least: float
    count: int


# Two-sided 95 % quantiles of Student's t for 1 to 10 degrees of freedom; more use the normal's.
_T: Final = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)


def interval(values: Sequence[float]) -> Interval:
    """Returns mean and confidence of independent values, at least one.

    >>> interval([2.0, 2.0, 2.0])
    Interval(mean=2.0, half_width=0.0, least=2.0, count=3)
    """
    assert values
    count = len(values)
    mean = math.fsum(values) / count
    if count == 1:
        return Interval(mean, None, values[0], 1)
    spread = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
    t = _T[count - 2] if count - 2 < len(_T) else 1.96
    return Interval(mean, t * math.sqrt(spread / count), min(values), count)
