"""Goal: the sides do the same work, leeches die under the market only, and no process outlives us.

Method: real runs with budgets of a few joules on one core. What is compared is counted in CPU time
and in results, so that a busy machine changes nothing; nothing is timed.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
from pathlib import Path
from typing import Any, cast

import jsonschema
import pytest

from cli.conftest import Maxwell, here, maxwell
from maxwell.config.records import NodeConfig
from maxwell.energy import EnergyModel
from maxwell.errors import LabError
from maxwell.lab import Experiment, Plan, scientist_vs_leech
from maxwell.lab import plan as plans
from maxwell.lab.experiment import run_side
from maxwell.lab.result import SideName
from maxwell.market.primes import is_prime
from maxwell.node.power import energy_model
from support.program import await_true, cells_of, is_running, started

pytestmark = pytest.mark.native

__all__ = ["here", "maxwell"]  # fixtures of the command line

SCHEMA_FILE = Path(__file__).resolve().parents[2] / "docs/reference/scientist-vs-leech.schema.json"
PAYS_CREDITS = 12_000


@pytest.fixture(scope="module")
def model() -> EnergyModel:
    return energy_model(NodeConfig(cells=1), cells=1)


@pytest.fixture(scope="module")
def found() -> Experiment:
    """One small experiment with an imitator, looked at by several tests."""
    plan = Plan(leeches=1, seed=3, kind="imitator", cores=1, joules_per_core=4.0)
    return scientist_vs_leech(plan, sides=("market", "metered", "allowance"))


@pytest.mark.parametrize("kind", ["imitator", "miner"])
def test_the_market_ends_the_leech(model: EnergyModel, kind: plans.Kind) -> None:
    """Dead with its rent unpaid within a second of its last credit; 14 J are three seconds."""
    plan = Plan(leeches=1, seed=4, kind=kind, cores=1, joules_per_core=14.0)
    side = run_side("market", plan, model, pays_credits=PAYS_CREDITS)
    assert side.outcomes == {"scientist": {"survived": 1}, kind: {"bankrupt": 1}}
    assert side.parasites_uj < 600_000


def test_the_fair_scheduler_does_not(found: Experiment) -> None:
    market, metered = found.sides["market"], found.sides["metered"]
    assert metered.outcomes == {"scientist": {"survived": 1}, "imitator": {"survived": 1}}
    assert market.outcomes["scientist"] == {"survived": 1}
    assert market.parasite_share < 0.2 < metered.parasite_share
    assert market.energy_uj >= found.target_uj
    assert metered.energy_uj >= found.target_uj


def test_the_ratio_is_between_one_and_its_ceiling(found: Experiment) -> None:
    """With 4 J the leech's 0.5 J are an eighth of all, so that 1.8 cannot be expected."""
    ratio = found.results_per_joule_ratio
    assert ratio is not None
    assert 1.3 < ratio < 2.3
    assert found.pays_credits == 2 * found.solo_uj_per_result


def test_a_copy_earns_nothing_and_a_guesser_is_turned_away(found: Experiment) -> None:
    for side in found.sides.values():
        (imitator,) = [guest for guest in side.guests if guest.kind == "imitator"]
        (scientist,) = [guest for guest in side.guests if guest.kind == "scientist"]
        assert scientist.wrong == 0
        assert imitator.wrong <= 17 + imitator.results
        assert imitator.results + scientist.results == side.results


def test_an_equal_budget_ends_the_scientist_too(found: Experiment) -> None:
    allowance = found.sides["allowance"]
    assert allowance.outcomes == {"scientist": {"stopped": 1}, "imitator": {"stopped": 1}}
    assert allowance.energy_uj < found.target_uj
    assert 0 < allowance.results < found.sides["metered"].results


def test_the_figures_are_of_their_schema(found: Experiment) -> None:
    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    data = json.loads(json.dumps(found.to_json()))
    cast(Any, jsonschema).Draft202012Validator(schema).validate(data)
    assert set(data["baselines"]) == {"metered", "allowance"}


def test_all_sides_find_the_same_primes(model: EnergyModel) -> None:
    """Differential: the same guest on two engines, metered and not, and an oracle in Python."""
    plan = Plan(leeches=1, seed=5, kind="spin", cores=1, joules_per_core=1.2)
    primes: dict[str, list[int]] = {}
    sides: tuple[SideName, ...] = ("market", "metered", "unmetered", "stride", "quota")
    for side in sides:
        kept: dict[str, list[int]] = {}
        run_side(side, plan, model, pays_credits=PAYS_CREDITS, keep=kept)
        assert set(kept) == {"scientist-1"}
        primes[side] = kept["scientist-1"]
    longest = max(primes.values(), key=len)
    assert longest == [n for n in range(plan.first, longest[-1] + 1) if is_prime(n)]
    for side, found in primes.items():
        assert len(found) > 20, side
        assert found == longest[: len(found)], side


