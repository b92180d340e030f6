"""Terminal tables: the node while it runs, and the report when it has run."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from maxwell.observe.columns import Column, build_table, short_name
from maxwell.observe.text import bits, joules, price, seconds, share, significant, sparkline, watts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType
    from rich.text import Text

    from maxwell.energy import EnergySplit
    from maxwell.node.record import ProcessRecord, RunRecord
    from maxwell.node.view import NodeView, ProcessView
    from maxwell.observe.report import Report

NS: Final = 1_000_000_000

OUTCOME_STYLES: Final = {
    "finished": "green",
    "bankrupt": "red",
    "trapped": "magenta",
    "out_of_memory": "magenta",
    "deadline": "yellow",
    "killed": "yellow",
    "lost": "bold red",
}
STATE_STYLES: Final = {"blocked": "dim", "pending": "dim", "broke": "red"}

SPARK_WIDTH: Final = 24
"""Characters of the price's course."""

SPARK_TERMINAL_WIDTH_MIN: Final = 84
"""Below it the course of the price would break the line."""

REPORT_ROWS_MAX: Final = 60
"""Rows of the final table; `report.json` has them all."""


def live_table(
    view: NodeView, prices_ppm: Sequence[int], *, width: int, rows_max: int
) -> RenderableType:
    """Draws the node as it is.

    Args:
        view: The last epoch.
        prices_ppm: Prices of the last epochs, oldest first.
        width: Characters of the terminal.
        rows_max: Processes shown at most; those that burn most come first when not all fit.
    """
    from rich.console import Group

    shown, hidden = _pick(view.processes, rows_max)
    styles = [
        OUTCOME_STYLES.get(p.outcome, "") + " dim" if p.outcome else STATE_STYLES.get(p.state, "")
        for p in shown
    ]
    parts: list[RenderableType] = [
        _head(view, prices_ppm if width >= SPARK_TERMINAL_WIDTH_MIN else ()),
        "",
        build_table(_live_columns(shown), styles=styles, width=width),
    ]
    if hidden:
        parts.append(_dim(_hidden(hidden)))
    parts += ["", energy_line(view.energy)]
    return Group(*parts)


def report_table(report: Report, *, width: int) -> RenderableType:
    """Draws what each process of a finished run cost and earned."""
    from rich.console import Group

    record = report.record
    shown = record.processes[:REPORT_ROWS_MAX]
    hidden = record.processes[REPORT_ROWS_MAX:]
    styles = [OUTCOME_STYLES.get(process.outcome, "") for process in shown]
    parts: list[RenderableType] = [build_table(_report_columns(shown), styles=styles, width=width)]
    if hidden:
        counts = Counter(process.outcome.replace("_", " ") for process in hidden)
        listed = ", ".join(f"{count} {outcome}" for outcome, count in counts.most_common())
        parts.append(_dim(f"… {len(hidden)} more: {listed}"))
    return Group(*parts)


def energy_text(energy: EnergySplit) -> str:
    """Writes where the node's joules went."""
    parts = (
        f"processes {joules(energy.processes)}",
        f"idle {joules(energy.idle)}",
        f"system {joules(energy.system)}",
        f"unattributed {joules(energy.unattributed)}",
    )
    return f"{joules(energy.metered)} = {' + '.join(parts)}"


def energy_line(energy: EnergySplit) -> Text:
    """Writes where the node's joules went, with its label."""
    from rich.text import Text

    return Text.assemble(("energy ", "bold"), energy_text(energy))


def summary(report: Report) -> RenderableType:
    """Draws the node's account: conservation, energy, credits, price, provenance."""
    from rich.table import Table
    from rich.text import Text

    record, credits = report.record, report.record.credits
    interval = record.interval_uj / record.energy.metered if record.energy.metered else 0.0
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(
        "conservation:",
        Text("ok", "green")
        if record.conservation_ok
        else Text("FAILED: do not trust any figure of this run", "bold red"),
    )
    grid.add_row("energy", energy_text(record.energy))
    grid.add_row("", f"{record.provenance}, ±{share(interval)}: {record.model.source}")
    grid.add_row(
        "credits",
        f"minted {joules(credits.minted)} = held {joules(credits.held)}"
        f" + leased {joules(credits.leased)} + escrowed {joules(credits.escrowed)}"
        f" + burned {joules(credits.burned)} + commons {joules(credits.commons)}"
        f" + expired {joules(credits.expired)}",
    )
    grid.add_row(
        "price",
        f"mean {price(record.price_mean_ppm)} credits/µJ, "
        f"market overhead {share(record.market_overhead_ratio)}, "
        f"metering {share(record.metering_overhead_ratio)}",
    )
    return grid


def _head(view: NodeView, prices_ppm: Sequence[int]) -> Text:
    """Writes the first line: time, price and its course, power, processes."""
    from rich.text import Text

    elapsed = seconds(view.elapsed_ns / NS)
    limit = "" if view.duration_ns is None else f" of {seconds(view.duration_ns / NS)}"
    alive = sum(process.outcome is None for process in view.processes)
    spark = sparkline(prices_ppm, width=SPARK_WIDTH, floor=min(prices_ppm, default=0))
    return Text.assemble(
        ("time ", "bold"),
        f"{elapsed}{limit}   ",
        ("price ", "bold"),
        f"{price(view.price_ppm)} ",
        (f"{spark}   ", "cyan"),
        ("power ", "bold"),
        f"{watts(view.power_mw)}   ",
        ("alive ", "bold"),
        f"{alive} of {len(view.processes)}",
    )


