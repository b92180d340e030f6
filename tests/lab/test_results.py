"""Goal: ratios, intervals, JSON and figure follow from the figures, and from nothing else.

Method: made-up sides with round numbers; SciPy-free reference values of Student's t.
"""

from __future__ import annotations

import json
import math
import statistics
from pathlib import Path
from typing import Any, cast

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maxwell.lab import Experiment, GuestResult, Side, Sweep
from maxwell.lab.figure import figure_svg
from maxwell.lab.result import SideName, interval
from maxwell.lab.sweep import markdown

SCHEMA_FILE = Path(__file__).resolve().parents[2] / "docs/reference/scientist-vs-leech.schema.json"


def side(name: SideName, results: int, energy_uj: int, parasites_uj: int = 0) -> Side:
    guest = GuestResult(
        name="spin-1-1", kind="spin", outcome="bankrupt", energy_uj=parasites_uj, results=0, wrong=0
    )
    return Side(
        side=name,
        scheduler="made up",
        results=results,
        energy_uj=energy_uj,
        control_uj=1,
        parasites_uj=parasites_uj,
        wall_ns=10**9,
        guests=(guest,),
    )


def experiment(leeches: int = 1, seed: int = 1, results: int = 180, **more: Any) -> Experiment:
    sides = [
        side("market", results, 1_000_000, 20_000),
        side("metered", 100, 1_000_000, 500_000),
        side("stride", 99, 1_000_000, 500_000),
    ]
    fields: dict[str, Any] = {
        "version": "0",
        "leeches": leeches,
        "seed": seed,
        "kind": "mixed",
        "cores": 2,
        "target_uj": 1_000_000,
        "others_target_uj": 1_000_000,
        "core_power_mw": 5_000,
        "provenance": "modelled",
        "source": "made up",
        "relative_interval_ppm": 400_000,
        "solo_uj_per_result": 5_000,
        "pays_credits": 10_000,
        "engines": {"market": "a", "baselines": "b"},
        "sides": {one.side: one for one in sides},
        **more,
    }
    return Experiment(**fields)


def test_ratios() -> None:
    found = experiment()
    assert found.ceiling == 2.0
    assert found.results_per_joule_ratio == pytest.approx(1.8)
    assert found.ratios == {"metered": pytest.approx(1.8), "stride": pytest.approx(180 / 99)}
    assert found.sides["market"].parasite_share == pytest.approx(0.02)
    assert found.sides["market"].outcomes == {"spin": {"bankrupt": 1}}


def test_a_side_that_is_missing_or_found_nothing_has_no_ratio() -> None:
    barren = experiment(sides={"market": side("market", 1, 1), "metered": side("metered", 0, 1)})
    assert barren.results_per_joule_ratio is None
    assert experiment(sides={"metered": side("metered", 1, 1)}).ratios == {"metered": None}
    assert experiment(sides={}, interrupted=True).results_per_joule_ratio is None


@pytest.mark.parametrize(
    "found", [experiment(), experiment(seed=2**64 - 1), experiment(sides={}, interrupted=True)]
)
def test_json_is_of_its_schema(found: Experiment) -> None:
    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    data = json.loads(json.dumps(found.to_json()))
    cast(Any, jsonschema).Draft202012Validator(schema).validate(data)
    assert data["results_per_joule_ratio"] == found.results_per_joule_ratio
    assert data["seed"] == str(found.seed)


@given(st.lists(st.floats(0.1, 100), min_size=2, max_size=10))
def test_intervals_are_students(values: list[float]) -> None:
    got = interval(values)
    assert got.mean == pytest.approx(statistics.fmean(values))
    assert got.least == min(values)
    assert got.half_width is not None
    # The t quantile lies between the normal's and that of one degree of freedom.
    error = statistics.stdev(values) / math.sqrt(len(values))
    assert 1.9 * error - 1e-9 <= got.half_width <= 12.8 * error + 1e-9


def test_an_interval_of_three_values() -> None:
    """t(0.975, 2) = 4.303; mean 2, standard error 1/√3."""
    assert interval([1.0, 2.0, 3.0]).half_width == pytest.approx(4.303 / math.sqrt(3), rel=1e-4)
    assert interval([5.0]).half_width is None


def test_a_sweep_sums_up_by_leeches_kind_and_baseline() -> None:
    runs = (
        experiment(seed=1, results=180),
        experiment(seed=2, results=190),
        experiment(leeches=3, results=350),
        experiment(kind="spin", results=195),
    )
    sweep = Sweep(runs=runs)
    rows = {(row.leeches, row.kind, row.baseline): row for row in sweep.rows}
    assert len(rows) == 6
    row = rows[1, "mixed", "metered"]
    assert (row.ratio.count, row.ceiling) == (2, 2.0)
    assert row.ratio.mean == pytest.approx(1.85)
    table = markdown(sweep)
    assert "| 3 | mixed | metered | 3.500 | 87.5% | 2.00% | 50.0% |" in table
    assert len(cast("list[object]", sweep.to_json()["runs"])) == 4


def test_the_figure_shows_every_baseline_and_is_the_same_every_time() -> None:
    sweep = Sweep(runs=(experiment(), experiment(leeches=3, results=350)))
    drawn = figure_svg(sweep)
    assert drawn == figure_svg(sweep)
    for words in (b"against metered", b"against stride", b"ceiling, N + 1", b"leeches per"):
        assert words in drawn
    assert figure_svg(Sweep(runs=())).startswith(b"<?xml")
