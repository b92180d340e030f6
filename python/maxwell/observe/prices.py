"""`prices.svg`: price, purses and power of a run over time, with every death marked.

Deterministic: equal runs give equal files, byte for byte, with the same version of matplotlib.
"""

# pyright: reportUnknownMemberType=false
# The keyword arguments of matplotlib's drawing methods have no types.

from __future__ import annotations

from collections import Counter
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from maxwell.node.record import ProcessRecord, RunRecord
from maxwell.observe.history import History, ProcessHistory
from maxwell.observe.text import joules, seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMED_MAX: Final = 10
"""Processes that get a colour and a line of the legend; the others are grey."""

FAINT_MAX: Final = 200
"""Grey lines drawn; more would be a smear of megabytes."""

WIDTH_IN: Final = 9.6
HEIGHT_IN: Final = 6.0

MARGINS: Final = {"left": 0.06, "right": 0.77, "top": 0.95, "bottom": 0.085, "hspace": 0.34}
"""Fixed, in fractions of the figure: matplotlib's layout solver differs by rounding from call to
call, which would make equal runs give different files."""

LEGEND_LEFT: Final = 0.785

NS: Final = 1_000_000_000

COLOURS: Final = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9",
    "#e69f00", "#7a4ea3", "#8c6d31", "#333333", "#b2182b",
)  # fmt: skip
"""The palette of Okabe and Ito, made for colour-blind readers, and four darker ones."""

INK: Final = "#2b2b2b"
FAINT: Final = "#b8b8b8"
GRID: Final = "#e6e6e6"
FAILED: Final = "#b2182b"

MARKERS: Final = {
    "finished": "o",
    "bankrupt": "X",
    "trapped": "v",
    "out_of_memory": "s",
    "deadline": "|",
    "killed": "D",
    "lost": "P",
}
"""How a line ends, by outcome."""

