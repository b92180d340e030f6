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
    from maxwell.node.view import HeatView, NodeView, ProcessView
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
HEAT_WIDTH: Final = 6
"""Characters of the price's course."""

SPARK_TERMINAL_WIDTH_MIN: Final = 96
"""Below it the course of the price would break the line."""

PADDED_WIDTH_MIN: Final = 72
"""Below it the parts of the first line move, so that they fit."""

ENERGY_NAMES: Final = (
    ("processes", "idle", "system", "unattributed"),
    ("processes", "idle", "system", "rest"),
    ("proc", "idle", "sys", "rest"),
)
"""Names of an energy line's parts, the longest first."""

STATES_SHORT: Final = {"out_of_memory": "no memory"}
NAME_WIDTH_MIN: Final = 7
"""Characters of the title `process`."""

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
        _head(view, prices_ppm, width=width),
        "",
        build_table(_live_columns(shown, view.processes), styles=styles, width=width),
    ]
    if hidden:
        parts.append(_dim(_hidden(hidden)))
    parts += ["", energy_line(view.energy, view.setup, view.setup_ns, width=width)]
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


def energy_text(
    energy: EnergySplit, setup: EnergySplit, setup_ns: int, *, width: int | None = None
) -> str:
    """Writes where the node's joules went; what came before the start is a part of its own.

    Args:
        energy: Of the whole run.
        setup: The part of it before the start.
        setup_ns: How long that took.
        width: Characters of a line; where one does not hold all, the names become shorter and what
            came before the start gets a second line. None writes one line of any length.
    """
    run = (
        energy.processes - setup.processes,
        energy.idle - setup.idle,
        energy.system - setup.system,
        energy.unattributed - setup.unattributed,
    )
    assert sum(run) + setup.metered == energy.metered
    before = f"set-up {joules(setup.metered)} ({seconds(setup_ns / NS)} before the start)"
    text = ""
    for index, names in enumerate(ENERGY_NAMES):
        parts = [f"{name} {joules(uj)}" for name, uj in zip(names, run, strict=True)]
        if setup.metered and index == 0:
            parts.insert(3, before)
        text = f"{joules(energy.metered)} = {' + '.join(parts)}"
        if width is None or len(text) <= width:
            return text if index == 0 or not setup.metered else f"{text}\n+ {before}"
    return f"{text}\n+ {before}" if setup.metered else text


def energy_line(energy: EnergySplit, setup: EnergySplit, setup_ns: int, *, width: int) -> Text:
    """Writes where the node's joules went, with its label; two lines where one is too narrow."""
    from rich.text import Text

    label = "energy "
    text = energy_text(energy, setup, setup_ns, width=width - len(label))
    text = text.replace("\n", f"\n{' ' * len(label)}")
    return Text.assemble((label, "bold"), text, no_wrap=True, overflow="ellipsis")


def summary(report: Report, *, power: str | None = None) -> RenderableType:
    """Draws the node's account: conservation, energy, credits, price, provenance.

    The ratio of metering is left to `report.json`: a sample of a run's few programs is too short
    to be told from noise, and `make bench` measures it.

    Args:
        report: The account.
        power: What the power cap minted, in words; None for a run with a budget.
    """
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
    grid.add_row("energy", energy_text(record.energy, record.setup, record.setup_ns))
    grid.add_row("", f"{record.provenance}, ±{share(interval)}: {record.model.source}")
    grid.add_row(
        "credits",
        f"minted {joules(credits.minted)} = held {joules(credits.held)}"
        f" + leased {joules(credits.leased)} + escrowed {joules(credits.escrowed)}"
        f" + burned {joules(credits.burned)} + commons {joules(credits.commons)}"
        f" + expired {joules(credits.expired)}",
    )
    if power is not None:
        grid.add_row("power", power)
    grid.add_row(
        "price",
        f"mean {price(record.price_mean_ppm)} credits/µJ; auctions and settlement took "
        f"{share(record.market_overhead_ratio)} of the cells' CPU time",
    )
    return grid


def _head(view: NodeView, prices_ppm: Sequence[int], *, width: int) -> Text:
    """Writes the first line: time, price and its course, power, processes; each at its place."""
    from rich.text import Text

    limit = "" if view.duration_ns is None else f" of {seconds(view.duration_ns / NS)}"
    alive = sum(process.outcome is None for process in view.processes)
    parts = [
        ("time", f"{seconds(view.elapsed_ns / NS):>6}{limit}"),
        ("price", f"{price(view.price_ppm):<6}"),
        ("power", f"{watts(view.power_mw):<7}"),
        ("alive", f"{alive} of {len(view.processes)}"),
    ]
    if view.heat is not None:
        parts.insert(3, ("heat", f"{heat_text(view.heat):<{HEAT_WIDTH}}"))
    if width >= SPARK_TERMINAL_WIDTH_MIN:
        spark = sparkline(prices_ppm, width=SPARK_WIDTH, floor=min(prices_ppm, default=0))
        parts.insert(2, ("", f"{spark:<{SPARK_WIDTH}}"))
    text = Text(no_wrap=True, overflow="ellipsis")
    for name, value in parts:
        shown = value if width >= PADDED_WIDTH_MIN else value.strip()
        text.append(f"{name} " if name else "", "bold").append(shown, "" if name else "cyan")
        text.append("  " if name != "alive" else "")
    return text