def test_a_guest_that_ends_by_itself_is_an_error(
    model: EnergyModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(plans.MODULES, "scientist", "samples:hello.wasm")
    plan = Plan(leeches=0, seed=1, cores=1, joules_per_core=1.0)
    with pytest.raises(LabError) as caught:
        run_side("metered", plan, model, pays_credits=0)
    assert caught.value.code == "MX1951"
    assert "scientist-1 ended by itself" in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--leeches", "-1"), "leeches"),
        (("--leeches", "65"), "leeches"),
        (("--leeches", "one"), "leeches"),
        (("--seed", "-1"), "seed"),
        (("--seed", "18446744073709551616"), "seed"),
        (("--kind", "banker"), "kind"),
        (("--joules-per-core", "nan"), "joules"),
        (("--joules-per-core", "1e99"), "joules"),
        (("--quick", "--joules-per-core", "3"), "quick"),
        (("--cores", "0"), "cores"),
        (("--side", "lottery"), "side"),
    ],
)
def test_nonsense_on_the_command_line(
    maxwell: Maxwell, arguments: tuple[str, ...], word: str
) -> None:
    done = maxwell("lab", "scientist-vs-leech", *arguments)
    assert done.code == 2
    assert done.out == ""
    assert "error: " in done.err
    assert "hint: " in done.err
    assert word in done.err


@pytest.mark.parametrize("option", ["--leeches", "--seeds"])
def test_nonsense_in_a_sweep(maxwell: Maxwell, tmp_path: Path, option: str) -> None:
    done = maxwell("lab", "leech-sweep", option, "1,-2", "--out", str(tmp_path / "out"))
    assert done.code == 2
    assert "MX1006" in done.err


def test_without_the_stock_engine_there_is_a_hint(
    maxwell: Maxwell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find_spec(name: str, package: str | None = None) -> None:
        del name, package

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    done = maxwell("lab", "scientist-vs-leech")
    assert done.code == 125
    assert "MX1950" in done.err
    assert "maxwell-hypervisor[lab]" in done.err


def test_the_table_and_the_files_of_a_sweep(maxwell: Maxwell, tmp_path: Path) -> None:
    done = maxwell(
        "lab", "leech-sweep", "--leeches", "0", "--seeds", "4", "--cores", "1", "--no-each-kind",
        "--joules-per-core", "0.6", "--side", "market", "--side", "metered",
        "--out", str(tmp_path / "out"),
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "| 0 | mixed | metered | " in done.out
    data = json.loads((tmp_path / "out/figures.json").read_text())
    assert data["schema"] == "maxwell.lab.leech-sweep/1"
    assert data["runs"][0]["seed"] == "4"
    assert (tmp_path / "out/ratio.svg").read_bytes().startswith(b"<?xml")
    assert (tmp_path / "out/table.md").read_text() == done.out


ENDLESS = (
    "lab", "scientist-vs-leech", "--side", "metered", "--cores", "1", "--leeches", "2",
    "--kind", "spin", "--joules-per-core", "600", "--json",
)  # fmt: skip


def children(pid: int) -> list[int]:
    try:
        return [
            int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        ]
    except OSError:
        return []


def guests_of(pid: int) -> list[int]:
    """The guest processes of the side that runs now: children of the engine, with work done."""
    engines = [
        child
        for child in children(pid)
        if b"maxwell.lab.zygote" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]
    return [guest for engine in engines for guest in children(engine)]


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -signal.SIGKILL)],
)
def test_no_guest_outlives_the_experiment(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    with started(*ENDLESS, cwd=tmp_path) as lab:
        # The scientist that is measured alone comes first.
        await_true("three guests", lambda: len(guests_of(lab.pid)) == 3, while_runs=lab)
        guests = guests_of(lab.pid)
        os.kill(lab.pid, number)
        assert lab.wait() == code
        await_true("all ended", lambda: not any(is_running(guest) for guest in guests))
    if number is not signal.SIGKILL:
        data = json.loads((tmp_path / "stdout").read_text())
        assert data["interrupted"] is True
        assert data["results_per_joule_ratio"] is None
        assert "Traceback" not in (tmp_path / "stderr").read_text()


@pytest.mark.slow
def test_the_market_settles_before_an_experiment_is_interrupted(tmp_path: Path) -> None:
    arguments = [word if word != "metered" else "market" for word in ENDLESS]
    with started(*arguments, cwd=tmp_path) as lab:
        await_true("a cell", lambda: cells_of(lab.pid), while_runs=lab)
        cells = cells_of(lab.pid)
        os.kill(lab.pid, signal.SIGINT)
        assert lab.wait() == 130
        assert not any(is_running(cell) for cell in cells)
    assert json.loads((tmp_path / "stdout").read_text())["interrupted"] is True