STYLE: Final = {
    "svg.hashsalt": "maxwell",
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


class _Line(msgspec.Struct, frozen=True):
    """One process as it is drawn."""

    record: ProcessRecord
    history: ProcessHistory

    @property
    def ended_ns(self) -> int:
        """Its end, on the run's clock where the events say it, else on its cell's."""
        died_ns = self.history.died_ns
        return self.record.died_ns if died_ns is None else died_ns

    @property
    def points(self) -> tuple[list[float], list[float]]:
        """Times in seconds and purses in joules, from birth to death."""
        samples = self.history.samples
        times = [sample.t_ns / NS for sample in samples]
        purses = [sample.balance_credits / 1e6 for sample in samples]
        if self.history.spawned_ns is not None and self.history.funds_credits:
            times.insert(0, self.history.spawned_ns / NS)
            purses.insert(0, self.history.funds_credits / 1e6)
        if self.history.died_ns is not None and times:
            times.append(self.history.died_ns / NS)
            # A bankrupt's purse is empty; another's is what it gave back.
            left = 0 if self.record.outcome == "bankrupt" else self.record.returned_credits
            purses.append(left / 1e6)
        return times, purses


def save_prices(path: Path, history: History, record: RunRecord) -> None:
    """Draws a run and writes it as SVG, whole or not at all.

    Raises:
        OSError: The file cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(prices_svg(history, record))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def prices_svg(history: History, record: RunRecord) -> bytes:
    """Draws a run as SVG.

    Args:
        history: The run over time; an empty one gives empty axes.
        record: The figures, for the legend and the outcomes.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context(cast(dict[Any, Any], STYLE)):
        figure = Figure(figsize=(WIDTH_IN, HEIGHT_IN))
        FigureCanvasSVG(figure)
        _draw(figure, history, record)
        buffer = BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": "Maxwell"})
    return buffer.getvalue()


def _draw(figure: Figure, history: History, record: RunRecord) -> None:
    """Draws the three panels, which share their time axis."""
    grid = figure.add_gridspec(3, 1, height_ratios=(1.0, 2.4, 0.8), **MARGINS)
    purses = figure.add_subplot(grid[1])
    price = figure.add_subplot(grid[0], sharex=purses)
    power = figure.add_subplot(grid[2], sharex=purses)
    lines = [_Line(process, history.process(process.name)) for process in record.processes]
    end_s = max(record.wall_ns, history.end_ns, 1) / NS
    _draw_price(price, history, record)
    _draw_purses(purses, lines)
    _draw_power(power, history)
    _mark_deaths(purses, (price, purses, power), lines)
    for axes in (price, purses, power):
        axes.set_xlim(0, end_s)
        axes.grid(axis="y", color=GRID, linewidth=0.7)
        axes.set_axisbelow(True)
        axes.tick_params(length=2.5)
    for axes in (price, purses):
        axes.tick_params(labelbottom=False)
    power.set_xlabel("time in the run [s]")
    _draw_legend(figure, _named(lines), _others(lines) if len(lines) > NAMED_MAX else "")


def _draw_price(axes: Axes, history: History, record: RunRecord) -> None:
    """Draws the mean price of each epoch, on a logarithmic axis when it spikes."""
    # A sample stands for the epoch that it ends.
    times = [0.0, *(sample.t_ns / NS for sample in history.node)]
    prices = [sample.price_ppm / 1e6 for sample in history.node]
    axes.step(times, [*prices[:1], *prices] or [1.0], where="pre", color=INK, linewidth=1.0)
    axes.axhline(1.0, color=FAINT, linewidth=0.8, linestyle=(0, (4, 3)))
    mean = record.price_mean_ppm / 1e6
    axes.set_title(f"price [credits per µJ]: mean {mean:.3f}, cost price is 1 (dashed)")
    top = max(prices, default=1.0)
    if top > 20:
        axes.set_yscale("log")
        axes.set_ylim(0.8, top * 1.3)
    else:
        axes.set_ylim(0, max(top * 1.1, 1.5))


def _draw_purses(axes: Axes, lines: Sequence[_Line]) -> None:
    """Draws each purse until its owner's end; named ones in colour, above the grey ones."""
    named = _named(lines)
    names = {line.record.name for line in named}
    others = [line for line in lines if line.record.name not in names]
    for line in others[:FAINT_MAX]:
        times, purses = line.points
        axes.plot(times, purses, color=FAINT, linewidth=0.6, alpha=0.7)
    for index, line in enumerate(named):
        times, purses = line.points
        colour = COLOURS[index % len(COLOURS)]
        axes.plot(times, purses, color=colour, linewidth=1.4)
        if times and line.history.died_ns is not None:
            axes.plot(
                times[-1:],
                purses[-1:],
                marker=MARKERS.get(line.record.outcome, "o"),
                color=colour,
                markersize=7,
                markeredgecolor="white",
                markeredgewidth=0.8,
                linestyle="none",
                clip_on=False,
                zorder=5,
            )
    axes.set_title("purse [J of credits]: ends are marked, ✕ is a bankruptcy")
    axes.set_ylim(bottom=0)


def _draw_power(axes: Axes, history: History) -> None:
    """Draws the node's power."""
    times = [0.0, *(sample.t_ns / NS for sample in history.node)]
    watts = [sample.power_mw / 1e3 for sample in history.node]
    steps = [*watts[:1], *watts] or [0.0]
    axes.fill_between(times, steps, step="pre", color="#f0c987", linewidth=0)
    axes.set_title("power of the node [W]")
    axes.set_ylim(0, max(max(watts, default=0.0) * 1.15, 1.0))


def _mark_deaths(purses: Axes, panels: Iterable[Axes], lines: Sequence[_Line]) -> None:
    """Draws a line through all panels for each failure; when many, ticks under the purses."""
    times = [
        line.history.died_ns / NS
        for line in lines
        if line.history.died_ns is not None and line.record.outcome not in {"finished", "deadline"}
    ]
    if len(times) > NAMED_MAX:
        purses.plot(
            times,
            [0.0] * len(times),
            marker="|",
            markersize=7,
            color=FAILED,
            linestyle="none",
            alpha=0.7,
            clip_on=False,
            transform=purses.get_xaxis_transform(),
        )
        return
    for axes in panels:
        for time in times:
            axes.axvline(time, color=FAILED, linewidth=0.7, alpha=0.45, linestyle=(0, (2, 2)))


def _named(lines: Sequence[_Line]) -> list[_Line]:
    """Returns the processes that burned most, at most `NAMED_MAX`, in the fleet's order."""
    by_energy = sorted(lines, key=lambda line: -line.record.energy_uj)[:NAMED_MAX]
    names = {line.record.name for line in by_energy}
    return [line for line in lines if line.record.name in names]


def _others(lines: Sequence[_Line]) -> str:
    """Counts the processes without a line of their own, by outcome."""
    names = {line.record.name for line in _named(lines)}
    counts = Counter(line.record.outcome for line in lines if line.record.name not in names)
    parts = ", ".join(
        f"{count} {outcome.replace('_', ' ')}" for outcome, count in counts.most_common()
    )
    return f"{counts.total()} more: {parts}"


def _draw_legend(figure: Figure, named: Sequence[_Line], others: str) -> None:
    """Writes the legend to the right of the panels: name, outcome, when, joules."""
    from matplotlib.lines import Line2D

    handles: list[Line2D] = []
    labels: list[str] = []
    for index, line in enumerate(named):
        process = line.record
        marker = MARKERS.get(process.outcome, "o")
        colour = COLOURS[index % len(COLOURS)]
        handles.append(
            Line2D([], [], color=colour, marker=marker, markeredgecolor="white", markersize=7)
        )
        outcome = "no memory" if process.outcome == "out_of_memory" else process.outcome
        labels.append(
            f"{_short(process.name)}\n{outcome} at {seconds(line.ended_ns / NS)}, "
            f"{joules(process.energy_uj)}"
        )
    if others:
        handles.append(Line2D([], [], color=FAINT, linewidth=0.8))
        labels.append(others.replace(": ", "\n", 1).replace(", ", "\n"))
    if handles:
        figure.legend(
            handles,
            labels,
            loc="center left",
            bbox_to_anchor=(LEGEND_LEFT, 0.5),
            bbox_transform=figure.transFigure,
            frameon=False,
            fontsize=7.5,
            handlelength=1.6,
            labelspacing=0.7,
        )


def _short(name: str) -> str:
    """Cuts a long name in its middle, where numbered names are alike."""
    return name if len(name) <= 24 else f"{name[:11]}…{name[-12:]}"
