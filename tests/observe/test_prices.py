"""`prices.svg`: well formed, deterministic, readable with one process and with a hundred."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

from maxwell.observe.history import History, read_history
from maxwell.observe.prices import NAMED_MAX, prices_svg
from maxwell.observe.report import Report
from observe.made_up import MadeUpRun, large_fleet, write_run

if TYPE_CHECKING:
    from pathlib import Path


def texts(svg: bytes) -> str:
    """Returns all text of a picture."""
    return " ".join("".join(node.itertext()) for node in ElementTree.fromstring(svg).iter())


def test_the_picture_names_processes_and_their_ends(report: Report) -> None:
    svg = prices_svg(report.history, report.record)
    shown = texts(svg)
    for process in report.record.processes:
        assert process.name in shown
    assert "bankrupt at" in shown
    assert "finished at" in shown


def test_equal_runs_give_equal_pictures(report: Report) -> None:
    first = prices_svg(report.history, report.record)
    assert first == prices_svg(report.history, report.record)
    assert b"<dc:date>" not in first


def test_a_hundred_processes_are_ten_names_and_a_count(tmp_path: Path) -> None:
    record = write_run(tmp_path, large_fleet(100, seed=3), seconds=10)
    svg = prices_svg(read_history(tmp_path / "events.jsonl"), record)
    shown = texts(svg)
    named = sum(f"{process.name}\n" in shown or f"{process.name} " in shown
                for process in record.processes)  # fmt: skip
    assert named >= NAMED_MAX
    assert "90 more" in shown
    assert len(svg) < 1_000_000


@pytest.mark.parametrize("seconds", [0.1, 1.0])
def test_a_run_without_history_is_an_empty_picture(seconds: float) -> None:
    run = MadeUpRun(seconds=seconds)
    for _ in run.views():
        pass
    ElementTree.fromstring(prices_svg(History(), run.record()))


def test_the_plot_leaves_the_users_matplotlib_alone(report: Report) -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    prices_svg(report.history, report.record)
    assert dict(mpl.rcParams) == before
