"""Tables: every figure of a process in its row, and never wider than the terminal."""

from __future__ import annotations

import io

import msgspec
import pytest
from rich.console import Console, Group, RenderableType

from maxwell.energy import EnergySplit
from maxwell.node.view import NodeView
from maxwell.observe.report import Report
from maxwell.observe.table import energy_line, live_table, report_table, run_line, summary
from maxwell.observe.text import joules
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
        "process", "state", "bid", "paid", "energy", "power", "results", "results/J", "purse",
        "broke", "in",
    ]  # fmt: skip
    assert lines[0].startswith("time  9.0 s of 75 s  price 1.")
    assert "power" in lines[0]
    assert "alive 7 of 8" in lines[0]
    primes = next(line for line in lines if line.startswith("primes")).split()
    assert primes[1] == "running"
    assert lines[-1].startswith("energy ")


@pytest.mark.parametrize("width", [40, 60, 80, 100, 140])
def test_the_live_table_keeps_its_shape(width: int) -> None:
    """Over a whole run every title and every column stays where it was in the first epoch."""
    heads: set[str] = set()
    shapes: set[int] = set()
    for view in MadeUpRun(seconds=30).views():
        lines = rendered(live_table(view, [1, 2], width=width, rows_max=30), width)
        heads |= {line for line in lines if line.startswith("process")}
        shapes.add(len(lines))
        if width >= 72:
            heads.add(" " * lines[0].index("price"))
    assert len(heads) == (2 if width >= 72 else 1)
    assert len(shapes) == 1


def test_what_a_standard_terminal_shows() -> None:
    lines = rendered(live_table(view_after(90), [1], width=80, rows_max=30), 80)
    head = next(line for line in lines if line.startswith("process"))
    assert head.split() == [
        "process", "state", "paid", "energy", "power", "results/J", "purse", "broke", "in",
    ]  # fmt: skip


def test_a_purse_that_went_back_is_not_an_empty_one() -> None:
    """The finished show what their account got; the bankrupt have nothing to show."""
    run = MadeUpRun(seconds=30)
    view = list(run.views())[-1]
    lines = rendered(live_table(view, [1], width=140, rows_max=30), 140)
    finished = next(p for p in view.processes if p.outcome == "finished" and p.returned_credits)
    row = next(line for line in lines if line.startswith(finished.name)).split()
    assert " ".join(row[-3:-1]) == joules(finished.returned_credits)
    leech = next(line for line in lines if line.startswith("leech"))
    assert leech.split()[-3:] == ["0", "J", "–"]


def test_the_energy_line_fits_and_adds_up() -> None:
    energy = EnergySplit(
        metered=277_000_000, processes=120_000_000, idle=82_000_000, system=76_500_000,
        unattributed=-1_500_000,
    )  # fmt: skip
    setup = EnergySplit(
        metered=55_000_000, processes=0, idle=19_000_000, system=35_500_000, unattributed=500_000
    )

    def shown(width: int) -> list[str]:
        line = energy_line(energy, setup, 9_700_000_000, width=width)
        return rendered(Group(line), width)

    assert shown(140) == [
        "energy 277 J = processes 120 J + idle 63.0 J + system 41.0 J + "
        "set-up 55.0 J (9.7 s before the start) + unattributed -2.00 J"
    ]
    assert shown(80) == [
        "energy 277 J = processes 120 J + idle 63.0 J + system 41.0 J + rest -2.00 J",
        "       + set-up 55.0 J (9.7 s before the start)",
    ]
    assert max(map(len, shown(40))) == 40


def test_an_interrupted_run_says_so(report: Report) -> None:
    record = msgspec.structs.replace(report.record, interrupted=True)
    assert run_line(record) == (
        "8 processes in 20 s, interrupted by Ctrl-C or SIGTERM: 5 finished, 3 bankrupt"
    )


def test_no_figure_is_shown_that_is_noise(report: Report) -> None:
    text = " ".join(rendered(summary(report), 120))
    assert "metering" not in text
    assert "auctions and settlement took 0.3 % of the cells' CPU time" in text


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
    run = MadeUpRun(seconds=1)
    for _ in run.views():
        pass
    failed = msgspec.structs.replace(run.record(), conservation_ok=False)
    lines = rendered(summary(Report(failed)), 100)
    assert lines[0] == "conservation: FAILED: do not trust any figure of this run"


def test_the_run_in_one_line(report: Report) -> None:
    assert run_line(report.record) == "8 processes in 20 s: 5 finished, 3 bankrupt"
