"""`why`: the figures in its sentences follow from the record; each outcome has its own story."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, get_args

import msgspec
import pytest
from rich.console import Console

from maxwell.node.view import Outcome
from maxwell.observe.explain import RULES, explain_process, explanation_json, opening_credits
from maxwell.observe.explain_text import explanation_view
from maxwell.observe.report import Report

if TYPE_CHECKING:
    from pathlib import Path


def rendered(report: Report, name: str, width: int = 90) -> str:
    console = Console(width=width, file=io.StringIO(), highlight=False, markup=False)
    with console.capture() as capture:
        console.print(explanation_view(explain_process(report, name), width=width))
    return capture.get()


def test_every_outcome_has_a_rule() -> None:
    assert set(RULES) == set(get_args(Outcome))


def test_a_bankrupts_story(report: Report) -> None:
    explanation = explain_process(report, "leech")
    process = report.process("leech")
    assert explanation.outcome == "bankrupt"
    assert "rent" in explanation.rule
    assert f"{process.rent_unpaid:,} credits stayed unpaid" in explanation.what_happened[0]
    subjects = {text.split(":")[0] for text in explanation.counterfactuals}
    assert {"Money", "Income", "Patience", "Sleep"} <= subjects
    assert sum(cost.credits for cost in explanation.costs) <= process.paid_credits
    assert explanation.costs[0].name == "joules burned"
    assert 1 <= len(explanation.last) <= 11


def test_memory_is_named_where_rent_was_a_real_cost(report: Report) -> None:
    hog = explain_process(report, "hog").counterfactuals
    assert any(text.startswith("Memory: 512 MiB less") for text in hog)
    leech = explain_process(report, "leech").counterfactuals
    assert not any(text.startswith("Memory") for text in leech)


def test_more_money_would_have_bought_what_is_claimed(report: Report) -> None:
    """The claim is checked against the run itself: at its late rate, x J last x / rate."""
    explanation = explain_process(report, "leech")
    process = report.process("leech")
    lived_s = (process.died_ns - process.born_ns) / 1e9
    mean = process.paid_credits / lived_s
    assert mean / 2 < explanation.spending_uj_per_s < mean * 2
    assert explanation.income_uj_per_s == 0


def test_the_purse_balances(report: Report) -> None:
    for process in report.record.processes:
        funded = opening_credits(process)
        assert funded == 20_000_000
        assert funded + process.earned_credits == process.paid_credits + process.returned_credits


@pytest.mark.parametrize("outcome", get_args(Outcome))
def test_every_outcome_can_be_told(report: Report, run_dir: Path, outcome: Outcome) -> None:
    record = report.record
    changed = msgspec.structs.replace(
        record.processes[0],
        outcome=outcome,
        slices=0,
        uncollected_uj=7,
        stdout_lost_bytes=9,
        unsupported_calls=("sock_accept",),
        returned_credits=0,
    )
    told = Report(msgspec.structs.replace(record, processes=(changed,)), run_dir=run_dir)
    text = " ".join(rendered(told, changed.name).split())
    assert outcome.replace("_", " ") in text
    assert "It never won a slice" in text
    assert "sock_accept" in text
    assert "9 B of its output" in text


def test_a_life_of_no_time_is_told_too(report: Report) -> None:
    record = report.record
    process = msgspec.structs.replace(
        record.processes[0], outcome="bankrupt", born_ns=5, died_ns=5, paid_credits=0
    )
    told = Report(msgspec.structs.replace(record, processes=(process,)))
    assert "bankrupt" in rendered(told, process.name)


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_the_picture_of_the_purse_fits(report: Report, width: int) -> None:
    for line in rendered(report, "leech", width).splitlines():
        assert len(line.rstrip()) <= width


def test_json_holds_the_same(report: Report) -> None:
    data = explanation_json(explain_process(report, "hog"))
    text = json.dumps(data)
    assert json.loads(text) == data
    assert data["outcome"] == "bankrupt"
    assert isinstance(data["spending_uj_per_s"], str)
    balances = data["balances"]
    assert isinstance(balances, list)
    assert len(balances) > 10
