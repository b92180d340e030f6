"""The split adds up exactly, its rest is signed, and apportionment hands out every unit."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maxwell.energy import EnergySplit, NodeReading, apportion, attribute, unattributed_warning
from maxwell.errors import EnergyError

UJ = st.integers(0, 10**15)


def reading(metered: int, idle: int) -> NodeReading:
    return NodeReading(
        metered_uj=metered, idle_uj=idle, system_cpu_ns=0, interval_uj=0, provenance="modelled"
    )


@given(metered=UJ, idle=UJ, processes=UJ, system=UJ)
def test_the_split_is_exact(metered: int, idle: int, processes: int, system: int) -> None:
    split = attribute(reading(metered, idle), processes, system)
    assert split.metered == split.processes + split.idle + split.system + split.unattributed
    assert split.active_uj == max(0, metered - idle)
    assert split.unattributed_ppm >= 0


def test_negative_energy_is_refused() -> None:
    with pytest.raises(EnergyError):
        attribute(reading(1, 0), -1, 0)


@pytest.mark.parametrize(
    ("unattributed", "provenance", "says"),
    [
        (0, "modelled", None),
        (5, "modelled", None),
        (-5, "modelled", None),
        (6, "modelled", "outside slices"),
        (6, "silicon", "whole machine"),
        (-6, "modelled", "beyond what the meter saw"),
    ],
)
def test_more_than_five_per_cent_is_explained(
    unattributed: int, provenance: str, says: str | None
) -> None:
    split = EnergySplit(
        metered=150, processes=90 - unattributed, idle=50, system=10, unattributed=unattributed
    )
    warning = unattributed_warning(split, provenance=provenance)
    if says is None:
        assert warning is None
    else:
        assert warning is not None
        assert says in warning
        assert "6.0 %" in warning


@given(total=st.integers(0, 10**12), weights=st.lists(st.integers(0, 10**9), min_size=1))
def test_apportionment(total: int, weights: list[int]) -> None:
    """Goal: parts sum to the whole and are within one unit of the quota; monotone in weight."""
    parts = apportion(total, weights)
    assert sum(parts) == total
    shares = weights if sum(weights) else [1] * len(weights)
    for part, share in zip(parts, shares, strict=True):
        quota = Fraction(total * share, sum(shares))
        assert quota - 1 < part < quota + 1
    order = sorted(range(len(parts)), key=lambda i: (shares[i], -i))
    assert [parts[i] for i in order] == sorted(parts)


def test_apportionment_of_nothing() -> None:
    assert apportion(0, []) == []
    assert apportion(5, [1, 1]) == [3, 2]  # ties to the lower index
    for total, weights in ((1, []), (-1, [1]), (1, [-1])):
        with pytest.raises(EnergyError):
            apportion(total, weights)
