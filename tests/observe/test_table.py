"""Tables: every figure of a process in its row, and never wider than the terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console, RenderableType

from maxwell.node.view import NodeView
from maxwell.observe.report import Report
from maxwell.observe.table import live_table, report_table, run_line, summary
from observe.made_up import MadeUpRun, large_fleet


def rendered(renderable: RenderableType, width: int) -> list[str]:
    console = Console(width=width, file=io.StringIO(), highlight=False, markup=False)
    with console.capture() as capture:
        console.print(renderable)
    return [line.rstrip() for line in capture.get().splitlines()]


def view_after(epochs: int, run: MadeUpRun | None = None) -> NodeView:
    views = (MadeUpRun() if run is None else run).views()
    view = next(views)
    for _ in range(epochs - 1):
        view = next(views)
    return view


@pytest.mark.parametrize("width", [40, 72, 80, 100, 200])
def test_the_live_table_fits(width: int) -> None:
    lines = rendered(live_table(view_after(90), [1, 2, 3], width=width, rows_max=30), width)
    assert max(map(len, lines)) <= width
    assert sum(line.startswith(("nextpnr", "primes", "hog")) for line in lines) == 4


def test_the_live_table_shows_every_promised_column() -> None:
    lines = rendered(live_table(view_after(90), [1], width=120, rows_max=30), 120)
    head = next(line for line in lines if line.startswith("process"))
    assert head.split() == [
        "process", "state", "bid", "paid", "energy", "J/s", "results", "results/J", "purse",
        "broke", "in",
    ]  # fmt: skip
    assert lines[0].startswith("time 9.0 s of 75 s   price 1.")
    assert "power" in lines[0]
    assert "alive 7 of 8" in lines[0]
    primes = next(line for line in lines if line.startswith("primes")).split()
    assert primes[1] == "running"
    assert lines[-1].startswith("energy ")


def test_many_processes_are_the_busiest_and_a_count() -> None:
    run = MadeUpRun(large_fleet(100, seed=1))
    lines = rendered(live_table(view_after(30, run), [1], width=100, rows_max=20), 100)
    assert sum(line.startswith("worker-") for line in lines) == 20
    assert any(line.startswith("… 80 more: ") for line in lines)


@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_report_fits(report: Report, width: int) -> None:
    lines = rendered(report_table(report, width=width), width)
    lines += rendered(summary(report), width)
    assert max(map(len, lines)) <= width
    assert any(line.split() == ["conservation:", "ok"] for line in lines)


def test_the_report_of_a_failed_conservation_says_so() -> None:
    import msgspec

    run = MadeUpRun(seconds=1)
    for _ in run.views():
        pass
    failed = msgspec.structs.replace(run.record(), conservation_ok=False)
    lines = rendered(summary(Report(failed)), 100)
    assert lines[0] == "conservation: FAILED: do not trust any figure of this run"


def test_the_run_in_one_line(report: Report) -> None:
    assert run_line(report.record) == "8 processes in 20 s: 5 finished, 3 bankrupt"