def _live_columns(shown: Sequence[ProcessView]) -> list[Column]:
    """Makes the columns of the live table, in their order."""
    return [
        Column(title="process", cells=[short_name(p.name) for p in shown], rank=0, justify="left"),
        Column(
            title="state",
            cells=[(p.outcome or p.state).replace("_", " ") for p in shown],
            rank=0,
            justify="left",
        ),
        Column(title="bid", cells=[_if_lives(p, price(p.bid_ppm)) for p in shown], rank=4),
        Column(title="paid", cells=[_if_ran(p, price(p.price_ppm)) for p in shown], rank=2),
        Column(title="energy", cells=[joules(p.energy_uj) for p in shown], rank=1),
        Column(title="J/s", cells=[_if_lives(p, watts(p.power_mw)) for p in shown], rank=3),
        Column(title="results", cells=[f"{p.results:,}" for p in shown], rank=6),
        Column(
            title="results/J", cells=[_per_joule(p.results, p.energy_uj) for p in shown], rank=5
        ),
        *_information_columns(shown),
        Column(title="purse", cells=[joules(p.balance_credits) for p in shown], rank=0),
        Column(title="broke in", cells=[_broke_in(p) for p in shown], rank=1),
    ]


def _report_columns(shown: Sequence[ProcessRecord]) -> list[Column]:
    """Makes the columns of the final table, in their order."""
    return [
        Column(title="process", cells=[short_name(p.name) for p in shown], rank=0, justify="left"),
        Column(
            title="outcome",
            cells=[p.outcome.replace("_", " ") for p in shown],
            rank=0,
            justify="left",
        ),
        Column(title="lived", cells=[seconds((p.died_ns - p.born_ns) / NS) for p in shown], rank=4),
        Column(title="energy", cells=[joules(p.energy_uj) for p in shown], rank=0),
        Column(title="premium", cells=[joules(p.premium_credits) for p in shown], rank=6),
        Column(title="rent", cells=[joules(p.rent_credits) for p in shown], rank=5),
        Column(title="tax", cells=[joules(p.tax_credits) for p in shown], rank=7),
        Column(title="paid", cells=[joules(p.paid_credits) for p in shown], rank=1),
        Column(title="earned", cells=[joules(p.earned_credits) for p in shown], rank=1),
        Column(title="left", cells=[joules(p.returned_credits) for p in shown], rank=3),
        Column(title="results", cells=[f"{p.results:,}" for p in shown], rank=2),
        Column(
            title="results/J", cells=[_per_joule(p.results, p.energy_uj) for p in shown], rank=2
        ),
        *_information_columns(shown),
    ]


def _information_columns(shown: Sequence[ProcessView] | Sequence[ProcessRecord]) -> list[Column]:
    """Makes the columns of verified bits, if any process won or lost some."""
    if not any(p.bits_q32 for p in shown):
        return []
    return [
        Column(title="bits", cells=[bits(p.bits_q32) for p in shown], rank=1),
        Column(
            title="bits/J",
            cells=[_per_joule(p.bits_q32 / (1 << 32), p.energy_uj) for p in shown],
            rank=1,
        ),
    ]


def _pick(
    processes: Sequence[ProcessView], rows_max: int
) -> tuple[Sequence[ProcessView], Sequence[ProcessView]]:
    """Splits processes into those shown and those hidden; the living that burn most are shown."""
    assert rows_max > 0
    if len(processes) <= rows_max:
        return processes, ()
    ranked = sorted(
        range(len(processes)),
        key=lambda index: (
            processes[index].outcome is not None,
            -processes[index].power_mw,
            -processes[index].energy_uj,
            index,
        ),
    )
    shown = set(ranked[:rows_max])
    return (
        [process for index, process in enumerate(processes) if index in shown],
        [process for index, process in enumerate(processes) if index not in shown],
    )


def _hidden(hidden: Sequence[ProcessView]) -> str:
    """Counts what the table does not show."""
    counts = Counter((p.outcome or p.state).replace("_", " ") for p in hidden)
    return f"… {len(hidden)} more: " + ", ".join(
        f"{count} {state}" for state, count in counts.most_common()
    )


def _per_joule(results: float, energy_uj: int) -> str:
    """Formats results or bits per joule; a dash for a process without any."""
    if results == 0 or energy_uj == 0:
        return "–"
    return significant(results / (energy_uj / 1e6))


def _broke_in(process: ProcessView) -> str:
    """Formats the time to bankruptcy; a dash for the dead, ∞ for purses that do not fall."""
    if process.outcome is not None:
        return "–"
    return "∞" if process.bankrupt_in_s is None else seconds(process.bankrupt_in_s)


def _if_lives(process: ProcessView, text: str) -> str:
    """Returns the text; a dash for the dead."""
    return "–" if process.outcome is not None else text


def _if_ran(process: ProcessView, text: str) -> str:
    """Returns the text; a dash for those that never paid a price."""
    return text if process.price_ppm else "–"


def _dim(text: str) -> Text:
    """Writes a remark."""
    from rich.text import Text

    return Text(text, style="dim")


def run_line(record: RunRecord) -> str:
    """Counts outcomes in one line: `8 processes in 75 s: 3 finished, 2 bankrupt`."""
    counts = Counter(process.outcome.replace("_", " ") for process in record.processes)
    listed = ", ".join(f"{count} {outcome}" for outcome, count in counts.most_common())
    noun = "process" if len(record.processes) == 1 else "processes"
    return f"{len(record.processes)} {noun} in {seconds(record.wall_ns / NS)}: {listed}"