def heat_text(heat: HeatView) -> str:
    """Writes a node's temperature; one that no sensor measured says so."""
    shown = "blind" if heat.temperature_mc is None else f"{heat.temperature_mc / 1_000:.0f} °C"
    return f"{shown} simulated" if heat.simulated else shown


def _live_columns(shown: Sequence[ProcessView], everyone: Sequence[ProcessView]) -> list[Column]:
    """Makes the columns of the live table, in their order.

    Their widths depend on the fleet's names only, so that which of them fit does not change while
    the run goes on: `joules` and `watts` write 7 characters at most, `price` 7 up to 9,999.9.
    """
    names = max((len(short_name(p.name)) for p in everyone), default=0)
    return [
        Column(
            title="process",
            cells=[short_name(p.name) for p in shown],
            rank=0,
            justify="left",
            fixed=max(NAME_WIDTH_MIN, names),
        ),
        Column(title="state", cells=[_state(p) for p in shown], rank=0, justify="left", fixed=9),
        Column(title="bid", cells=[_if_lives(p, price(p.bid_ppm)) for p in shown], rank=5, fixed=7),
        Column(
            title="paid", cells=[_if_ran(p, price(p.price_ppm)) for p in shown], rank=2, fixed=7
        ),
        Column(title="energy", cells=[joules(p.energy_uj) for p in shown], rank=1, fixed=7),
        Column(
            title="power", cells=[_if_lives(p, watts(p.power_mw)) for p in shown], rank=3, fixed=7
        ),
        Column(title="results", cells=[f"{p.results:,}" for p in shown], rank=6, fixed=7),
        Column(
            title="results/J",
            cells=[_per_joule(p.results, p.energy_uj) for p in shown],
            rank=4,
            fixed=9,
        ),
        *_information_columns(shown),
        *_proof_columns(shown),
        Column(title="purse", cells=[joules(_purse(p)) for p in shown], rank=0, fixed=7),
        Column(title="broke in", cells=[_broke_in(p) for p in shown], rank=1, fixed=8),
    ]


def _state(process: ProcessView) -> str:
    """Names how a process stands, or how it ended."""
    state = process.outcome or process.state
    return STATES_SHORT.get(state, state.replace("_", " "))


def _purse(process: ProcessView) -> int:
    """Returns what is in a purse; of one that has ended, what went back to its account."""
    return process.balance_credits if process.outcome is None else process.returned_credits


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
        *_proof_columns(shown),
    ]


def _information_columns(shown: Sequence[ProcessView] | Sequence[ProcessRecord]) -> list[Column]:
    """Makes the columns of verified bits, if any process won or lost some."""
    if not any(p.bits_q32 for p in shown):
        return []
    return [
        Column(title="bits", cells=[bits(p.bits_q32) for p in shown], rank=1, fixed=8),
        Column(
            title="bits/J",
            cells=[_per_joule(max(0, p.bits_q32) / (1 << 32), p.energy_uj) for p in shown],
            rank=1,
            fixed=8,
        ),
    ]


def _proof_columns(shown: Sequence[ProcessView] | Sequence[ProcessRecord]) -> list[Column]:
    """Makes the columns of what the host ran: its joules, and those of proofs over them."""
    if not any(p.inference_uj or p.proof_uj for p in shown):
        return []
    return [
        Column(
            title="infer",
            cells=[joules(p.inference_uj) if p.inference_uj else "–" for p in shown],
            rank=3,
            fixed=7,
        ),
        Column(title="proof/inf", cells=[proof_ratio(p) for p in shown], rank=2, fixed=9),
    ]


def proof_ratio(process: ProcessView | ProcessRecord) -> str:
    """Formats the joules of proofs over those of inferences; a dash without inferences."""
    if process.inference_uj == 0:
        return "–"
    return significant(process.proof_uj / process.inference_uj)


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
    how = ", interrupted by Ctrl-C or SIGTERM" if record.interrupted else ""
    return f"{len(record.processes)} {noun} in {seconds(record.wall_ns / NS)}{how}: {listed}"
