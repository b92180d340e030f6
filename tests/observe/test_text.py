"""Numbers for tables: always readable, never wider than their column, examples that run."""

from __future__ import annotations

import doctest
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maxwell.observe import columns, decimals, events, folder, text


@pytest.mark.parametrize("module", [columns, decimals, events, folder, text])
def test_the_examples_of_the_documentation_run(module: ModuleType) -> None:
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0


@given(uj=st.integers(-(10**18), 10**18))
def test_energies_have_three_digits_and_a_unit(uj: int) -> None:
    shown = text.joules(uj)
    number, unit = shown.split(" ")
    assert unit in {"GJ", "MJ", "kJ", "J", "mJ", "µJ"}
    assert len(shown) <= 13
    factor = {"GJ": 1e15, "MJ": 1e12, "kJ": 1e9, "J": 1e6, "mJ": 1e3, "µJ": 1.0}[unit]
    assert float(number.replace(",", "")) * factor == pytest.approx(uj, rel=6e-3)


@given(ppm=st.integers(0, 10**12))
def test_prices_are_close_to_what_they_show(ppm: int) -> None:
    assert float(text.price(ppm).replace(",", "")) == pytest.approx(ppm / 1e6, rel=1e-3, abs=6e-4)


@given(value=st.floats(0, 1e9))
def test_durations_are_short(value: float) -> None:
    assert len(text.seconds(value)) <= 10


@given(
    values=st.lists(st.floats(-1e12, 1e12), max_size=100),
    width=st.integers(1, 50),
    height=st.integers(1, 8),
)
def test_plots_have_the_size_that_was_asked_for(
    values: list[float], width: int, height: int
) -> None:
    line = text.sparkline(values, width=width)
    assert len(line) == min(width, len(values))
    lines = text.curve(values, width=width, height=height)
    assert len(lines) == height
    assert {len(row) for row in lines} == {min(width, len(values))}


@given(values=st.lists(st.integers(0, 10**9), min_size=1, max_size=60), width=st.integers(1, 60))
def test_resampling_keeps_every_value_in_one_bin(values: list[int], width: int) -> None:
    bins = text.resample(values, width)
    assert len(bins) == min(width, len(values))
    assert min(values) <= min(bins) <= max(bins) <= max(values)
